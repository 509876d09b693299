"""Names that a search space may not give are refused when it is read, with their place."""

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_param

from orchestrator.search_space.names import RESERVED, param_problem
from orchestrator.search_space.reader import read_stored
from tests.support.net_space import COMPARE, go_to_net, mistakes, read


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    return go_to_net(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", [*RESERVED, "Reports", "mlflow.db-wal"])
def test_a_sweep_can_not_have_the_name_of_what_the_home_keeps(name: str) -> None:
    (line,) = mistakes(name=name)
    assert line.startswith(
        f"--name {name}: '{name}' is reserved for files of the home or the store, as are artifacts, cache, code, "
    )


def test_a_sweep_that_has_run_keeps_a_name_that_is_reserved_now(folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared" / "search_space.yaml").write_text(read().text)
    assert read_stored(folder / "shared").name == "shared"


def test_a_sweep_can_not_have_a_name_that_is_too_long_for_a_file() -> None:
    assert read(name="a" * 100).name == "a" * 100
    (line,) = mistakes(("name: test", f"name: {'a' * 300}"))
    assert line.startswith("space.yaml:1:7: name: needs at most 100 characters, got 300: 'aaa")
    assert len(line) < 200


@pytest.mark.parametrize(
    "name",
    [
        *("size", "size_px", "size px", "größe", "a:b", "a/b", "val.x-1", "x" * 250),
        *(
            "size (px)",
            "a,b",
            "a=b",
            "a`b",
            "a'b",
            "50%",
            "a\tb",
            "",
            ".",
            "..",
            "../a",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            ".a",
            "..a",
        ),
        "x" * 251,
    ],
)
def test_mlflow_decides_which_names_a_param_may_have(name: str) -> None:
    try:
        _validate_param(name, "1")
    except MlflowException:
        assert param_problem(name) is not None
    else:
        assert param_problem(name) is None


def test_bundles_are_compared_under_a_name_that_mlflow_can_store() -> None:
    (line,) = mistakes(COMPARE, ("  norm:", "  size (px):"))
    assert line == (
        "space.yaml:6:3: compare.size (px): MLflow stores no param named 'size (px)'; a name has letters, digits, "
        "spaces and _ - . : / only"
    )
    assert "more than dots" in mistakes(COMPARE, ("  norm:", "  ../norm:"))[0]
    assert "'seed' is the seed that every trial has" in mistakes(COMPARE, ("  norm:", "  seed:"))[0]


def test_a_bundle_itself_may_have_any_name() -> None:
    names = [arm.compared["norm"] for arm in read(COMPARE, ("    wide:", "    wide (64 px):")).arms]
    assert names == ["joint", "wide (64 px)"] * 3


def test_a_parameter_that_mlflow_can_not_store_is_refused_even_if_its_trainable_takes_all(folder: Path) -> None:
    net = folder / "net.py"
    net.write_text(net.read_text().replace("class Config(TrialConfig):", "class Config(TrialConfig, extra='allow'):"))
    (line,) = mistakes(("  lr:", "  lr (Hz): 3\n  lr:"))
    assert line.startswith("space.yaml:9:3: params.lr (Hz): MLflow stores no param named 'lr (Hz)'")
