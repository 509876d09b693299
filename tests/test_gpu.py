"""Training on a real graphics card; `make test-gpu` runs these, where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.console import Screen
from orchestrator.search_space import read_search_space
from orchestrator.sweep import run_sweep
from orchestrator.trial_run import TrialRun
from tests.spaces import trial_spec, write_space
from trainables.autoencoder import Autoencoder
from trainables.components.rendering import PHASES
from trainables.corpora.corpus import open_corpus

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
    assert saved["state"]["networks"] and all(tensor.is_cuda for tensor in saved["state"]["networks"].values())


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": "both", "phase_representation": "cos_sin", "phase_loss": "cosine", "phase": "own"},
        {"representation": "audiovision", "reduction": "decimate", "channels": "both", "phase": "own", "norm": "batch"},
        {"representation": "mel", "magnitude_normalization": "max_abs", "output": "tanh"},
        {"linear_path": "pca", "time_roll": True, "loss": "vae", "sigma": "per_pixel"},
    ],
)
def test_every_kind_of_clip_trains_and_is_heard_on_the_card(
    tiny_corpus: Path, tiny_home: Path, settings: dict[str, Any]
) -> None:
    corpus = open_corpus({"name": "folder", "root": str(tiny_corpus)}, tiny_home)
    autoencoder = Autoencoder(Autoencoder.Config(**{**Autoencoder.DEBUG, **settings}), corpus, device="cuda", seed=0)
    assert np.isfinite(list(autoencoder.step().values())).all()
    for phase in [name for name in PHASES if name != "own" or settings.get("phase") == "own"]:
        autoencoder.config = autoencoder.config.model_copy(update={"phase": phase})
        assert np.isfinite(autoencoder.evaluate("validation").select_dtypes("number").to_numpy()).all()
