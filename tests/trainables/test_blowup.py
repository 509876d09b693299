"""The VAE of the report that "kept blowing up suddenly", and what becomes of it here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.storage.json_lines import Line
from orchestrator.worker.attempt import TrialRun
from tests.support.spaces import trial_spec

BLOWING = Path(__file__).parents[1] / "support" / "blowing_vae.py"
EPOCHS = 12


def train(folder: Path, seed: int, sigma_floor: float) -> list[Line]:
    """Epochs until the trial ends."""
    config = {"lr": 6e-3, "sigma_floor": sigma_floor}
    run = TrialRun(
        trial_spec(folder, trainable=str(BLOWING), config=config, objective="val/mse", mode="min", seed=seed)
    )
    rows: list[Line] = []
    while len(rows) < EPOCHS and not (rows and "diverged" in rows[-1]):
        rows.append(run.step())
    run.close()
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_diverges_within_an_epoch_of_going_wrong_and_says_how(tmp_path: Path, seed: int) -> None:
    rows = train(tmp_path, seed, sigma_floor=0.0)
    last = rows[-1]
    assert last["diverged"]["cause"] in ("blowup", "nonfinite")
    found = re.fullmatch(
        r"epoch (\d+): train/loss (?:rose to .*|became (?:nan|inf)) \(smallest σ (\S+), gradient norm (\S+)\)",
        last["diverged"]["reason"],
    )
    assert found and int(found[1]) == last["epoch"]
    assert float(found[2]) < 0.01 and not float(found[3]) < 1e3
    losses = [row["metrics"]["train/loss"] for row in rows]
    wrong = [number for number, loss in enumerate(losses) if number and not loss < 10 * max(losses[:number])]
    assert not wrong or len(losses) - 1 - wrong[0] <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_a_floor_under_its_deviations_it_trains(tmp_path: Path, seed: int) -> None:
    rows = train(tmp_path, seed, sigma_floor=0.1)
    assert len(rows) == EPOCHS and not any("diverged" in row for row in rows)
    assert rows[-1]["metrics"]["val/mse"] < 0.5 * rows[0]["metrics"]["val/mse"]
