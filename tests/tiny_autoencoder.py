"""An autoencoder in the settings that its class has for debugging."""

from __future__ import annotations

from typing import Any

from trainables.autoencoder import Autoencoder
from trainables.corpora.corpus import Corpus


def make(corpus: Corpus, **settings: Any) -> Autoencoder:
    config = Autoencoder.Config(**{**Autoencoder.DEBUG, **settings})
    return Autoencoder(config, corpus, device="cpu", seed=0)


def heard_with(trained: Autoencoder, **settings: Any) -> Autoencoder:
    """A trained one with other settings of `RENDERING`."""
    config = trained.config.model_copy(update=settings)
    heard = Autoencoder(config, trained.corpus, device=str(trained.device), seed=0)
    heard.load_state_dict(trained.state_dict())
    return heard
