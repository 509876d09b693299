"""The time of graphics cards is measured, kept in the log, and limits a sweep."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.gpu_meter import GpuMeter
from orchestrator.driver.stop_messages import StopMessages
from orchestrator.driver.tasks import Tasks
from orchestrator.errors import SearchSpaceError
from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.state.budget import Budget
from orchestrator.state.events.sweep import Spent
from orchestrator.state.ledger import Ledger
from tests.benchmarks.chaos_rig import fill, small_disk
from tests.support.driving import ledger_of
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep

LIMITED: dict[str, Any] = {"trials_per_arm": 2, "max_epochs": 4, "gpu_hours": 1}


def test_shares_of_cards_are_added_up_and_the_log_keeps_them(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, resources={"gpu": 0.5}, pruning="none", budget=LIMITED)
    ledger = ledger_of(sweep, tmp_path / "tiny")
    now_s, gpus, stops = [100.0], [0.5], []
    meter = GpuMeter(
        ledger, Budget(sweep, ledger).gpu_seconds, lambda: gpus[0], lambda: stops.append(1), lambda: now_s[0]
    )
    for _ in range(600):
        now_s[0] += 1
        meter.look()
    # Not every second is written.
    assert 4 < sum(isinstance(event, Spent) for event in ledger.read_events()) < 12
    meter.write()
    assert ledger.gpu_seconds == pytest.approx(300) and not stops
    # Another driver goes on from there; nothing is counted between them.
    ledger = ledger_of(sweep, tmp_path / "tiny")
    now_s[0] += 10_000
    meter = GpuMeter(ledger, Budget(sweep, ledger).gpu_seconds, lambda: 2.0, lambda: stops.append(1), lambda: now_s[0])
    while not stops:
        now_s[0] += 1
        meter.look()
    assert Ledger(tmp_path / "tiny", read_only=True).gpu_seconds == pytest.approx(3600, abs=2)


@pytest.mark.root
def test_what_a_full_disk_does_not_take_is_written_once_there_is_room(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, resources={"gpu": 0.5}, pruning="none", budget=LIMITED)
    now_s = [100.0]
    with small_disk(tmp_path / "home", 1) as is_small:
        assert is_small, "no file system can be mounted here"
        ledger = ledger_of(sweep, tmp_path / "home" / "tiny")
        meter = GpuMeter(ledger, 1e6, lambda: 1.0, lambda: None, lambda: now_s[0])
        fill(tmp_path / "home" / "ballast")
        # The last page of the log still takes some.
        for _ in range(200):
            now_s[0] += 61
            meter.look()
        meter.write()
        assert ledger.gpu_seconds < 200 * 61
        (tmp_path / "home" / "ballast").unlink()
        now_s[0] += 61
        meter.look()
        assert Ledger(tmp_path / "home" / "tiny", read_only=True).gpu_seconds == pytest.approx(201 * 61)


def test_a_sweep_without_such_a_limit_measures_nothing(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = ledger_of(sweep, tmp_path / "tiny")
    meter = GpuMeter(ledger, Budget(sweep, ledger).gpu_seconds, lambda: 1.0, lambda: None)
    meter.look()
    meter.write()
    assert ledger.read_events() == [] and ledger.gpu_seconds == 0
    assert StopMessages(sweep, tmp_path, ledger).gpu_line == ""


def test_tasks_that_wait_for_a_card_hold_none(tmp_path: Path) -> None:
    sweep = noop_sweep(
        tmp_path, resources={"gpu": 0.5}, pruning="none", compare=None, budget={**LIMITED, "trials_per_arm": 5}
    )
    driver = EngineRig(sweep, tmp_path / "tiny")
    trials = [trial for trial in (driver.hand_out() for _ in range(5)) if trial is not None]
    tasks = Tasks(sweep, tmp_path, Capacity((Machine(8, 1),)))
    assert [tasks.count_gpus(trials[:count]) for count in (1, 2, 5)] == [0.5, 1, 1]


@pytest.mark.parametrize(
    ("limits", "seconds", "said"),
    [
        ({"gpu_hours": 2}, 7200, r"spent its budget\.gpu_hours of 2; .*--set budget\.gpu_hours=4"),
        (
            {"cost": 5, "price_per_gpu_hour": 2.5, "gpu_hours": 8},
            7200,
            r"spent its budget\.cost of 5 \(2 GPU-hours at 2\.5\); .*--set budget\.cost=10",
        ),
        ({"cost": 50, "price_per_gpu_hour": 2.5, "gpu_hours": 8}, 28800, r"budget\.gpu_hours of 8"),
    ],
)
def test_the_smaller_limit_counts_and_the_message_says_how_to_go_on(
    tmp_path: Path, limits: dict[str, float], seconds: float, said: str
) -> None:
    budget = {"trials_per_arm": 2, "max_epochs": 4, **limits}
    sweep = noop_sweep(tmp_path, resources={"gpu": 1}, pruning="none", budget=budget)
    ledger = ledger_of(sweep, tmp_path / "tiny")
    assert Budget(sweep, ledger).gpu_seconds == seconds
    line = StopMessages(sweep, tmp_path, ledger).gpu_line
    assert re.search(said, line), line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": {**LIMITED}}, "budget.gpu_hours: limits the time of GPUs, and resources.gpu is 0"),
        ({"budget": {**LIMITED, "gpu_hours": "none", "cost": 3}}, "has cost, which needs price_per_gpu_hour"),
        ({"budget": {**LIMITED, "gpu_hours": 0}}, "budget.gpu_hours"),
    ],
)
def test_limits_that_can_not_be_meant_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchSpaceError) as mistakes:
        noop_sweep(tmp_path, pruning="none", **changes)
    assert said in str(mistakes.value)
