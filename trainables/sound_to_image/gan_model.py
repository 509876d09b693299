"""A conditional GAN's generator of pictures."""

from __future__ import annotations

import torch

from trainables.components.pictures.augmentation import Pictures
from trainables.components.training.averaging import update_average
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.gan_networks import Generator
from trainables.sound_to_image.model import BATCH_CLIPS, Conditions, PictureFromSound

WARM_UP_STEPS = 10
"""In about so many first steps the average decays faster, so that the untrained weights are soon forgotten."""


class GanModel(PictureFromSound):
    """Generates a picture from noise and a condition in one evaluation of a network.

    Attributes:
        generator: the generator with its current weights, for training.
        averaged: the generator with weights averaged over steps (Yazıcı et al., 2019), for everything else.
    """

    def __init__(self, config: SoundToImageConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self.generator, self.averaged = (
            Generator(
                self.condition_dim, noise_dim=config.noise_dim, width=config.width, image_size=config.image_size
            ).to(memory_format=torch.channels_last)
            for _ in range(2)
        )
        self.averaged.load_state_dict(self.generator.state_dict())
        self.averaged.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> GanModel:
        """Set the mode of the generator alone; the condition network and the average stay in evaluation mode."""
        super().train(mode)
        self.averaged.eval()
        return self

    def update_averaged(self, num_steps: int) -> None:
        """Update the averaged weights after the generator's step of this number, counted from 1."""
        decay = min(self.config.ema, num_steps / (num_steps + WARM_UP_STEPS))
        update_average(self.averaged, self.generator, decay)

    def generate_from(self, condition: Conditions, noise: torch.Generator, how: SoundToImageConfig) -> Pictures:
        """Generate pictures with the averaged weights; at `truncation: 0` all pictures of a sound are the same."""
        drawn = how.truncation * torch.randn(len(condition), self.config.noise_dim, generator=noise)
        parts = zip(drawn.to(condition.device).split(BATCH_CLIPS), condition.split(BATCH_CLIPS), strict=True)
        return torch.cat([self.averaged(*part) for part in parts])
