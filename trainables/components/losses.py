"""Losses: how far an estimate is from its target, in the units that the network sees.

A new one is a decorated function here, or in a file named under `components:`. Its value must not depend on how many
clips are in the batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.registry import Registry

Batch = Float[Tensor, "clips frames bins"]
Scalar = Float[Tensor, ""]
Latents = Float[Tensor, "clips latents"]
Reconstruction = Callable[[Tensor, Tensor], Tensor]

SIGMA_FLOOR = 0.05
"""In units of the normalized data; the speckle of pooled noise is several times larger."""
LOG_VARIANCE_RANGE = (-10.0, 4.0)


class Loss:
    """A reconstruction term, called as `loss(estimate, target)`.

    Attributes:
        is_variational: the latent is a distribution, and `kl_divergence` is added to the reconstruction term.
    """

    def __init__(self, reconstruction: Reconstruction, is_variational: bool) -> None:
        functools.update_wrapper(self, reconstruction)
        self.reconstruction = reconstruction
        self.is_variational = is_variational

    def __call__(self, estimate: Batch, target: Batch) -> Scalar:
        return self.reconstruction(estimate, target)


LOSSES: Registry[Loss] = Registry("loss")


def register_loss(name: str, *, is_variational: bool = False) -> Callable[[Reconstruction], Reconstruction]:
    """Decorator that makes a function of `estimate, target` known as a loss."""

    def add(reconstruction: Reconstruction) -> Reconstruction:
        LOSSES.register(name)(Loss(reconstruction, is_variational))
        return reconstruction

    return add


@register_loss("l1")
def l1(estimate: Batch, target: Batch) -> Scalar:
    """Mean absolute difference; its best estimate is the median."""
    return (estimate - target).abs().mean()


@register_loss("l2")
def l2(estimate: Batch, target: Batch) -> Scalar:
    """Mean squared difference; its best estimate is the mean."""
    return (estimate - target).square().mean()


@register_loss("vae", is_variational=True)
def gaussian(estimate: Batch, target: Batch) -> Scalar:
    """Negative log-likelihood of a Gaussian with one variance for all pixels, in nats per pixel.

    The standard deviation is the best one for the batch, its root mean squared error, above a floor (Rybkin, Daniilidis
    and Levine, 2021). With one per pixel the likelihood of predictable pixels would grow without bound.
    """
    variance = (estimate - target).square().mean()
    sigma = SIGMA_FLOOR + (variance + 1e-12).sqrt()
    return variance / (2 * sigma.square()) + sigma.log() + 0.5 * math.log(2 * math.pi)


def kl_divergence(mean: Latents, log_variance: Latents, num_pixels: int) -> Scalar:
    """KL divergence from N(0, 1), summed over latents and averaged over clips, in nats per pixel.

    Divided by the number of pixels as the reconstruction term is, so that their ratio is that of the evidence lower
    bound at every latent size and resolution.
    """
    divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
    return divergence.sum(dim=1).mean() / num_pixels


def sampled(mean: Latents, log_variance: Latents, generator: torch.Generator) -> Latents:
    """Latents drawn from their distributions, differentiably."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_variance).exp() * noise
