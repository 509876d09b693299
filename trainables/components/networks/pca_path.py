"""A linear way through the latent, beside the convolutions: it starts as the principal components of the train clips.

Convolutions alone need more clips than there often are to do as well as principal components do at once. Beside them
they only have to learn what is not linear.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

SAMPLE_CLIPS = 4096
SAMPLE_VALUES = 1 << 25
"""Components are found from at most so many clips and numbers (128 MB)."""
POWER_ITERATIONS = 4

Clips = Float[Tensor, "clips channels frames bins"]
Latents = Float[Tensor, "clips latents"]


class LinearPath(nn.Module):
    """z = W(x − μ) with unit variance in each latent, and x̂ = μ + Vz."""

    mean: Tensor

    def __init__(self, shape: tuple[int, int, int], num_latents: int) -> None:
        super().__init__()
        num_values = math.prod(shape)
        self.register_buffer("mean", torch.zeros(num_values))
        self.encoder = nn.Linear(num_values, num_latents, bias=False)
        self.decoder = nn.Linear(num_latents, num_values, bias=False)
        self._shape = shape

    def fit(self, sample: Clips) -> None:
        """Start as the principal components of a sample, by randomized subspace iteration (Halko, Martinsson and
        Tropp, 2011) from torch's global generator. Latents beyond the sample's rank stay closed."""
        pixels = sample.flatten(1)
        num_latents = self.encoder.out_features
        rank = min(num_latents, len(pixels) - 1, pixels.shape[1])
        mean = pixels.mean(dim=0)
        # A few more than are wanted make those that are wanted better.
        num_directions = min(rank + 16, *pixels.shape)
        _, singular, directions = torch.svd_lowrank(pixels - mean, q=num_directions, niter=POWER_ITERATIONS)
        deviation = (singular[:rank] / len(pixels) ** 0.5).clamp(min=1e-6)
        with torch.no_grad():
            self.mean.copy_(mean)
            for weight in (self.encoder.weight, self.decoder.weight):
                weight.zero_()
            self.encoder.weight[:rank] = directions[:, :rank].T / deviation[:, None]
            self.decoder.weight[:, :rank] = directions[:, :rank] * deviation

    def encode(self, clips: Clips) -> Latents:
        latents: Latents = self.encoder(clips.flatten(1) - self.mean)
        return latents

    def decode(self, latents: Latents) -> Clips:
        clips: Clips = (self.decoder(latents) + self.mean).unflatten(1, self._shape)
        return clips


def sample_size(num_values: int) -> int:
    """How many clips of so many numbers components are found from."""
    return min(SAMPLE_CLIPS, SAMPLE_VALUES // num_values)
