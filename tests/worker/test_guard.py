"""When a training has gone wrong, and how that is said."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.plugins.user_files import import_outside
from orchestrator.worker.guard import Guard, TooSlow, time_limit
from orchestrator.worker.postmortem import ATTEMPT, cause_of_death

GOOD = {"val/score": 0.5, "train/loss": 1.0, "train/grad_norm": 2.0}


def rows(*losses: float, **metrics: float) -> list[dict[str, Any]]:
    named = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return [{"epoch": number, "metrics": {"train/loss": loss, **named}} for number, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"train/loss": float("nan")}, "train/loss became nan (gradient norm 2)"),
        ({"val/loss": float("inf")}, "val/loss became inf (gradient norm 2)"),
        ({"val/score": float("nan")}, "val/score became nan (gradient norm 2)"),
        ({"train/grad_norm": float("inf")}, "train/grad_norm became inf (gradient norm inf)"),
        ({"train/nonfinite_steps": 4}, "4 steps had a gradient that isn't finite (gradient norm 2)"),
        ({"train/loss": float("nan"), "train/min_sigma": 1e-9}, "became nan (smallest σ 1e-09, gradient norm 2)"),
    ],
)
def test_what_is_not_finite_ends_a_trial_and_is_named(metrics: dict[str, float], reason: str) -> None:
    found = Guard("val/score").divergence(GOOD | metrics, [], {})
    assert found is not None and found["cause"] == "nonfinite" and reason in found["reason"]


def test_a_metric_that_is_not_reported_is_named() -> None:
    found = Guard("val/score").divergence({"train/loss": 1.0}, [], {})
    assert found is not None and found["reason"] == "the trainable did not report val/score"


def test_a_few_steps_left_out_are_no_divergence() -> None:
    assert Guard("val/score").divergence(GOOD | {"train/nonfinite_steps": 3}, [], {}) is None


def test_a_weight_that_is_not_finite_is_found_wherever_it_is() -> None:
    state = {
        "step": 3,
        "net": {"layers": [torch.ones(2), torch.tensor([1.0, float("inf")])]},
        "count": torch.ones(1).int(),
    }
    found = Guard("val/score").divergence(GOOD, [], state)
    assert found is not None and "net.layers.1 has values that are not finite" in found["reason"]
    state["net"]["layers"].pop()
    assert Guard("val/score").divergence(GOOD, [], state) is None


def test_a_loss_far_above_its_median_is_a_blow_up() -> None:
    before = rows(3.0, 1.0, 0.9, 0.8)
    found = Guard("val/score").divergence(GOOD | {"train/loss": 9.6}, before, {})
    assert found is not None and found["cause"] == "blowup"
    assert "train/loss rose to 9.6, its median before was 0.95" in found["reason"]
    assert Guard("val/score").divergence(GOOD | {"train/loss": 9.4}, before, {}) is None
    assert Guard("val/score", blowup=None).divergence(GOOD | {"train/loss": 1e9}, before, {}) is None
    assert Guard("val/score").divergence(GOOD | {"train/loss": 31.0}, before[:1], {}) is not None
    assert Guard("val/score").divergence(GOOD | {"train/loss": 1e9}, [], {}) is None, "too early to say"


def test_a_log_likelihood_near_zero_is_measured_by_how_far_it_went() -> None:
    before = rows(1.0, 0.1, -0.1, -0.2)
    assert Guard("val/score").divergence(GOOD | {"train/loss": 1.5}, before, {}) is None
    found = Guard("val/score").divergence(GOOD | {"train/loss": 5e3}, before, {})
    assert found is not None and found["cause"] == "blowup"


@pytest.mark.parametrize(
    ("name", "value"), [("val/active_units", 0.0), ("val/variation", 1e-5), ("val/active_vectors", 0.0)]
)
def test_what_stays_collapsed_for_three_epochs_ends(name: str, value: float) -> None:
    before = rows(1.0, 1.0, **{name.replace("/", "_"): value})
    found = Guard("val/score").divergence(GOOD | {name: value}, before, {})
    assert found is not None and found["cause"] == "collapse" and "3 epochs" in found["reason"]
    assert Guard("val/score").divergence(GOOD | {name: value}, before[1:], {}) is None
    assert Guard("val/score").divergence(GOOD | {name: 5.0}, before, {}) is None
    assert Guard("val/score", collapsed_epochs=None).divergence(GOOD | {name: value}, before, {}) is None
    falling = rows(1.5, 1.2, **{name.replace("/", "_"): value})
    assert Guard("val/score").divergence(GOOD | {name: value}, falling, {}) is None, "it has not learned yet"


def test_what_does_not_exist_of_a_single_validation_clip_is_no_collapse() -> None:
    names = ("val/active_units", "val/variation", "val/active_vectors")
    before = rows(1.0, 1.0, **dict.fromkeys((name.replace("/", "_") for name in names), math.nan))
    assert Guard("val/score").divergence(GOOD | dict.fromkeys(names, math.nan), before, {}) is None


def test_an_epoch_that_takes_too_long_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"limits\.minutes_per_epoch \(0\.002\)"), time_limit(0.002):
        time.sleep(30)
    assert time.monotonic() - began < 10


def test_code_that_catches_every_exception_is_interrupted_too() -> None:
    with pytest.raises(TooSlow), time_limit(0.002), contextlib.suppress(Exception):
        time.sleep(30)


def test_a_file_whose_import_takes_too_long_is_not_called_wrong(tmp_path: Path) -> None:
    path = tmp_path / "slow.py"
    path.write_text("import time\ntime.sleep(30)\n")
    with pytest.raises(TooSlow), time_limit(0.002):
        import_outside(path)


def test_an_epoch_that_hangs_in_c_is_ended_with_its_process_whose_log_tells_why(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom orchestrator.worker import guard\nguard.HANG_GRACE_S = 0.5\n"
        "with guard.time_limit(0.002, sys.stderr):\n    sum(range(10**13))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    log = tmp_path / "log.txt"
    log.write_text(f"{ATTEMPT} 1, now, process 7\n{done.stderr}")
    cause, reason = cause_of_death(log, 1, out_of_memory=lambda: False)
    assert cause == "timeout" and "no epoch within limits.minutes_per_epoch" in reason
