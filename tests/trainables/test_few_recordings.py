"""A corpus so small that validation and test have one clip each: what can't be measured is NaN, and ends nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from orchestrator.plugins.loader import find_trainables, load_trainable
from orchestrator.worker.guard import Guard
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.support.randomness import seed_everything
from trainables.trainable import Trainable

RATE_HZ = 22_050
TRAINABLES = {name: load_trainable(name, Path()) for name in find_trainables()}
UNKNOWN = {
    f"val/{name}"
    for name in (
        *("fad", "fid", "kid", "different_bins", "diversity", "variation", "active_units", "active_vectors"),
        *("sample_fad", "sample_kid", "sample_different_bins"),
    )
}
"""Metrics of distributions, and of what varies between clips: one clip has none."""


@pytest.fixture(scope="module")
def few_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three classes of 3, 1 and 1 recordings of a clip each: three train clips, one to validate, one to test."""
    folder = tmp_path_factory.mktemp("few")
    generator = np.random.default_rng(0)
    for label, (name, count) in enumerate((("dog", 3), ("rain", 1), ("sea", 1))):
        for index in range(count):
            path = folder / "sounds" / name / f"{index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            time_s = np.arange(int(0.7 * RATE_HZ)) / RATE_HZ
            tone = 0.3 * np.sin(2 * np.pi * (200 + 100 * label + 30 * index) * time_s)
            soundfile.write(path, tone + 0.05 * generator.standard_normal(len(time_s)), RATE_HZ)
            Image.fromarray(generator.integers(0, 255, (64, 64, 3), np.uint8)).save(path.with_suffix(".png"))
    settings = {"name": "folder", "root": str(folder / "sounds"), "clip_s": 0.5}
    corpus = open_corpus(settings, folder / "home")
    assert corpus.clips["split"].value_counts().to_dict() == {"train": 3, "validation": 1, "test": 1}
    return corpus


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("autoencoder", {"loss": "vae"}),
        ("autoencoder", {"loss": "rvq"}),
        ("classifier", {}),
        ("image_to_sound", {"contrastive_weight": 0.3}),
    ],
)
def test_one_validation_clip_is_enough_to_train(name: str, settings: dict[str, Any], few_corpus: Corpus) -> None:
    kind: type[Trainable] = TRAINABLES[name]
    seed_everything(0)
    config = kind.Config(**{**kind.DEBUG, **settings})
    assert kind.prepare([config], few_corpus) is not None
    trainable = kind(config, few_corpus, device="cpu", seed=0)
    metrics = trainable.step()
    assert set(kind.reported(config)) <= set(metrics)
    assert {key for key, value in metrics.items() if not math.isfinite(value)} == UNKNOWN & metrics.keys()
    row: dict[str, Any] = {"epoch": 1, "metrics": metrics}
    assert Guard("val/loss").divergence(metrics, [row, row], trainable.state_dict()) is None
    table = trainable.evaluate("test")
    assert table is not None and len(table) == 1
