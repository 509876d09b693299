"""The flow of image_to_sound: generates latents of sounds, given the latents of pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.flow.latent_flow import LatentFlow
from trainables.components.flow.velocity import Conditions, VelocityNetwork
from trainables.components.shapes import Latents
from trainables.image_to_sound.config import ImageToSoundConfig

Unit = Float[Tensor, "2 latents"]
"""Mean and standard deviation of the latents of training sounds."""


class SoundFlow(LatentFlow):
    """A flow of standardized latents of sounds, whose conditions are the directions of the latents of pictures."""

    def __init__(self, config: ImageToSoundConfig) -> None:
        size = config.latent_dim
        super().__init__(lambda: VelocityNetwork(size, size, width=config.flow_width, num_blocks=config.flow_blocks))

    def prepare(self, sounds: Latents, pictures: Latents, unit: Unit) -> tuple[Latents, Conditions]:
        """Return what the flow is trained on: the standardized latents of sounds, and the conditions of pictures."""
        mean, deviation = unit
        return (sounds - mean) / deviation, make_conditions(pictures, unit)

    def generate(self, pictures: Latents, unit: Unit, generator: torch.Generator, how: ImageToSoundConfig) -> Latents:
        """Generate a latent of a sound for the latent of each picture.

        Args:
            pictures: the latents of the pictures.
            unit: of the latents of sounds.
            generator: on the CPU.
            how: has the number of steps and the guidance.
        """
        mean, deviation = unit
        conditions = make_conditions(pictures, unit)
        latents = self.sample(conditions, generator, num_steps=how.flow_steps, guidance=how.guidance)
        generated: Latents = deviation * latents + mean
        return generated


def make_conditions(pictures: Latents, unit: Unit) -> Conditions:
    """Return the directions of the standardized latents of pictures, as vectors whose values have a mean square of 1.

    Without their length: latents of held-out pictures are shorter than those of pictures that were trained on.
    """
    mean, deviation = unit
    conditions: Conditions = F.normalize((pictures - mean) / deviation, dim=1) * pictures.shape[1] ** 0.5
    return conditions


def make_flow(config: ImageToSoundConfig) -> SoundFlow | None:
    """Return an untrained flow, or None without `flow: true`; the global random numbers are as they were before."""
    if not config.flow:
        return None
    with torch.random.fork_rng(devices=[]):
        return SoundFlow(config)
