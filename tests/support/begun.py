"""A trainable that begins from a trained model, and a sweep that has one."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from orchestrator.state.paths import BEST, CHECKPOINT
from tests.benchmarks.noop import Noop
from tests.support.sweep_folder import SweepFolder
from trainables.corpora.corpus import Corpus
from trainables.trainable import TrainedModel


class Begun(Noop):
    """Reports the size of the file that its model is in, which it reads like weights."""

    class Config(Noop.Config):
        model: TrainedModel = Field("scratch", description="what it begins from")

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        super().__init__(config, corpus, device=device, seed=seed)
        self.size = len(Path(config.model).read_bytes())

    def step(self) -> dict[str, float]:
        return super().step() | {"train/bytes": float(self.size)}


def write_trained(home: Path, content: bytes = b"first") -> Path:
    """Write the sweep `other` with one trial, and return the path of the trial's checkpoint."""
    other = SweepFolder(home, "other")
    other.start()
    other.whole_trial(1)
    path = other.trial(1) / CHECKPOINT / BEST
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path
