"""Machines on which epochs of comparable trials take much longer."""

from __future__ import annotations

from pathlib import Path

from orchestrator.driver.faults import Faults
from orchestrator.machines.stragglers import MIN_EPOCHS, Stragglers
from orchestrator.state.ledger import Ledger
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep


def note(
    stragglers: Stragglers, machine: str, seconds: float, *, arm: str = "a", trials: tuple[int, ...]
) -> list[object]:
    """Note enough epochs of each trial, and return what was said of them."""
    epochs = [(trial, index) for trial in trials for index in range(MIN_EPOCHS)]
    return [found for trial, _ in epochs if (found := stragglers.note_epoch(machine, arm, trial, seconds))]


def test_a_machine_is_slow_if_its_epochs_take_three_times_as_long_as_elsewhere_and_is_named_once() -> None:
    stragglers = Stragglers()
    assert note(stragglers, "good", 1.0, trials=(1, 2)) == []
    assert note(stragglers, "as good", 1.2, trials=(3, 4)) == []
    assert note(stragglers, "less good", 3.0, trials=(5, 6)) == []
    assert note(stragglers, "slow", 4.0, trials=(7, 8)) == [(4.0, 1.2)]


def test_one_trial_another_arm_and_a_machine_alone_say_nothing() -> None:
    stragglers = Stragglers()
    assert note(stragglers, "a1", 1.0, trials=(1, 2)) == []
    # It may have the parameters for it.
    assert note(stragglers, "b2", 9.0, trials=(3,)) == []
    assert note(stragglers, "c3", 9.0, arm="b", trials=(4, 5)) == []
    assert note(stragglers, "", 9.0, trials=(6, 7)) == []


def test_a_slow_machine_is_in_the_log_of_the_sweep_until_the_next_start(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver)
    faults = Faults(driver.ledger, driver.engine.callbacks)
    for machine, seconds in (("a1", 1.0), ("b2", 5.0)):
        for number in (1, 2):
            trial.number = number
            for _ in range(MIN_EPOCHS):
                faults.note_epoch(machine, trial, seconds)
    trial.number = 1
    (suspect,) = Ledger(driver.folder, read_only=True).suspects
    assert (suspect.machine, suspect.fault) == ("b2", "slow")
    assert suspect.text == driver.said[-1] == "b2 is slow: epochs of all take 5 s there, and 1 s elsewhere."
