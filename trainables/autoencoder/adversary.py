"""Discriminators of spectrograms, one for each band of frequencies, and their training beside an autoencoder.

Discriminators by bands are those of the Descript Audio Codec (Kumar et al., 2023), whose bands are of STFTs at several
resolutions. Here they get the normalized magnitudes that the autoencoder reconstructs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.networks.weights import DISCRIMINATOR_BANDS, DISCRIMINATOR_STEPS, DISCRIMINATOR_WIDTH
from trainables.components.shapes import Scalar
from trainables.components.training.loop import descend

BETAS = (0.8, 0.99)
"""Of the discriminators' Adam (Kong, Kim and Bae, 2020)."""
SLOPE = 0.1

Maps = Float[Tensor, "clips channels frames bins"]


class BandDiscriminators(nn.Module):
    """A network for each band of `DISCRIMINATOR_BANDS`, which scores how real each place of the band looks.

    Layers are spectrally normalized (Miyato et al., 2018): no penalty of gradients is needed, which would need second
    derivatives.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bands = nn.ModuleList(_layers() for _ in pairwise(DISCRIMINATOR_BANDS))

    def forward(self, magnitudes: Maps) -> tuple[list[Tensor], list[Tensor]]:
        """Return the scores of each band, and the outputs of all layers before them."""
        num_bins = magnitudes.shape[3]
        scores, features = [], []
        for (low, high), layers in zip(pairwise(DISCRIMINATOR_BANDS), self.bands, strict=True):
            assert isinstance(layers, nn.ModuleList)
            *hidden, last = layers
            maps = magnitudes[:, :, :, round(low * num_bins) : round(high * num_bins)]
            for layer in hidden:
                maps = F.leaky_relu(layer(maps), SLOPE)
                features.append(maps)
            scores.append(last(maps))
        return scores, features


def _layers() -> nn.ModuleList:
    width, steps = DISCRIMINATOR_WIDTH, DISCRIMINATOR_STEPS
    layers = [nn.Conv2d(1, width, 3, padding=1)]
    layers += [nn.Conv2d(width, width, 3, stride=(2, 1), padding=1) for _ in range(steps)]
    layers += [nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)]
    return nn.ModuleList(spectral_norm(layer) for layer in layers)


class Adversary:
    """Trains discriminators to separate clips from their reconstructions, and scores reconstructions by them.

    The losses are least squares (Mao et al., 2017), and the distance of the discriminators' features of a
    reconstruction from those of its clip (feature matching; Kumar et al., 2019).
    """

    def __init__(self, config: AutoencoderConfig, device: torch.device) -> None:
        """Make untrained discriminators, drawn from torch's global generator, and their optimizer."""
        self.discriminators = BandDiscriminators().to(device)
        self._config = config
        parameters = self.discriminators.parameters()
        self._optimizer = torch.optim.Adam(parameters, lr=config.discriminator_lr, betas=BETAS, fused=True)

    def train(self, estimate: Maps, target: Maps) -> dict[str, Scalar]:
        """Make one optimizer step of the discriminators.

        Args:
            estimate: normalized magnitudes of reconstructions.
            target: those of the clips.

        Returns:
            The discriminators' loss: 0.25 if they can't separate the two, 0 if they do without fail.
        """
        real_scores, fake_scores = self.discriminators(target)[0], self.discriminators(estimate.detach())[0]
        terms = [
            ((1 - real).square().mean() + fake.square().mean()) / 2
            for fake, real in zip(fake_scores, real_scores, strict=True)
        ]
        loss = torch.stack(terms).mean()
        norm = descend(self._optimizer, self.discriminators, loss)
        # A step that was skipped because of its gradient has to count as skipped.
        return {"discriminator_loss": loss.detach().where(norm.isfinite(), torch.inf)}

    def loss(self, estimate: Maps, target: Maps) -> Scalar:
        """Return `adversarial_weight` x (least-squares loss + `feature_weight` x feature distance).

        Args:
            estimate: normalized magnitudes of reconstructions.
            target: those of the clips.
        """
        # The autoencoder's loss must not train the discriminators.
        self.discriminators.requires_grad_(False)
        fake_scores, fake_features = self.discriminators(estimate)
        with torch.no_grad():
            real_features = self.discriminators(target)[1]
        self.discriminators.requires_grad_(True)
        adversarial = torch.stack([(1 - fake).square().mean() for fake in fake_scores]).mean()
        distances = [(fake - real).abs().mean() for fake, real in zip(fake_features, real_features, strict=True)]
        matching = torch.stack(distances).mean()
        return self._config.adversarial_weight * (adversarial + self._config.feature_weight * matching)

    def state_dict(self) -> dict[str, Any]:
        """Return discriminators and optimizer."""
        return {"discriminators": self.discriminators.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.discriminators.load_state_dict(state["discriminators"])
        self._optimizer.load_state_dict(state["optimizer"])
