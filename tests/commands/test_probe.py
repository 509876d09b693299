"""`plan --probe`: what is measured, and what follows from it."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.commands.planning.estimate import describe_estimate, make_estimate
from orchestrator.commands.planning.load import Durations
from orchestrator.commands.planning.plan import make_plan
from orchestrator.commands.planning.probe import Probe, list_evaluations
from orchestrator.commands.planning.shapes import list_shapes
from orchestrator.driver.grants import grant_resources
from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.state.disk import format_bytes
from orchestrator.worker.measurement import measure
from tests.support.spaces import noop_sweep, trial_spec, write_space

NOON = datetime(2026, 3, 1, 12, 0)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["orchestrate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_configurations_that_differ_in_fractions_only_share_a_shape(tmp_path: Path) -> None:
    assert len(list_shapes(noop_sweep(tmp_path))) == 2
    chosen = {"x": {"uniform": [0.0, 1.0]}, "arm": {"choice": ["a", "b", "c"]}}
    shapes = list_shapes(noop_sweep(tmp_path, compare=None, params=chosen))
    assert sorted(str(shape.params["arm"]) for shape in shapes) == ["a", "b", "c"]
    wide = [{"when": {"arm": "b"}, "resources": {"cpu": 2}}]
    assert [shape.arm.resources.cpu for shape in list_shapes(noop_sweep(tmp_path, arms=wide))] == [1, 2]


def estimate(tmp_path: Path, gpus: float, price: float | None, **changes: object) -> str:
    """The lines about a sweep on two machines, of which each trial takes 2 s and 100 s an epoch, and half a card."""
    sweep = noop_sweep(tmp_path, pruning=None, resources={"cpu": 1, "gpu": 0.5}, **changes)
    capacity = Capacity((Machine(4, gpus, name="one"), Machine(4, gpus, name="two")))
    grants, notes = grant_resources(sweep, capacity)
    durations = {arm.name: (Durations(start=2, epoch=100, completed=7),) for arm in sweep.arms}
    probe = Probe(2, durations, 20.0, 10**6, 0, capacity, grants, notes)
    assert list_evaluations(sweep) == {}
    return "\n".join(describe_estimate(sweep, make_plan(sweep), probe, make_estimate(sweep, probe), price, NOON))


def test_time_and_money_follow_from_the_slots_of_the_cluster(tmp_path: Path) -> None:
    # 12 trials of 409 s in four halves of cards: three rounds and the start.
    text = estimate(tmp_path, gpus=1, price=2.5)
    assert "4 trials at once on one, two: cpu 4, gpu 1" in text
    assert "time: 21 min (p50), 21 min (p90); begun now, finished at 12:20 (p50)" in text
    hours = 12 * 409 / 2 / 3600
    assert f"GPU-hours: {hours:.2f} (p50)" in text
    assert f"cost: {2.5 * hours:.2f} (p50), {2.5 * hours:.2f} (p90) at 2.5 an hour" in text
    assert f"checkpoints of {format_bytes(10**6)}, {format_bytes(24 * 10**6)} at most" in text
    assert "note:" not in text


def test_without_cards_all_processors_work_and_nothing_is_paid(tmp_path: Path) -> None:
    text = estimate(tmp_path, gpus=0, price=2.5, budget={"trials_per_arm": 6, "max_epochs": 4, "hours": 0.1})
    assert "8 trials at once" in text and "time: 14 min" in text
    assert "GPU-hours: none (no GPU here)" in text and "cost" not in text
    assert "note: No GPU here: trials run on the CPU." in text
    assert "note: budget.hours (0.1) ends the sweep before that" in text


def test_a_finish_on_another_day_has_its_date(tmp_path: Path) -> None:
    text = estimate(tmp_path, gpus=1, price=None, budget={"trials_per_arm": 900, "max_epochs": 4})
    assert re.search(r"finished at Tue 03 Mar \d\d:\d\d \(p50\)", text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price-per-gpu-hour", "3"], "--price-per-gpu-hour 3.0: is for the estimate of --probe; add --probe"),
        (["--address", "auto"], "--address auto: is for the estimate of --probe; add --probe"),
        (["--probe", "--address", "http://head:8265"], "the URL of a dashboard, which only accepts jobs"),
    ],
)
def test_options_that_fit_nothing_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert run(monkeypatch, "plan", str(write_space(tmp_path / "tiny.yaml")), *options) == 2
    assert said in capsys.readouterr().err


FAILING = """
import time
from tests.benchmarks.noop import Noop

class Slow(Noop):
    class Config(Noop.Config):
        arm: str = "a"

    def step(self):
        if self.config.arm == "b":
            raise RuntimeError("b is no good")
        time.sleep(0.5)
        return super().step()
"""


def test_a_probe_trains_each_shape_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow.py").write_text(FAILING)
    home = tmp_path / "home"
    space = str(write_space(tmp_path / "tiny.yaml", trainable="./slow.py", pruning=None, compare={"arm": ["a", "c"]}))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert run(monkeypatch, "plan", space, "--probe", "--home", str(home)) == 0
    lines = capfd.readouterr().out
    assert re.search(r"arm=c: start \d+\.\d( to \d+\.\d)? s, epoch 0\.[5-9]", lines)
    assert re.search(r"time: .* \(p50\), .* \(p90\); begun now, finished at", lines)
    assert not (home / "tiny").exists()


def test_a_shape_that_cannot_be_trained_has_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "slow.py").write_text(FAILING)
    spec = trial_spec(tmp_path, trainable="./slow.py", config={"x": 0.5, "arm": "b"})
    measurement = measure(asdict(spec), {})
    assert measurement.error.startswith("RuntimeError: b is no good (slow.py:")
    works = measure(asdict(replace(spec, config={"x": 0.5, "arm": "c"})), {"pruned": {}})
    assert works.error == "" and works.epoch >= 0.5 and works.checkpoint_bytes > 0
    assert works.first_start > 0 and works.evaluations["pruned"] > 0
    assert list((tmp_path).glob("trials")) == []
