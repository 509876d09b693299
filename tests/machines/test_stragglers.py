"""Machines on which epochs of comparable trials take much longer."""

from __future__ import annotations

from pathlib import Path

from orchestrator.driver.unfit_machines import Faults
from orchestrator.machines.stragglers import MIN_EPOCHS, Slowness, Stragglers
from orchestrator.state.ledger import Ledger
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep


def note(
    stragglers: Stragglers, machine: str, *seconds: float, arm: str = "a", trials: tuple[int, ...]
) -> list[Slowness]:
    """Note five epochs of each trial, which take so many seconds each, and return what was said of them."""
    every = seconds if len(seconds) > 1 else seconds * len(trials)
    epochs = [(trial, each) for trial, each in zip(trials, every, strict=True) for _ in range(MIN_EPOCHS)]
    return [found for trial, each in epochs if (found := stragglers.note_epoch(machine, arm, trial, each))]


def test_a_machine_is_slow_if_its_epochs_take_three_times_as_long_as_elsewhere_and_is_named_once() -> None:
    stragglers = Stragglers()
    assert note(stragglers, "good", 1.0, trials=(1, 2)) == []
    assert note(stragglers, "as good", 1.2, trials=(3, 4)) == []
    assert note(stragglers, "less good", 3.0, trials=(5, 6)) == []
    assert note(stragglers, "slow", 4.0, trials=(7, 8)) == [Slowness(4.0, 1.2, is_certain=False)]


def test_it_is_certain_once_four_trials_were_slow_there_and_none_was_not() -> None:
    stragglers = Stragglers()
    note(stragglers, "good", 1.0, trials=(1, 2))
    assert [found.is_certain for found in note(stragglers, "slow", 4.0, trials=(3, 4, 5, 6, 7))] == [False, True]
    # One of the four may have had the parameters for it.
    assert [found.is_certain for found in note(stragglers, "b2", 4.0, 4.0, 2.9, 4.0, trials=(8, 9, 10, 11))] == [False]


def test_a_long_trial_counts_as_much_as_a_short_one() -> None:
    stragglers = Stragglers()
    note(stragglers, "good", 1.0, trials=(1, 2))
    assert note(stragglers, "b2", 1.0, 1.0, 9.0, trials=(3, 4, 5)) == []
    for _ in range(100):
        assert stragglers.note_epoch("b2", "a", 5, 9.0) is None


def test_one_trial_another_arm_and_a_machine_alone_say_nothing() -> None:
    stragglers = Stragglers()
    assert note(stragglers, "a1", 1.0, trials=(1, 2)) == []
    # It may have the parameters for it.
    assert note(stragglers, "b2", 9.0, trials=(3,)) == []
    assert note(stragglers, "c3", 9.0, arm="b", trials=(4, 5)) == []
    assert note(stragglers, "", 9.0, trials=(6, 7)) == []


def train(driver: EngineRig, faults: Faults, machine: str, seconds: float, numbers: range) -> None:
    """Epochs of a few trials on a machine; all of them stand in the log as the first trial."""
    trial = driver.ledger.trials[1]
    for number in numbers:
        trial.number = number
        for _ in range(MIN_EPOCHS):
            faults.note_success(machine, trial)
            faults.note_epoch(machine, trial, seconds)
    trial.number = 1


def test_a_slow_machine_is_in_the_log_of_the_sweep_until_the_next_start(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    begin(driver)
    faults = Faults(driver.ledger, driver.engine.callbacks, keeps_slow=False)
    train(driver, faults, "a1", 1.0, range(1, 3))
    train(driver, faults, "b2", 5.0, range(3, 5))
    (suspect,) = Ledger(driver.folder, read_only=True).suspects
    assert (suspect.machine, suspect.fault) == ("b2", "slow")
    assert suspect.text == driver.said[-1] == "b2 is slow: epochs of all take 5 s there, and 1 s elsewhere."


def test_a_machine_that_stays_slow_gets_no_more_trials_as_long_as_another_one_does(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    begin(driver)
    faults = Faults(driver.ledger, driver.engine.callbacks, keeps_slow=False)
    train(driver, faults, "a1", 1.0, range(1, 3))
    train(driver, faults, "b2", 5.0, range(3, 7))
    assert driver.left_out == {
        "b2": "epochs of all take 5 s there, and 1 s elsewhere (limits: {slow_machines: keep} would keep it)"
    }
    assert [suspect.fault for suspect in Ledger(driver.folder, read_only=True).suspects] == ["slow", "left out"]
    # It is the only one that is left.
    driver.leaving, driver.gone = {"b2"}, {"a1"}
    train(driver, faults, "c3", 9.0, range(7, 11))
    assert list(driver.left_out) == ["b2"]


def test_a_slow_machine_that_is_to_be_kept_is_only_named(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM, limits={"slow_machines": "keep"}), tmp_path / "tiny")
    trial = begin(driver)
    for machine, seconds in (("a1", 1.0), ("b2", 5.0)):
        for number in range(1, 6):
            trial.number = number
            for _ in range(MIN_EPOCHS):
                driver.engine._failures.note_report(machine, trial)
                driver.engine._failures.note_epoch(machine, trial, seconds)
    trial.number = 1
    assert not driver.left_out
    assert [suspect.fault for suspect in Ledger(driver.folder, read_only=True).suspects] == ["slow"]
