"""An autoencoder in the settings that its class has for debugging."""

from __future__ import annotations

from typing import Any

from trainables.autoencoder.trainable import Autoencoder
from trainables.corpora.corpus import Corpus


def make(corpus: Corpus, **settings: Any) -> Autoencoder:
    config = Autoencoder.Config(**{**Autoencoder.DEBUG, **settings})
    return Autoencoder(config, corpus, device="cpu", seed=0)
