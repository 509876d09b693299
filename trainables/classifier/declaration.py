"""What search spaces need to know of the classifier; apart from `trainable`, which imports torch."""

from __future__ import annotations

from trainables.classifier.config import METRICS, ClassifierConfig
from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.trainable import Declaration


class ClassifierDeclaration(Declaration):
    """The settings and the metrics of `Classifier`."""

    Config = ClassifierConfig
    METRICS = METRICS
    DEBUG = {"batch_size": 8}

    @classmethod
    def checkpoint_bytes(cls, config: ClassifierConfig, clip: ClipFormat = USUAL_CLIP) -> None:
        """Return None: the size depends on the number of classes, and is not known before a trial runs."""
        return None
