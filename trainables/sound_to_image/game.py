"""The training of sound_to_image: a generator and a discriminator play against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from trainables.components.pictures.augmentation import Pictures, augment
from trainables.components.training.loop import Scalar, descend
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.model import PictureFromSound
from trainables.sound_to_image.networks import (
    Discriminator,
    Noise,
    Told,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    sameness,
)

BETAS = (0.0, 0.9)


def discriminator_of(config: SoundToImageConfig, told_dim: int) -> Discriminator:
    """The one that settings ask for."""
    discriminator = Discriminator(told_dim, width=config.width, image_size=config.image_size)
    return discriminator.to(memory_format=torch.channels_last)


class Game:
    """Steps of the discriminator and, in its turn, of the generator.

    What they measure stays on the device; what isn't finite in any part is left out.
    """

    def __init__(
        self, config: SoundToImageConfig, model: PictureFromSound, discriminator: Discriminator, order: torch.Generator
    ) -> None:
        """Args:
        order: on the processor; draws what the discriminator is shown of pictures.
        """
        self.discriminator = discriminator
        self.num_steps = 0
        self._config = config
        self._model = model
        self._order = order
        groups: list[dict[str, Any]] = [{"params": list(model.generator.parameters())}]
        if config.classifier_lr_share > 0:
            # What tells the classes has no part in the features.
            features = list(model.condition.network.features.parameters())
            groups.append({"params": features, "lr": config.classifier_lr_share * config.lr})
        self._optimizers = {
            "generator": torch.optim.Adam(groups, lr=config.lr, betas=BETAS, fused=True),
            "discriminator": torch.optim.Adam(
                discriminator.parameters(), lr=config.discriminator_lr, betas=BETAS, fused=True
            ),
        }

    @property
    def lr(self) -> float:
        """The generator's learning rate."""
        return float(self._optimizers["generator"].param_groups[0]["lr"])

    @property
    def is_generators_turn(self) -> bool:
        """Whether it learns too in the next step."""
        return (self.num_steps + 1) % self._config.discriminator_steps == 0

    def step(self, pictures: Pictures, condition: Told, noise: Noise) -> dict[str, Scalar]:
        """Play with the pictures of some sounds.

        Args:
            condition: what both are told of the sounds; the generator's gradient goes through it.
            noise: as many rows as there are pictures.
        """
        is_generators_turn = self.is_generators_turn
        self.num_steps += 1
        with torch.set_grad_enabled(is_generators_turn):
            # Two pictures of each sound, so that they can be compared.
            generator_condition = torch.cat([condition[: (len(condition) + 1) // 2], condition[: len(condition) // 2]])
            generated = self._model.generator(noise, generator_condition)
        generator_condition = generator_condition.detach()
        measured = self._discriminate(pictures, condition.detach(), generated.detach(), generator_condition)
        return measured | self._generate(generated, generator_condition, noise) if is_generators_turn else measured

    def _discriminate(
        self, pictures: Pictures, condition: Told, generated: Pictures, generator_condition: Told
    ) -> dict[str, Scalar]:
        config, count = self._config, len(pictures)
        both = self._shown(torch.cat([pictures, generated]))
        features = self.discriminator.see(both)
        scores = self.discriminator.score(features, torch.cat([condition, generator_condition]))
        others = condition.roll(1, dims=0)
        is_other = (others != condition).any(dim=1)
        mismatched = self.discriminator.score(features[:count][is_other], others[is_other])
        hinge = discriminator_loss(scores[:count], scores[count:], mismatched, config.mismatch_weight)
        loss = hinge
        if config.r1_weight > 0 and self.num_steps % config.r1_every == 0:
            # Taken so seldom, it counts for the steps between.
            penalty = gradient_penalty(self.discriminator, both[:count], condition)
            loss = loss + config.r1_every * config.r1_weight * penalty
        norm = descend(self._optimizers["discriminator"], self.discriminator, loss)
        # The norm itself is no metric, but a step that it made void is no step.
        return {"loss": hinge.detach().where(norm.isfinite(), torch.inf)}

    def _generate(self, generated: Pictures, generator_condition: Told, noise: Noise) -> dict[str, Scalar]:
        self.discriminator.requires_grad_(False)
        loss = generator_loss(self.discriminator(self._shown(generated), generator_condition))
        same = sameness(noise, generated)
        norm = descend(self._optimizers["generator"], self._model, loss + self._config.sameness_weight * same)
        self.discriminator.requires_grad_(True)
        self._model.average(self.num_steps // self._config.discriminator_steps)
        return {"generator_loss": loss.detach(), "sameness": same.detach(), "grad_norm": norm}

    def _shown(self, pictures: Pictures) -> Pictures:
        """What the discriminator sees of pictures, real or made (DiffAugment)."""
        # Turned left to right, made pictures would be like turned ones, and so turned themselves.
        return augment(pictures, self._order, flip=False) if self._config.diff_augment else pictures

    def state_dict(self) -> dict[str, Any]:
        """All but the generator."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "num_steps": self.num_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.num_steps = state["num_steps"]
