"""The training objective of image_to_sound.

It is the sum of the report's three losses (distance of latents, sound from picture, sound from sound), a contrastive
loss and a KL divergence.
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from trainables.components.losses.reconstruction import sample_latents
from trainables.components.losses.registries import LOSSES
from trainables.components.shapes import Clips, Latents, Scalar
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import Distribution, SoundFromPicture, measure_unit


class PairObjective:
    """The training objective of a batch of pairs.

    image_weight · loss(sound decoded from the picture) + sound_weight · loss(sound decoded from itself)
    + latent_weight · squared distance of the latents + contrastive_weight · contrast + kl_weight · divergence;
    a term of weight 0, and the divergence without a conditional prior, are left out. So is the contrast in validation:
    `held_out_contrast` returns it.
    """

    def __init__(self, config: ImageToSoundConfig, model: SoundFromPicture) -> None:
        self._config = config
        self._model = model

    def __call__(
        self,
        picture_distribution: Distribution,
        target: Clips,
        labels: Int64[Tensor, " pairs"],
        recordings: Int64[Tensor, " pairs"],
        autocast: torch.autocast,
        noise: torch.Generator | None = None,
    ) -> Scalar:
        """Return the objective of a batch.

        Args:
            picture_distribution: the latents of the pictures.
            target: the sounds of the pairs, normalized.
            labels: the class of each pair.
            recordings: the number of each pair's recording.
            autocast: the precision of the networks.
            noise: in training, a generator on the device that latents are sampled from; None in validation.
        """
        config, model = self._config, self._model
        sound_distribution = model.encode_sounds(target, autocast)
        loss = target.new_zeros(())
        for distribution, weight in (
            (picture_distribution, config.image_weight),
            (sound_distribution, config.sound_weight),
        ):
            if weight > 0:
                mean, log_variance = distribution
                latents = mean if log_variance is None or noise is None else sample_latents(mean, log_variance, noise)
                loss = loss + weight * LOSSES[config.loss](model.audio.decode(latents, autocast)[0], target)
        sound_latents = sound_distribution[0].detach() if config.stop_gradient else sound_distribution[0]
        unit = None
        if noise is not None and not config.stop_gradient:
            # The unit of this batch, with a gradient: otherwise shrinking all latents together would lower the loss.
            unit = measure_unit(sound_latents, least=model.unit[1] / 4)
        pictures = model.standardize(picture_distribution[0], unit)
        loss = loss + config.latent_weight * (pictures - model.standardize(sound_latents, unit)).square().mean()
        if config.contrastive_weight > 0 and noise is not None:
            sounds = model.standardize(sound_distribution[0], unit)
            loss = loss + config.contrastive_weight * model.contrast(pictures, sounds, labels, recordings)
        if config.prior == "conditional":
            loss = loss + config.kl_weight * divergence(sound_distribution, picture_distribution) / target[0].numel()
        return loss

    @torch.no_grad()
    def held_out_contrast(
        self, pictures: Latents, sounds: Latents, labels: Int64[Tensor, " pairs"], recordings: Int64[Tensor, " pairs"]
    ) -> float:
        """Return contrastive_weight · contrast of held-out pairs, in batches as large as those of training.

        Their order is drawn with a fixed seed. In that of the corpus a batch would have pairs of one class, which the
        term of the class could not tell from latents that are all the same.

        Args:
            pictures: the standardized latents of the pictures.
            sounds: the standardized latents of their sounds.
            labels: the class of each pair.
            recordings: the number of each pair's recording.
        """
        if self._config.contrastive_weight == 0:
            return 0.0
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        # Contrastive losses need two pairs.
        total, count = 0.0, 0
        for part in (part for part in order.to(labels.device).split(self._config.batch_size) if len(part) > 1):
            contrast = self._model.contrast(pictures[part], sounds[part], labels[part], recordings[part])
            total, count = total + len(part) * contrast.item(), count + len(part)
        return self._config.contrastive_weight * total / max(1, count)


def divergence(posterior: Distribution, prior: Distribution) -> Scalar:
    """Return KL(N(posterior) ‖ N(prior)) in nats, summed over latents, mean over pairs."""
    (mean, log_variance), (prior_mean, prior_log_variance) = posterior, prior
    assert log_variance is not None and prior_log_variance is not None, "the settings were checked"
    ratio = log_variance - prior_log_variance
    distance = (mean - prior_mean).square() / prior_log_variance.exp()
    return (ratio.exp() + distance - 1 - ratio).sum(dim=1).mean() / 2
