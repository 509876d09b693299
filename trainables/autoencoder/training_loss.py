"""The training objective of the autoencoder: the losses of magnitude and phase, and the KL divergence."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.losses.reconstruction import kl_divergence
from trainables.components.losses.registries import LOSSES, PHASE_LOSSES
from trainables.components.networks.quantizer import Quantized
from trainables.components.representation.normalization import Statistics
from trainables.components.representation.normalizer import Normalizer
from trainables.components.shapes import Clips, Latents, Scalar


@dataclass(frozen=True)
class Target:
    """Normalized clips, which the networks reconstruct, and the statistics that invert the normalization."""

    clips: Clips
    statistics: Statistics


@dataclass(frozen=True)
class Estimate:
    """The networks' output for a target.

    Attributes:
        clips: the reconstruction, normalized.
        sigma: the standard deviation of the magnitudes' likelihood; None for a loss that is no likelihood.
        mean: mean of the latents; quantized, if the loss has codebooks.
        log_variance: log-variance of the latents; None for a loss that is not variational.
        quantized: codes of the latents; None for a loss without codebooks.
    """

    clips: Clips
    sigma: Float[Tensor, "*size"] | None
    mean: Latents
    log_variance: Latents | None
    quantized: Quantized | None = None


class TrainingLoss:
    """The training objective.

    It is loss(magnitude) + phase_weight · phase_loss(phase) + kl_weight · KL divergence + commitment_weight ·
    commitment. With `free_bits` what each latent has for free is no part of the divergence. Without magnitudes, phases,
    a variational or a quantized loss, their term is left out.

    Args:
        config: the settings of the trial.
        normalizer: the fitted one; some phase losses need phases in units of π.
    """

    def __init__(self, config: AutoencoderConfig, normalizer: Normalizer) -> None:
        self._config = config
        self._parts = config.clip_representation.parts
        self._loss = LOSSES[config.loss]
        self._phase_loss = PHASE_LOSSES[config.phase_loss]
        self._normalizer = normalizer

    def __call__(self, estimate: Estimate, target: Target, kl_share: float | Scalar = 1.0) -> tuple[Scalar, Scalar]:
        """Return the objective and, as its second value, the KL divergence in nats per pixel.

        Args:
            estimate: the networks' output.
            target: normalized clips.
            kl_share: the part of `kl_weight` that counts, from 0 to 1, for the warm-up.

        Returns:
            The objective, and the divergence without its weight and without `free_bits`: 0 for a loss that is not
            variational.
        """
        loss = estimate.clips.new_zeros(())
        if magnitude := self._parts.get("magnitude"):
            batches = self._in_units(estimate, target) if self._loss.in_nats else (estimate.clips, target.clips)
            pair = batches[0][:, magnitude], batches[1][:, magnitude]
            loss = loss + (self._loss(*pair) if estimate.sigma is None else self._loss(*pair, estimate.sigma))
        if phase := self._parts.get("phase"):
            loss = loss + self._config.phase_weight * self._phase_term(estimate, target, phase)
        if estimate.quantized is not None:
            loss = loss + self._config.commitment_weight * estimate.quantized.commitment
        if estimate.log_variance is None:
            return loss, loss.new_zeros(())
        # The divergence is divided by one channel's pixels, because each part's loss is a mean over its own pixels.
        num_pixels = target.clips[0, 0].numel()
        latents = estimate.mean, estimate.log_variance
        kl = penalty = kl_divergence(*latents, num_pixels)
        if self._config.free_bits > 0:
            penalty = kl_divergence(*latents, num_pixels, self._config.free_bits)
        return loss + kl_share * self._config.kl_weight * penalty, kl

    def bound(self, estimate: Estimate, target: Target) -> Scalar:
        """Return the negative evidence lower bound in nats per pixel of normalized data.

        Args:
            estimate: the networks' output for sampled latents.
            target: normalized clips.
        """
        assert estimate.sigma is not None and estimate.log_variance is not None
        error = self._loss(estimate.clips, target.clips, estimate.sigma)
        return error + kl_divergence(estimate.mean, estimate.log_variance, target.clips[0, 0].numel())

    def _phase_term(self, estimate: Estimate, target: Target, phase: slice) -> Scalar:
        clips = estimate.clips, target.clips
        if not self._phase_loss.in_own_units:
            # Periodic losses need phases in units of π, or cosine and sine, as they were before the normalization.
            clips = self._in_units(estimate, target)
        return self._phase_loss.loss(*(batch[:, phase] for batch in clips))

    def _in_units(self, estimate: Estimate, target: Target) -> tuple[Clips, Clips]:
        """Return estimate and target before the normalization: log-power in nats, phases in units of π."""
        invert = self._normalizer.invert
        return invert(estimate.clips, target.statistics), invert(target.clips, target.statistics)
