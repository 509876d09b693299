"""What search spaces need to know of sound_to_image; apart from `trainable`, which imports torch."""

from __future__ import annotations

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.sound_to_image.config import METRICS, SoundToImageConfig
from trainables.sound_to_image.weights import count_weights
from trainables.trainable import Declaration

TYPICAL_CLASSES = 10


class SoundToImageDeclaration(Declaration):
    """The settings and the metrics of `SoundToImage`."""

    Config = SoundToImageConfig
    RENDERING = frozenset({"truncation"})
    METRICS = METRICS
    GENERATES = ("sound", "image")
    DEBUG = {"width": 8, "noise_dim": 8, "batch_size": 8, "image_size": 32, "r1_every": 2}

    @classmethod
    def checkpoint_bytes(cls, config: SoundToImageConfig, clip: ClipFormat = USUAL_CLIP) -> int:
        """Estimate the size of a checkpoint on a corpus of ten classes: of its networks and their optimizers."""
        return count_weights(config, TYPICAL_CLASSES).checkpoint_bytes
