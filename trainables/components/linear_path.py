"""A linear way through the latent, beside the convolutions: it starts as the principal components of the train clips.

Convolutions alone need more clips than there often are to do as well as principal components do at once. Beside them
they only have to learn what is not linear.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

SAMPLE_CLIPS = 4096
SAMPLE_VALUES = 1 << 25
"""Components are found from at most so many clips and numbers (128 MB)."""
POWER_ITERATIONS = 4

Spectrograms = Float[Tensor, "clips frames bins"]
Latents = Float[Tensor, "clips latents"]


class LinearPath(nn.Module):
    """z = W(x − μ) with unit variance in each latent, and x̂ = μ + Vz."""

    mean: Tensor

    def __init__(self, frames: int, bins: int, num_latents: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(frames * bins))
        self.encoder = nn.Linear(frames * bins, num_latents, bias=False)
        self.decoder = nn.Linear(num_latents, frames * bins, bias=False)
        self._size = (frames, bins)

    def fit(self, sample: Spectrograms) -> None:
        """Start as the principal components of a sample, by randomized subspace iteration (Halko, Martinsson and
        Tropp, 2011) from torch's global generator. Latents beyond the sample's rank stay closed."""
        pixels = sample.flatten(1)
        num_latents = self.encoder.out_features
        rank = min(num_latents, len(pixels) - 1, pixels.shape[1])
        mean = pixels.mean(dim=0)
        # A few more than are wanted make those that are wanted better.
        asked = min(rank + 16, *pixels.shape)
        _, singular, directions = torch.svd_lowrank(pixels - mean, q=asked, niter=POWER_ITERATIONS)
        deviation = (singular[:rank] / len(pixels) ** 0.5).clamp(min=1e-6)
        with torch.no_grad():
            self.mean.copy_(mean)
            for weight in (self.encoder.weight, self.decoder.weight):
                weight.zero_()
            self.encoder.weight[:rank] = directions[:, :rank].T / deviation[:, None]
            self.decoder.weight[:, :rank] = directions[:, :rank] * deviation

    def encode(self, spectrograms: Spectrograms) -> Latents:
        latents: Latents = self.encoder(spectrograms.flatten(1) - self.mean)
        return latents

    def decode(self, latents: Latents) -> Spectrograms:
        spectrograms: Spectrograms = (self.decoder(latents) + self.mean).unflatten(1, self._size)
        return spectrograms


def sample_size(num_pixels: int) -> int:
    """How many clips components are found from."""
    return min(SAMPLE_CLIPS, SAMPLE_VALUES // num_pixels)
