"""Reconstruction losses of magnitudes, in normalized units or in nats, and the KL divergence of a VAE.

To add a loss, write a function with `@register_loss` here, or in a file that `components:` names. Its value must be a
mean over the clips of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.losses import spectral
from trainables.components.losses.base import Batch, Loss, Reconstruction
from trainables.components.losses.registries import LOSSES
from trainables.components.losses.traits import LossTraits
from trainables.components.shapes import Latents, Scalar

LOG_VARIANCE_RANGE = (-10.0, 4.0)


def register_loss(
    name: str,
    *,
    is_variational: bool = False,
    has_sigma: bool = False,
    is_quantized: bool = False,
    in_nats: bool = False,
    needs_linear_axis: bool = False,
) -> Callable[[Reconstruction], Reconstruction]:
    """Return a decorator that registers a function of `estimate, target` (and `sigma`) as a loss.

    Args:
        name: the loss's name in YAML.
        is_variational: whether the latent is a distribution, and `kl_divergence` is added to the loss.
        has_sigma: whether the function takes the standard deviation of a likelihood as third argument.
        is_quantized: whether the latent is quantized by codebooks, and their commitment loss is added to the loss.
        in_nats: whether its arguments are log-power in nats; else they are normalized.
        needs_linear_axis: whether its arguments' bins have to be equally spaced in Hz.
    """
    traits = LossTraits(is_variational, has_sigma, is_quantized, in_nats, needs_linear_axis)

    def add(reconstruction: Reconstruction) -> Reconstruction:
        LOSSES.register(name)(Loss(reconstruction, traits))
        return reconstruction

    return add


@register_loss("l1")
def l1(estimate: Batch, target: Batch) -> Scalar:
    """Return the mean absolute difference, which the median minimizes."""
    return (estimate - target).abs().mean()


@register_loss("l2")
def l2(estimate: Batch, target: Batch) -> Scalar:
    """Return the mean squared difference, which the mean minimizes."""
    return (estimate - target).square().mean()


@register_loss("vae", is_variational=True, has_sigma=True)
def gaussian(estimate: Batch, target: Batch, sigma: Float[Tensor, "*size"]) -> Scalar:
    """Return the negative log-likelihood of a Gaussian, in nats per pixel: (x − x̂)² / 2σ² + ln σ + ½ ln 2π."""
    squared = (estimate - target).square()
    # With one σ for all pixels, dividing the mean is faster than dividing each pixel.
    error = squared.mean() if sigma.ndim == 0 else squared
    return (error / (2 * sigma.square()) + sigma.log()).mean() + 0.5 * math.log(2 * math.pi)


@register_loss("rvq", is_quantized=True)
def quantized(estimate: Batch, target: Batch) -> Scalar:
    """Return the mean squared difference, as `l2`; the latent is quantized by `ResidualQuantizer`."""
    return l2(estimate, target)


@register_loss("multi_resolution", in_nats=True)
def multi_resolution(estimate: Batch, target: Batch) -> Scalar:
    """Return spectral convergence plus log-magnitude distance, mean over resolutions (Yamamoto, Song and Kim, 2020).

    There the resolutions are STFTs of a waveform. A model of magnitudes has no waveform before a phase is found, so
    that here they are the magnitudes themselves, pooled in time or in frequency.
    """
    return spectral.multi_resolution(estimate, target)


@register_loss("mel", in_nats=True, needs_linear_axis=True)
def mel(estimate: Batch, target: Batch) -> Scalar:
    """Return the mean absolute difference of log-power in mel bands, mean over several numbers of bands.

    One number of bands is the mel loss of HiFi-GAN (Kong, Kim and Bae, 2020), several are that of the Descript Audio
    Codec (Kumar et al., 2023).
    """
    return spectral.mel(estimate, target)


def kl_divergence(mean: Latents, log_variance: Latents, num_pixels: int, free_bits: float = 0.0) -> Scalar:
    """Return the KL divergence of the latents from N(0, 1), in nats per pixel.

    It is averaged over clips, summed over latents and divided by the number of pixels. The reconstruction loss is a
    mean over pixels, too, so that both have the weights of the evidence lower bound at every resolution.

    Args:
        mean: the means of the latents.
        log_variance: the log-variances of the latents.
        num_pixels: the number of pixels of a spectrogram.
        free_bits: the divergence of each latent, in nats, that costs nothing (Kingma et al., 2016).
    """
    divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
    if free_bits == 0:
        return divergence.sum(dim=1).mean() / num_pixels
    return divergence.mean(dim=0).clamp(min=free_bits).sum() / num_pixels


def sample_latents(mean: Latents, log_variance: Latents, generator: torch.Generator) -> Latents:
    """Draw latents from their distributions by the reparameterization trick."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_variance).exp() * noise
