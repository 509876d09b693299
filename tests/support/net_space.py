"""A search space over a trainable with settings of every kind, written into the current folder with some edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.search_space.reader import Sweep, read_search_space

TRAINABLE = """
from typing import Literal
from pydantic import Field, model_validator
from trainables.trainable import Metric, Trainable, TrialConfig

class Net(Trainable):
    class Config(TrialConfig):
        loss: Literal["l1", "l2", "vae"] = "l2"
        size: Literal["24x64", "48x128"]
        latent: int = Field(128, ge=1)
        lr: float = Field(1e-3, gt=0, le=1)
        kl_weight: float | None = Field(None, ge=0)
        batch: int = Field(32, ge=1)
        width: int = 16
        use_ema: bool = False

        @model_validator(mode="after")
        def check_batch(self):
            if self.batch > 8 * self.width:
                raise ValueError(f"batch must be at most 8 x width ({8 * self.width}), got {self.batch}")
            return self

    METRICS = {
        "val/score": Metric("max", "all", "a share"),
        "val/error": Metric("min", "all", "a share"),
        "val/own_error": Metric("min", "same_representation", "own units"),
        "train/loss": Metric("min", "same_loss", "the loss"),
    }

    def __init__(self, config, corpus, *, device, seed): ...
    def step(self): return {}
    def state_dict(self): return {}
    def load_state_dict(self, state): ...
"""

SPACE = """\
name: test
trainable: ./net.py
objective: {metric: val/score, mode: max}
compare:
  loss: [l1, l2, vae]
baseline: {loss: l2}
params:
  size: 48x128
  lr: {loguniform: [1e-4, 3e-3]}
  kl_weight: {loguniform: [1e-3, 4], when: {loss: vae}}
budget: {trials_per_arm: 8, max_epochs: 12, hours: 2}
pruning: {grace_epochs: 2}
"""

BUNDLES = """\
compare:
  loss: [l1, l2, vae]
  norm:
    joint: {batch: 16}
    wide: {width: 64}
"""


COMPARE = ("compare:\n  loss: [l1, l2, vae]\n", BUNDLES)
WITHOUT_COMPARE = ("compare:\n  loss: [l1, l2, vae]\nbaseline: {loss: l2}\n", "")

PRESETS = """\
presets:
  big:
    budget: {max_epochs: 60}
    params: {lr: {choice: [0.1, 0.2]}}
    confirm: {top: 2}
  small: {budget: {max_epochs: 3}}
"""


def with_presets() -> tuple[str, str]:
    return "pruning: {grace_epochs: 2}\n", f"pruning: {{grace_epochs: 2}}\n{PRESETS}"


def go_to_net(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder the current one, with the trainable of these search spaces in it."""
    (folder / "net.py").write_text(TRAINABLE)
    monkeypatch.chdir(folder)
    return folder


def write(*edits: tuple[str, str], text: str = SPACE) -> Path:
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = Path("space.yaml")
    path.write_text(text)
    return path


def read(*edits: tuple[str, str], **options: Any) -> Sweep:
    return read_search_space(write(*edits), **options)


def mistakes(*edits: tuple[str, str], **options: Any) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        read(*edits, **options)
    return list(caught.value.lines)
