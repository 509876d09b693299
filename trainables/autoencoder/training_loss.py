"""What the training of an autoencoder minimizes: its parts' losses and, of a distribution, the KL divergence."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.losses.phase_losses import PHASE_LOSSES
from trainables.components.losses.reconstruction import LOSSES, kl_divergence
from trainables.components.representation.normalizations import Clips, Statistics
from trainables.components.representation.normalizer import Normalizer

Latents = Float[Tensor, "clips latents"]
Scalar = Float[Tensor, ""]


@dataclass(frozen=True)
class Target:
    """Clips as a network sees them, and their statistics, which undo that."""

    clips: Clips
    statistics: Statistics


@dataclass(frozen=True)
class Estimate:
    """What a network makes of them.

    Attributes:
        sigma: the standard deviation of its magnitudes, where the loss has one.
        mean: of the latents.
        log_variance: of the latents, where they are distributions.
    """

    clips: Clips
    sigma: Float[Tensor, "*size"] | None
    mean: Latents
    log_variance: Latents | None


class Objective:
    """loss(magnitude) + phase_weight · phase_loss(phase) + kl_weight · KL divergence, those of them that there are."""

    def __init__(self, config: AutoencoderConfig, normalizer: Normalizer) -> None:
        self._config = config
        self._parts = config.clip_representation.parts
        self._loss = LOSSES[config.loss]
        self._phase_loss = PHASE_LOSSES[config.phase_loss]
        self._normalizer = normalizer

    def __call__(self, estimate: Estimate, target: Target, kl_share: float | Scalar = 1.0) -> tuple[Scalar, Scalar]:
        """The objective, with a share of the KL divergence's weight, and the divergence (0 without a distribution)."""
        loss = estimate.clips.new_zeros(())
        if magnitude := self._parts.get("magnitude"):
            pair = estimate.clips[:, magnitude], target.clips[:, magnitude]
            loss = loss + (self._loss(*pair) if estimate.sigma is None else self._loss(*pair, estimate.sigma))
        if phase := self._parts.get("phase"):
            loss = loss + self._config.phase_weight * self._of_phase(estimate, target, phase)
        if estimate.log_variance is None:
            return loss, loss.new_zeros(())
        # The likelihood is that of one channel: each part's loss is a mean over its own pixels.
        num_pixels = target.clips[0, 0].numel()
        kl = kl_divergence(estimate.mean, estimate.log_variance, num_pixels, self._config.free_bits)
        return loss + kl_share * self._config.kl_weight * kl, kl

    def bound(self, estimate: Estimate, target: Target) -> Scalar:
        """The negative evidence lower bound in nats per pixel, in the network's units, if latents were sampled."""
        assert estimate.sigma is not None and estimate.log_variance is not None
        error = self._loss(estimate.clips, target.clips, estimate.sigma)
        return error + kl_divergence(estimate.mean, estimate.log_variance, target.clips[0, 0].numel())

    def _of_phase(self, estimate: Estimate, target: Target, phase: slice) -> Scalar:
        clips = [estimate.clips, target.clips]
        if not self._phase_loss.in_own_units:
            clips = [self._normalizer.invert(batch, target.statistics) for batch in clips]
        return self._phase_loss.loss(*(batch[:, phase] for batch in clips))
