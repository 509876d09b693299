"""What the training of image_to_sound minimizes: a picture and its sound meet in the latent, and become that sound.

The report's three losses (latents, sound from the picture, sound from itself), and what they can be joined by.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trainables.components.losses.reconstruction import LOSSES, sample_latents
from trainables.components.representation.representation import Clips
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import Distribution, SoundFromPicture, unit_of

Scalar = Float[Tensor, ""]


class PairObjective:
    """image_weight · loss(sound from the picture) + sound_weight · loss(sound from itself) + latent_weight · squared
    distance of the latents + contrastive_weight · contrast + kl_weight · divergence, those of them that there are."""

    def __init__(self, config: ImageToSoundConfig, model: SoundFromPicture) -> None:
        self._config = config
        self._model = model

    def __call__(
        self,
        picture_distribution: Distribution,
        target: Clips,
        labels: Int64[Tensor, " pairs"],
        autocast: torch.autocast,
        noise: torch.Generator | None = None,
    ) -> Scalar:
        """Of a batch; with noise, through samples of its latents.

        Args:
            picture_distribution: what the model makes of the pictures.
            target: the pairs' sounds, normalized.
            labels: their classes.
        """
        config, model = self._config, self._model
        sound_distribution = model.heard(target, autocast)
        loss = target.new_zeros(())
        for distribution, weight in (
            (picture_distribution, config.image_weight),
            (sound_distribution, config.sound_weight),
        ):
            if weight > 0:
                mean, log_variance = distribution
                latents = mean if log_variance is None or noise is None else sample_latents(mean, log_variance, noise)
                loss = loss + weight * LOSSES[config.loss](model.audio.decode(latents, autocast)[0], target)
        towards = sound_distribution[0].detach() if config.stop_gradient else sound_distribution[0]
        unit = None
        if noise is not None and not config.stop_gradient:
            # Those of the batch itself, so that shrinking all latents together would gain nothing.
            unit = unit_of(towards, least=model.unit[1] / 4)
        pair = model.standardized(picture_distribution[0], unit), model.standardized(towards, unit)
        loss = loss + config.latent_weight * (pair[0] - pair[1]).square().mean()
        if config.contrastive_weight > 0:
            standardized_sounds = model.standardized(sound_distribution[0], unit)
            loss = loss + config.contrastive_weight * model.contrast(pair[0], standardized_sounds, labels)
        if config.prior == "conditional":
            loss = loss + config.kl_weight * divergence(sound_distribution, picture_distribution) / target[0].numel()
        return loss


def divergence(posterior: Distribution, prior: Distribution) -> Scalar:
    """KL(N(posterior) ‖ N(prior)) in nats, summed over latents, mean over pairs."""
    (mean, log_variance), (prior_mean, prior_log_variance) = posterior, prior
    assert log_variance is not None and prior_log_variance is not None, "the settings were checked"
    ratio = log_variance - prior_log_variance
    distance = (mean - prior_mean).square() / prior_log_variance.exp()
    return (ratio.exp() + distance - 1 - ratio).sum(dim=1).mean() / 2
