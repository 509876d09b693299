"""What search spaces need to know of sound_to_image; apart from `trainable`, which imports torch."""

from __future__ import annotations

from collections.abc import Collection

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.sound_to_image.config import FLOW_METRICS, GAN_METRICS, METRICS, SoundToImageConfig
from trainables.sound_to_image.weights import count_weights
from trainables.trainable import Declaration

TYPICAL_CLASSES = 10


class SoundToImageDeclaration(Declaration):
    """The settings and the metrics of `SoundToImage`."""

    Config = SoundToImageConfig
    RENDERING = frozenset({"truncation", "flow_steps", "guidance"})
    METRICS = METRICS
    GENERATES = ("sound", "image")
    DEBUG = {"width": 8, "noise_dim": 8, "batch_size": 8, "image_size": 32, "r1_every": 2, "flow_batches": 20}

    @classmethod
    def reported(cls, config: SoundToImageConfig) -> Collection[str]:
        """Return the names of all metrics, but for those of the other generator's training."""
        others = GAN_METRICS if config.generator == "flow" else FLOW_METRICS
        return [name for name in METRICS if name not in others]

    @classmethod
    def checkpoint_bytes(cls, config: SoundToImageConfig, clip: ClipFormat = USUAL_CLIP) -> int:
        """Estimate the size of a checkpoint on a corpus of ten classes: of its networks and their optimizers."""
        return count_weights(config, TYPICAL_CLASSES).checkpoint_bytes
