"""Training on a real graphics card; `make test-gpu` runs these, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.console import Screen
from orchestrator.search_space import read_search_space
from orchestrator.sweep import run_sweep
from orchestrator.trial_run import TrialRun
from tests.spaces import trial_spec, write_space

pytestmark = pytest.mark.gpu
CONFIG = {"loss": "vae", "spectrogram": "24x64", "latent_dim": 8, "width": 8}


def test_a_trial_trains_on_the_card_and_goes_on_from_its_checkpoint(
    tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    spec = trial_spec(
        tmp_path,
        folder=str(tmp_path / "0001"),
        home=str(tiny_home),
        trainable="autoencoder",
        config=CONFIG,
        corpus={"name": "folder", "root": str(tiny_corpus)},
        objective="val/judge_probability",
        clips=2,
        media_epochs=(1,),
        gpu=0.5,
    )
    run = TrialRun(spec)
    assert run.device == "cuda"
    run.step()
    assert torch.cuda.max_memory_allocated() > 0
    assert (tmp_path / "0001" / "media" / "epoch_01" / "clips.json").exists()
    run.close()
    again = TrialRun(spec)
    assert again.step()["epoch"] == 2
    again.close()


def test_trials_of_a_sweep_share_a_card(tiny_corpus: Path, tiny_home: Path, tmp_path: Path) -> None:
    space = write_space(
        tmp_path / "shared.yaml",
        name="shared",
        trainable="autoencoder",
        corpus={"name": "folder", "root": str(tiny_corpus)},
        objective={"metric": "val/judge_probability", "mode": "max"},
        compare={"loss": ["l1", "l2"]},
        params={"spectrogram": "24x64", "latent_dim": 8, "width": 8},
        budget={"trials_per_arm": 2, "max_epochs": 2},
        resources={"cpu": 1, "gpu": 0.5, "require_gpu": True},
        pruning="none",
    )
    ledger = run_sweep(read_search_space(space), tiny_home, Screen())
    assert [trial.outcome for trial in ledger.trials.values()] == ["completed"] * 4
    saved = torch.load(tiny_home / "shared" / "trials" / "0001" / "checkpoint" / "last.pt", weights_only=True)
    assert saved["state"]["encoder"] and all(tensor.is_cuda for tensor in saved["state"]["encoder"].values())
