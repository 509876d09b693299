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

from trainables.support.registry import Registry

Batch = Float[Tensor, "clips *map"]
Scalar = Float[Tensor, ""]
Latents = Float[Tensor, "clips latents"]
Reconstruction = Callable[..., Tensor]

LOG_VARIANCE_RANGE = (-10.0, 4.0)


class Loss:
    """A reconstruction term, called as `loss(estimate, target)` or, where it has one, `loss(estimate, target, sigma)`.

    Attributes:
        is_variational: the latent is a distribution, and `kl_divergence` is added to the reconstruction term.
        has_sigma: it is a likelihood, whose standard deviation the setting `sigma` gives.
    """

    def __init__(self, reconstruction: Reconstruction, is_variational: bool, has_sigma: bool) -> None:
        functools.update_wrapper(self, reconstruction)
        self.reconstruction = reconstruction
        self.is_variational = is_variational
        self.has_sigma = has_sigma

    def __call__(self, estimate: Batch, target: Batch, *sigma: Float[Tensor, "*size"]) -> Scalar:
        return self.reconstruction(estimate, target, *sigma)


LOSSES: Registry[Loss] = Registry("loss")


def register_loss(
    name: str, *, is_variational: bool = False, has_sigma: bool = False
) -> Callable[[Reconstruction], Reconstruction]:
    """Decorator that makes a function of `estimate, target` (and `sigma`) known as a loss."""

    def add(reconstruction: Reconstruction) -> Reconstruction:
        LOSSES.register(name)(Loss(reconstruction, is_variational, has_sigma))
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


@register_loss("vae", is_variational=True, has_sigma=True)
def gaussian(estimate: Batch, target: Batch, sigma: Float[Tensor, "*size"]) -> Scalar:
    """Negative log-likelihood of a Gaussian, in nats per pixel: (x − x̂)² / 2σ² + ln σ + ½ ln 2π."""
    squared = (estimate - target).square()
    # One σ for all pixels needs no map of quotients.
    error = squared.mean() if sigma.ndim == 0 else squared
    return (error / (2 * sigma.square()) + sigma.log()).mean() + 0.5 * math.log(2 * math.pi)


def kl_divergence(mean: Latents, log_variance: Latents, num_pixels: int, free_bits: float = 0.0) -> Scalar:
    """KL divergence from N(0, 1), averaged over clips and summed over latents, in nats per pixel.

    Divided by the number of pixels as the reconstruction term is, so that their ratio is that of the evidence lower
    bound at every latent size and resolution.

    Args:
        mean: of the latents.
        log_variance: of the latents.
        num_pixels: of a spectrogram.
        free_bits: nats that each latent may carry for nothing (Kingma et al., 2016).
    """
    divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
    if free_bits == 0:
        return divergence.sum(dim=1).mean() / num_pixels
    return divergence.mean(dim=0).clamp(min=free_bits).sum() / num_pixels


def sample_latents(mean: Latents, log_variance: Latents, generator: torch.Generator) -> Latents:
    """Latents drawn from their distributions, differentiably."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_variance).exp() * noise
