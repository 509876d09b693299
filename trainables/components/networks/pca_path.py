"""A linear path beside the convolutions of an autoencoder, initialized with principal components of the train clips.

Small corpora have too few clips for convolutions alone to reach the error of a PCA. Beside a linear path they only need
to learn what is not linear.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.components.shapes import Clips, Latents

SAMPLE_CLIPS = 4096
SAMPLE_VALUES = 1 << 25
"""The largest number of clips, and of values (128 MB), that the components are computed from."""
POWER_ITERATIONS = 4


class LinearPath(nn.Module):
    """A linear encoder and decoder: z = W(x − μ), of unit variance in each latent after `fit`, and x̂ = μ + Vz.

    Args:
        shape: channels, frames and bins of a clip.
        num_latents: the length of z.
    """

    mean: Tensor

    def __init__(self, shape: tuple[int, int, int], num_latents: int) -> None:
        super().__init__()
        num_values = math.prod(shape)
        self.register_buffer("mean", torch.zeros(num_values))
        self.encoder = nn.Linear(num_values, num_latents, bias=False)
        self.decoder = nn.Linear(num_latents, num_values, bias=False)
        self._shape = shape

    def fit(self, sample: Clips) -> None:
        """Set the weights to the principal components of a sample of clips.

        The method is randomized subspace iteration (Halko, Martinsson and Tropp, 2011), which draws from torch's global
        generator. Latents beyond the sample's rank get weights of 0.
        """
        pixels = sample.flatten(1)
        num_latents = self.encoder.out_features
        rank = min(num_latents, len(pixels) - 1, pixels.shape[1])
        mean = pixels.mean(dim=0)
        # Oversampling by a few directions makes the wanted ones more accurate.
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
        """Return the latents of clips."""
        latents: Latents = self.encoder(clips.flatten(1) - self.mean)
        return latents

    def decode(self, latents: Latents) -> Clips:
        """Return the linear reconstructions of clips."""
        clips: Clips = (self.decoder(latents) + self.mean).unflatten(1, self._shape)
        return clips


def sample_size(num_values: int) -> int:
    """Return the number of clips for `LinearPath.fit`, given the number of values in a clip."""
    return min(SAMPLE_CLIPS, SAMPLE_VALUES // num_values)
