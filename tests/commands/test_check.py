"""`orchestrate check`: what files of one's own must hold, and how it is said that they do not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.commands.check import ContractBroken, check, shrink
from orchestrator.errors import UserError

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_net.yaml"
FORGETFUL = EXAMPLE.with_suffix(".py").read_text().replace('self.optimizer.load_state_dict(state["optimizer"])', "pass")
LOSSES_OF_ONES_OWN = """
import torch
from trainables.components.losses.reconstruction import register_loss

@register_loss("summed_{name}")
def summed(estimate, target):
    return (estimate - target).abs().sum()
"""


def lines_of(path: Path, home: Path, *overrides: str) -> list[str]:
    """Check a file; what is said."""
    said: list[str] = []
    check(path, home, overrides, None, said.append)
    return said


@pytest.fixture
def on_tiny_corpus(tiny_corpus: Path) -> tuple[str, ...]:
    return ("corpus.name=folder", f"corpus.root={tiny_corpus}")


def test_the_example_holds_all_that_it_must(tiny_home: Path, on_tiny_corpus: tuple[str, ...]) -> None:
    said = lines_of(EXAMPLE, tiny_home, *on_tiny_corpus)
    assert said[-1] == f"{EXAMPLE}: all 11 promises hold"
    assert "ok      MyNet: a resumed training equals an uninterrupted one, to the last bit" in said
    assert "ok      corpus folder: every split has clips, and no recording is in two" in said


def test_what_is_checked_is_shown_before_it_is_known_to_hold(tmp_path: Path, tiny_home: Path) -> None:
    events: list[str] = []

    @contextlib.contextmanager
    def show(what: str) -> Iterator[None]:
        events.append(what)
        yield

    moons = EXAMPLE.with_name("two_moons.py")
    check(moons, tiny_home, (), None, events.append, show)
    assert events[6:8] == [
        "checks TwoMoons, 4 of 7: a resumed training equals an uninterrupted one, to the last bit",
        "ok      TwoMoons: a resumed training equals an uninterrupted one, to the last bit",
    ]
    assert len(events) == 2 * 7 + 1


def test_a_check_needs_a_small_part_of_the_demo_corpus_and_all_of_others() -> None:
    assert shrink({"name": "demo", "seed": 3}) == {"name": "demo", "seed": 3, "recordings_per_class": 3}
    assert shrink({"name": "folder", "root": "x"}) == {"name": "folder", "root": "x"}


def test_a_state_that_lacks_something_is_named_with_what_differs(
    tmp_path: Path, tiny_home: Path, on_tiny_corpus: tuple[str, ...]
) -> None:
    (tmp_path / "my_net.py").write_text(FORGETFUL)
    (tmp_path / "my_net.yaml").write_text(EXAMPLE.read_text())
    said: list[str] = []
    with pytest.raises(ContractBroken, match=r"my_net\.yaml: 1 of 11 promises do not hold") as raised:
        check(tmp_path / "my_net.yaml", tiny_home, on_tiny_corpus, None, said.append)
    assert raised.value.exit_code == 1
    place = said.index("BROKEN  MyNet: a resumed training equals an uninterrupted one, to the last bit")
    assert "epoch 3 differs in" in said[place + 1] and "state_dict lacks something" in said[place + 1]


def test_a_loss_in_a_file_of_its_own_is_checked(tmp_path: Path, tiny_home: Path) -> None:
    path = tmp_path / "losses.py"
    path.write_text(LOSSES_OF_ONES_OWN.format(name=tmp_path.name.replace("-", "_")))
    said: list[str] = []
    with pytest.raises(ContractBroken, match="1 of 3 promises"):
        check(path, tiny_home, (), None, said.append)
    assert [line.partition(":")[2].strip() for line in said if line.startswith("BROKEN")] == [
        "it does not depend on how often a clip is in the batch"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def broken(:", r"mine\.py:1: can't be imported: SyntaxError"),
        ("hello", r"mine\.py:1: can't be imported: NameError"),
        (
            FORGETFUL.replace("Field(64, ge=1,", "Field(ge=1,"),
            r"mine\.py: the settings to check MyNet with are refused: width: 'width' is missing; put small ones into "
            r"MyNet\.DEBUG",
        ),
    ],
    ids=["no Python", "no module", "no settings"],
)
def test_a_file_that_can_not_be_tried_is_one_message(
    tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch, tiny_corpus: Path, content: str, message: str
) -> None:
    monkeypatch.setattr("orchestrator.commands.check.DEMO", {"name": "folder", "root": str(tiny_corpus)})
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=message):
        lines_of(tmp_path / "mine.py", tiny_home)


def test_a_file_with_nothing_to_check_is_refused(tmp_path: Path, tiny_home: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(
        UserError, match=r"empty\.py: defines no trainable and registers no part, .* for a corpus, check a"
    ):
        lines_of(tmp_path / "empty.py", tiny_home)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('f"point {index}"', '"a point"', "needs one row for each name in the column `recording`"),
        ('"recording"', '"name"', "needs a column `recording`, which names what each row is about"),
    ],
    ids=["one name twice", "no names"],
)
def test_a_trainable_without_a_corpus_has_a_name_for_each_row_that_it_judges(
    tmp_path: Path, tiny_home: Path, before: str, after: str, problem: str
) -> None:
    (tmp_path / "moons.py").write_text(EXAMPLE.with_name("two_moons.py").read_text().replace(before, after))
    said: list[str] = []
    with pytest.raises(ContractBroken, match="1 of 7 promises"):
        check(tmp_path / "moons.py", tiny_home, (), None, said.append)
    assert said[-1].strip() == problem
