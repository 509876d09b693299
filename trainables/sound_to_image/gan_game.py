"""The adversarial training of sound_to_image: optimizer steps of the discriminator and of the generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from trainables.components.pictures.augmentation import Pictures, augment
from trainables.components.shapes import Scalar
from trainables.components.training.batches import Batch, Batches
from trainables.components.training.loop import Buffers, descend, fetch_values, finite_means
from trainables.sound_to_image.conditioned_pairs import ConditionedPairs
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.game import Game
from trainables.sound_to_image.gan_model import GanModel
from trainables.sound_to_image.gan_networks import (
    Discriminator,
    Noise,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    sameness,
)
from trainables.sound_to_image.model import Conditions

BETAS = (0.0, 0.9)
"""Of both Adams."""


def make_discriminator(config: SoundToImageConfig, condition_dim: int) -> Discriminator:
    """Return an untrained discriminator for a config.

    Args:
        config: the settings of the trial.
        condition_dim: size of the condition.
    """
    discriminator = Discriminator(condition_dim, width=config.width, image_size=config.image_size)
    return discriminator.to(memory_format=torch.channels_last)


def mismatch(condition: Conditions, recordings: Int64[Tensor, " clips"]) -> tuple[Conditions, Bool[Tensor, " clips"]]:
    """Return a condition of another recording for each clip, and whether it is another condition.

    It is that of the nearest clip before it in the batch. It is no other one where all clips are of one recording, or
    if the classes that are predicted for both are the same.

    Args:
        condition: the conditions of a batch.
        recordings: the number of each clip's recording, on the CPU.
    """
    positions = torch.arange(len(recordings))
    before = (positions[:, None] - positions - 1) % len(recordings)
    is_of_another = recordings[before] != recordings[:, None]
    # argmax returns the first of several maxima.
    nearest = before.gather(1, is_of_another.int().argmax(dim=1, keepdim=True))[:, 0]
    has_another = is_of_another.any(dim=1)
    others = condition[nearest.to(condition.device)]
    return others, (others != condition).any(dim=1) & has_another.to(condition.device)


class GanGame(Game):
    """Makes a step of the discriminator and, every `discriminator_steps` of them, one of the generator.

    A step whose loss or gradient isn't finite is skipped. Measurements stay on the device.
    """

    def __init__(self, model: GanModel, pairs: ConditionedPairs, seed: int) -> None:
        """Draw the weights of the discriminator from torch's global generator, and make the two optimizers.

        Args:
            model: whose generator is trained, and whose features are too if `classifier_lr_share` is above 0.
            pairs: of the training split.
            seed: of the order of pairs, of the augmentation for the discriminator, and of the noise.
        """
        config = model.config
        self.discriminator = make_discriminator(config, model.condition_dim).to(pairs.device)
        self.num_steps = 0
        self._config = config
        self._model = model
        self._pairs = pairs
        # The generator of the order of pairs and of the augmentation.
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator().manual_seed(seed)
        # Batch normalization needs two pairs.
        self.batches = Batches(pairs.columns, config.batch_size, self._order, least=2)
        groups: list[dict[str, Any]] = [{"params": list(model.generator.parameters())}]
        if config.classifier_lr_share > 0:
            # The layer after the features, which predicts classes, gets no gradient.
            features = list(model.condition.network.features.parameters())
            groups.append({"params": features, "lr": config.classifier_lr_share * config.lr})
        self._optimizers = {
            "generator": torch.optim.Adam(groups, lr=config.lr, betas=BETAS, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), lr=config.discriminator_lr, betas=BETAS, fused=True
            ),
        }

    def train_epoch(self, most: int | None = None) -> dict[str, float]:
        """Train on all pairs once, in a random order."""
        # Not every step trains the generator: its measurements are averaged over the steps that have them.
        means = finite_means(fetch_values([self._train_batch(batch) for batch in self.batches.epoch(most)]))
        return {**means, "optim/lr": float(self._optimizers["generator"].param_groups[0]["lr"])}

    def _train_batch(self, batch: Batch) -> dict[str, Scalar]:
        noise = torch.randn(len(batch.positions), self._config.noise_dim, generator=self._noise).to(self._pairs.device)
        with torch.set_grad_enabled(self._is_generators_turn):
            pictures, condition = self._pairs.assemble(batch)
        recordings = self._pairs.recording_numbers(batch.positions)
        return self.step(pictures, condition, recordings, noise)

    @property
    def _is_generators_turn(self) -> bool:
        """Whether the next step trains the generator, too."""
        return (self.num_steps + 1) % self._config.discriminator_steps == 0

    def step(
        self, pictures: Pictures, condition: Conditions, recordings: Int64[Tensor, " clips"], noise: Noise
    ) -> dict[str, Scalar]:
        """Train on a batch of pairs, and return the losses and the norm of the generator's gradient.

        Args:
            pictures: the real pictures of some sounds, within −1..1.
            condition: the conditions of these sounds; with a gradient if the condition network is trained.
            recordings: the number of the recording that each sound is of, on the CPU.
            noise: a row for each picture.
        """
        is_generators_turn = self._is_generators_turn
        self.num_steps += 1
        before = Buffers(self._model.generator)
        with torch.set_grad_enabled(is_generators_turn):
            # Two pictures for each of half of the sounds, whose distance `sameness` needs.
            generator_condition = torch.cat([condition[: (len(condition) + 1) // 2], condition[: len(condition) // 2]])
            generated = self._model.generator(noise, generator_condition)
        generator_condition = generator_condition.detach()
        condition = condition.detach()
        mismatched = mismatch(condition, recordings)
        measured = self._train_discriminator(pictures, condition, mismatched, generated.detach(), generator_condition)
        if is_generators_turn:
            measured |= self._train_generator(generated, generator_condition, noise)
        # After all gradients: the backward pass of a normalization needs its buffers as the forward pass left them.
        before.restore_unless(torch.stack([*measured.values()]).isfinite().all())
        if is_generators_turn:
            self._model.update_averaged(self.num_steps // self._config.discriminator_steps)
        return measured

    def _train_discriminator(
        self,
        pictures: Pictures,
        condition: Conditions,
        mismatched: tuple[Conditions, Bool[Tensor, " clips"]],
        generated: Pictures,
        generator_condition: Conditions,
    ) -> dict[str, Scalar]:
        config, count = self._config, len(pictures)
        both = self._augment(torch.cat([pictures, generated]))
        features = self.discriminator.embed(both)
        scores = self.discriminator.score(features, torch.cat([condition, generator_condition]))
        others, is_other = mismatched
        wrong = self.discriminator.score(features[:count][is_other], others[is_other])
        hinge = discriminator_loss(scores[:count], scores[count:], wrong, config.mismatch_weight)
        loss = hinge
        if config.r1_weight > 0 and self.num_steps % config.r1_every == 0:
            # Its weight stands for the steps without a penalty, too (lazy regularization; Karras et al., 2020).
            penalty = gradient_penalty(self.discriminator, both[:count], condition)
            loss = loss + config.r1_every * config.r1_weight * penalty
        norm = descend(self._optimizers["discriminator"], self.discriminator, loss)
        # The norm is no metric, but a step that was skipped because of it has to count as skipped.
        return {"loss": hinge.detach().where(norm.isfinite(), torch.inf)}

    def _train_generator(self, generated: Pictures, generator_condition: Conditions, noise: Noise) -> dict[str, Scalar]:
        self.discriminator.requires_grad_(False)
        loss = generator_loss(self.discriminator(self._augment(generated), generator_condition))
        same = sameness(noise, generated)
        norm = descend(self._optimizers["generator"], self._model, loss + self._config.sameness_weight * same)
        self.discriminator.requires_grad_(True)
        return {"generator_loss": loss.detach(), "sameness": same.detach(), "grad_norm": norm}

    def _augment(self, pictures: Pictures) -> Pictures:
        """Augment the discriminator's input, real or generated (DiffAugment; Zhao et al., 2020)."""
        # No flips: the generator would learn to generate flipped pictures.
        return augment(pictures, self._order, flip=False) if self._config.diff_augment else pictures

    @property
    def waited_s(self) -> float:
        """The seconds in which the last epoch waited for data."""
        return self.batches.waited_s

    def close(self) -> None:
        """End the thread that reads data, if an epoch was left before its end."""
        self.batches.close()

    def state_dict(self) -> dict[str, Any]:
        """Return discriminator, optimizers, number of steps, and the states of the batches and random generators."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "batches": self.batches.state_dict(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.discriminator.load_state_dict(state["discriminator"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())
        self.batches.load_state_dict(state.get("batches", {}))
        self._pairs.forget_conditions()
