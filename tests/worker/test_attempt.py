"""One attempt at a trial, killed where it hurts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.plugins import randomness
from orchestrator.storage.json_lines import read
from orchestrator.worker import checkpoint
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.spec import TrialSpec
from tests.support.spaces import trial_spec


@pytest.fixture
def spec(tmp_path: Path) -> TrialSpec:
    return trial_spec(tmp_path)


def epochs(spec: TrialSpec) -> list[int]:
    return [row["epoch"] for row in read(Path(spec.folder) / "outbox.jsonl")[0]]


def test_a_second_attempt_goes_on_after_the_last_epoch(spec: TrialSpec) -> None:
    run = TrialRun(spec)
    first = [run.step()["metrics"]["val/score"] for _ in range(2)]
    run.close()
    again = TrialRun(replace(spec, attempt=2, reported_epochs=2))
    third = again.step()
    assert (third["epoch"], third["attempt"]) == (3, 2)
    assert third["metrics"]["val/score"] > first[-1]
    assert epochs(spec) == [1, 2, 3]


def test_a_row_that_a_kill_kept_out_of_the_outbox_comes_from_the_checkpoint(spec: TrialSpec) -> None:
    run = TrialRun(spec)
    run.step()
    row = run.step()
    run.close()
    outbox = Path(spec.folder) / "outbox.jsonl"
    lines = outbox.read_bytes().splitlines(keepends=True)
    for torn in (b"", lines[1][:20]):
        outbox.write_bytes(lines[0] + torn)
        TrialRun(spec).close()
        assert read(outbox)[0][1] == row
        assert epochs(spec) == [1, 2]


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(spec: TrialSpec) -> None:
    run = TrialRun(spec)
    run.step()
    run.close()
    (Path(spec.folder) / "checkpoint" / "saving.tmp").write_bytes(b"half a checkp")
    again = TrialRun(replace(spec, reported_epochs=1))
    assert again.epochs == 1 and not again.remarks
    assert again.step()["epoch"] == 2


def test_a_kill_between_the_last_and_the_best_checkpoint_is_made_good(spec: TrialSpec) -> None:
    run = TrialRun(spec)
    run.step()
    run.step()
    run.close()
    folder = Path(spec.folder) / "checkpoint"
    (folder / checkpoint.BEST).unlink()
    TrialRun(spec).close()
    assert checkpoint.load(folder / checkpoint.BEST, "cpu")["row"]["epoch"] == 2


def test_the_outbox_has_one_writer(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.worker import outbox

    run = TrialRun(spec)
    monkeypatch.setattr(outbox, "LOCK_PATIENCE_S", 0.3)
    with pytest.raises(Exception, match="another process still trains trial 1"):
        TrialRun(spec)
    run.close()
    TrialRun(spec).close()


def test_an_attempt_that_can_not_begin_lets_go_of_the_trial(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.worker import attempt, outbox

    def fail(*args: object) -> None:
        raise MemoryError("no room for the networks")

    monkeypatch.setattr(outbox, "LOCK_PATIENCE_S", 0.3)
    with monkeypatch.context() as patch:
        patch.setattr(attempt, "build", fail)
        with pytest.raises(MemoryError) as caught:
            TrialRun(spec)
    # `caught` has the traceback, which keeps alive whatever the attempt has left open.
    TrialRun(spec).close()
    assert str(caught.value) == "no room for the networks"


def test_an_evaluation_has_one_process(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that outlived its driver may still write the same files."""
    from orchestrator.worker import outbox
    from orchestrator.worker.evaluation import evaluate

    run = TrialRun(spec)
    run.step()
    monkeypatch.setattr(outbox, "LOCK_PATIENCE_S", 0.3)
    with outbox.lock_trial(Path(spec.folder), spec.number, outbox.EVALUATION_LOCK):
        with pytest.raises(Exception, match="another process still evaluates trial 1"):
            evaluate(spec)
    # A worker that waits for its next trial has not let go of its last one, which may be evaluated.
    assert evaluate(spec) == {"metrics": {}, "renderings": []}
    run.close()


def test_checkpoints_bring_back_every_global_random_state(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    randomness.seed_everything(5)
    draw()
    checkpoint.save(tmp_path, {"weight": torch.ones(2)}, {"epoch": 1}, best=True)
    expected = draw()
    draw()
    saved = checkpoint.load(tmp_path / checkpoint.LAST, "cpu")
    randomness.restore_random_states(saved["random"])
    assert draw() == expected
    assert torch.equal(saved["state"]["weight"], torch.ones(2))


def train(spec: TrialSpec, count: int) -> list[dict[str, float]]:
    """Epochs' metrics, without times."""
    run = TrialRun(spec)
    rows = [run.step()["metrics"] for _ in range(count)]
    run.close()
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def of_another_version(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"version": 0}, path)


@pytest.mark.parametrize(
    ("damage", "said"), [(cut_short, "last.pt can't be read"), (of_another_version, "last.pt is of version 0, this")]
)
def test_a_checkpoint_that_is_no_use_is_said_and_the_one_before_taken(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    undisturbed = train(trial_spec(tmp_path / "undisturbed"), 5)
    spec = trial_spec(tmp_path)
    train(spec, 3)
    folder = Path(spec.folder) / "checkpoint"
    # A file of its own, as after a disk that lost it: the names share one as long as nothing happens.
    copy = (folder / checkpoint.LAST).read_bytes()
    (folder / checkpoint.LAST).unlink()
    (folder / checkpoint.LAST).write_bytes(copy)
    damage(folder / checkpoint.LAST)
    run = TrialRun(replace(spec, attempt=2, reported_epochs=3))
    assert run.remarks[0].startswith(said)
    assert run.remarks[1] == "trial 1 resumes from epoch 2, although it had reached epoch 3"
    run.close()
    again = train(replace(spec, attempt=3, reported_epochs=3), 3)
    # The third epoch was executed again and came out the same; it is recorded once.
    assert again == undisturbed[2:]
    assert epochs(spec) == [1, 2, 3, 4, 5]


def test_a_trial_whose_checkpoints_are_all_gone_starts_from_its_seed(tmp_path: Path) -> None:
    undisturbed = train(trial_spec(tmp_path / "undisturbed"), 3)
    spec = trial_spec(tmp_path)
    train(spec, 2)
    for path in (Path(spec.folder) / "checkpoint").iterdir():
        path.unlink()
    run = TrialRun(replace(spec, attempt=2, reported_epochs=2))
    assert run.remarks == ["trial 1 resumes from epoch 0, although it had reached epoch 2"]
    run.close()
    assert train(replace(spec, attempt=3, reported_epochs=2), 3) == undisturbed
    assert epochs(spec) == [1, 2, 3]


def test_an_epoch_that_is_executed_again_replaces_the_best_only_if_it_was_it(spec: TrialSpec) -> None:
    folder = Path(spec.folder)
    run = TrialRun(spec)
    rows = [run.step() for _ in range(2)]
    run.close()
    # The second is the best, and the third as good; its last two checkpoints are lost.
    third = rows[1] | {"epoch": 3}
    with (folder / "outbox.jsonl").open("a") as file:
        file.write(json.dumps(third) + "\n")
    (folder / "checkpoint" / "last.pt").write_bytes(b"cut short")
    (folder / "checkpoint" / "best.pt").write_bytes(b"cut short")
    again = TrialRun(replace(spec, attempt=2, reported_epochs=3))
    best_after = []
    for _ in range(2):
        row = again.step()
        best_after.append((row["epoch"], checkpoint.load(folder / "checkpoint" / "best.pt", "cpu")["row"]["epoch"]))
    assert best_after == [(2, 2), (3, 2)]


def test_a_trial_that_starts_over_has_no_renderings_of_before(spec: TrialSpec) -> None:
    media = Path(spec.folder) / "media" / "epoch_01"
    media.mkdir(parents=True)
    TrialRun(spec).close()
    assert not media.exists()
