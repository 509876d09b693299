"""A sweep's folder, read as it grows: what is kept of all trials, and how many of them a look goes over."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.state import history
from orchestrator.state.history import History
from orchestrator.state.paths import MEDIA
from orchestrator.state.trial import Trial, best_trial
from tests.support.sweep_folder import SweepFolder

OUTCOMES = ("completed", "pruned", "failed", "diverged")


def check_tallies(read: History) -> None:
    """Compare what is kept with what all trials give when gone over again."""
    trials, objective = list(read.trials.values()), read.objective
    arms: dict[str, list[Trial]] = {}
    for trial in trials:
        arms.setdefault(trial.arm, []).append(trial)
    assert list(read.tallies) == list(arms)
    for arm, members in arms.items():
        tally = read.tallies[arm]
        assert tally.best is best_trial(members, objective)
        assert tally.epochs == sum(trial.epochs for trial in members)
        assert tally.codes == {code for trial in members for code in trial.codes}
        renderings = [rendering for trial in members for rendering in trial.renderings]
        assert set(tally.rendered) == {name for rendering in renderings for name in rendering["settings"]}
    assert read.statuses() == Counter(trial.status for trial in trials)
    assert read.with_media == {number for number, files in read.files.items() if files.has_media}
    assert list(read.searched) == list(dict.fromkeys(name for trial in trials for name in trial.searched))


class Happening:
    """Things that happen to the trials of a sweep, in any order that a driver may write them in."""

    def __init__(self, sweep: SweepFolder, seed: int) -> None:
        self.sweep = sweep
        self.random = random.Random(seed)
        self.epochs: dict[int, int] = {}
        self.ended: set[int] = set()

    def happen(self) -> None:
        running = [number for number in self.epochs if number not in self.ended]
        kinds = ["ask"] + ["report", "report", "end", "hear"] * bool(running)
        kinds += ["retry", "evaluate", "hear_late"] * bool(self.ended) + ["restart"]
        kind = self.random.choice(kinds)
        number = self.random.choice(running or [0])
        ended = self.random.choice(sorted(self.ended) or [0])
        match kind:
            case "ask":
                number = len(self.epochs) + 1
                self.sweep.ask(number, self.random.choice("abc"), of=1 if number % 7 == 0 else None)
                self.epochs[number] = 0
            case "report":
                self.epochs[number] += 1
                value = self.random.choice([0.1, 0.2, 0.3, float("nan")])
                self.sweep.report(number, self.epochs[number], judge_probability=value)
            case "end":
                self.sweep.end(number, self.random.choice(OUTCOMES), epochs=self.epochs[number])
                self.ended.add(number)
            case "hear":
                (self.sweep.trial(number) / MEDIA / f"epoch_{self.epochs[number]:02d}").mkdir(
                    parents=True, exist_ok=True
                )
            case "hear_late":
                (self.sweep.trial(ended) / MEDIA / "best").mkdir(parents=True, exist_ok=True)
            case "retry":
                self.sweep.event("retried", trial=ended, reason="", share=1, from_scratch=self.random.random() < 0.5)
                self.sweep.event("attempt", trial=ended, attempt=2, code=self.random.choice(["c0de", "c1de"]))
                self.ended.discard(ended)
            case "evaluate":
                setting = self.random.choice(["phase", "magnitude"])
                renderings = [{"name": setting, "settings": {setting: 1}, "folder": "r", "metrics": {}}]
                self.sweep.event("evaluated", trial=ended, metrics={}, error=None, renderings=renderings)
            case "restart":
                self.sweep.close("interrupted")
                self.sweep.start()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_is_what_going_over_all_trials_gives(tmp_path: Path, seed: int) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start()
    grown, happening = History(sweep.path), Happening(sweep, seed)
    for step in range(300):
        happening.happen()
        if step % 3 == 0:
            grown.refresh(late=True)
            check_tallies(grown)
    grown.refresh(everywhere=True)
    fresh = History(sweep.path)
    fresh.refresh(everywhere=True)
    for read in (grown, fresh):
        check_tallies(read)
    assert [files.made_ns for files in grown.files.values()] == [files.made_ns for files in fresh.files.values()]
    grown.lose_driver()
    check_tallies(grown)


@pytest.fixture
def many(tmp_path: Path) -> SweepFolder:
    """A hundred and fifty trials that ended long ago, one that ended now, and one that runs."""
    sweep = SweepFolder(tmp_path)
    sweep.start()
    for number in range(1, 151):
        sweep.whole_trial(number, epochs=1)
    sweep.ts += 10 * history.LATE_MS
    sweep.whole_trial(151)
    sweep.ask(152)
    return sweep


def test_a_look_goes_over_what_may_have_changed_and_not_over_all(
    many: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = History(many.path)
    read.refresh(everywhere=True)
    looked: list[str] = []
    scandir = os.scandir

    def count(path: Path) -> os._ScandirIterator[str]:
        looked.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", count)
    many.report(152, 1)
    assert read.refresh() == {152} and len(looked) == 1
    looked.clear()
    assert read.refresh(late=True) == set()
    assert len(looked) <= history.IN_TURN + 2


@pytest.mark.parametrize("number", [1, 100, 151])
def test_a_late_rendering_of_an_ended_trial_is_found_all_the_same(many: SweepFolder, number: int) -> None:
    read = History(many.path)
    read.refresh(everywhere=True)
    many.render(number, "best", 1)
    rounds = 1 if number == 151 else 1 + 152 // history.IN_TURN
    assert {number} in [read.refresh(late=True) for _ in range(rounds)]
    assert list(read.files[number].made_ns) == ["media/best"]


def test_what_an_event_tells_of_an_old_trial_is_looked_at_once(many: SweepFolder) -> None:
    read = History(many.path)
    read.refresh(everywhere=True)
    many.render(7, "best", 1)
    many.event("evaluated", trial=7, metrics={}, error=None)
    assert read.refresh() == {7} and list(read.files[7].made_ns) == ["media/best"]
    many.event("extended", trial=8, max_epochs=4)
    many.attempt(8, 2)
    assert read.refresh() == {8}
    # It runs again, and is looked at each time.
    many.report(8, 2)
    assert read.refresh() == {8}


def test_a_line_that_the_driver_took_back_is_taken_back_here(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start()
    sweep.whole_trial(1)
    sweep.ask(2)
    read = History(sweep.path)
    read.refresh(everywhere=True)
    size = (sweep.path / "sweep.jsonl").stat().st_size
    sweep.end(2)
    assert read.refresh() == {2} and read.trials[2].outcome == "completed"
    # It could not be synced.
    os.truncate(sweep.path / "sweep.jsonl", size)
    assert read.refresh() == {1, 2}
    fresh = History(sweep.path)
    fresh.refresh(everywhere=True)
    for state in (read, fresh):
        check_tallies(state)
        assert state.trials[2].outcome is None and len(state.starts) == 1 and state.unfinished == {2}
        assert [trial.number for trial in state.of_arm("loss=vae", "search")] == [1, 2]
        assert state.trials[1].epochs == 2
    assert read.offset == size
