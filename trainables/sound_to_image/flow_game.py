"""The training of a flow of latents of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from trainables.components.flow.training import FlowRecipe, FlowTraining
from trainables.components.shapes import Latents
from trainables.sound_to_image.conditioned_pairs import ConditionedPairs
from trainables.sound_to_image.flow_model import FlowModel
from trainables.sound_to_image.game import Game
from trainables.sound_to_image.model import BATCH_CLIPS, Conditions
from trainables.sound_to_image.picture_autoencoder import PictureAutoencoder

BATCH_LATENTS = 64
LR = 2e-3
EMA = 0.995
"""Decay of the averaged weights in a step."""


class FlowGame(Game):
    """Trains a flow on the latents of training pictures, which are computed once.

    Args:
        model: whose flow is trained.
        autoencoder: of the corpus; the model gets its weights.
        pairs: of the training split.
        seed: of the order of pairs, of times and of noise.
    """

    def __init__(self, model: FlowModel, autoencoder: PictureAutoencoder, pairs: ConditionedPairs, seed: int) -> None:
        config = model.config
        model.autoencoder.load_state_dict(autoencoder.state_dict())
        self._model = model
        self._pairs = pairs
        self._num_batches = config.flow_batches
        self._training = FlowTraining(model.flow, seed, FlowRecipe(BATCH_LATENTS, LR, EMA, config.flow_noise))
        self._encoded = self._encode(pairs)

    @torch.no_grad()
    def _encode(self, pairs: ConditionedPairs) -> tuple[Latents, Conditions]:
        """Return the latents of all pictures, and their conditions."""
        positions = torch.arange(len(pairs))
        latents = [self._model.autoencoder.encode(pairs.pictures(part)) for part in positions.split(BATCH_CLIPS)]
        return torch.cat(latents), pairs.all_conditions()

    def train_epoch(self, most: int | None = None) -> dict[str, float]:
        """Make `flow_batches` optimizer steps, or `most` if that is less."""
        measured = self._training.run(*self._encoded, min(self._num_batches, most or self._num_batches))
        return {**measured, "optim/lr": self._training.lr}

    def validate(self, pairs: ConditionedPairs) -> dict[str, float]:
        """Return the loss on held-out pairs, always for the same noise and times."""
        return {"flow_loss": self._model.flow.validation_loss(*self._encode(pairs))}

    def state_dict(self) -> dict[str, Any]:
        """Return optimizer, number of steps and random generator."""
        return self._training.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._training.load_state_dict(state)
        self._pairs.forget_conditions()
        self._encoded = self._encode(self._pairs)
