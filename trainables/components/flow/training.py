"""The training of a flow on latents that are computed once an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from trainables.components.flow.latent_flow import LatentFlow
from trainables.components.flow.velocity import Conditions
from trainables.components.shapes import Latents, Scalar
from trainables.components.training.loop import descend, fetch_values, finite_means, warm_up

WARMUP_STEPS = 100
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class FlowRecipe:
    """How a flow is trained.

    Attributes:
        batch_latents: latents of a step.
        lr: the learning rate after its warm-up.
        ema: decay of the averaged weights in a step.
        condition_noise: standard deviation of noise that is added to the conditions of training. Those of held-out
            clips are less certain than those of clips that the condition's network was trained on.
    """

    batch_latents: int = 128
    lr: float = 1e-3
    ema: float = 0.999
    condition_noise: float = 0.0


class FlowTraining:
    """Trains a flow with an optimizer and random numbers of its own, which change nothing of other networks' training.

    Args:
        flow: is trained in place.
        seed: of the order of latents, the noise and the times.
        recipe: how it is trained.
    """

    def __init__(self, flow: LatentFlow, seed: int, recipe: FlowRecipe) -> None:
        self._flow = flow
        self._recipe = recipe
        self._num_steps = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.AdamW(flow.network.parameters(), lr=recipe.lr, betas=(0.9, 0.99), fused=True)

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def draw_positions(self, count: int, most: int) -> Int64[Tensor, " positions"]:
        """Draw positions below `count`, `most` at most, each once, from the random numbers of this training."""
        return torch.randperm(count, generator=self._generator)[:most]

    def run(self, latents: Latents, conditions: Conditions, num_steps: int) -> dict[str, float]:
        """Make optimizer steps, and return the means of `train/flow_loss` and `train/grad_norm` over the finite ones.

        The number of the others is `train/nonfinite_steps`.

        Args:
            latents: of training clips, in units of their standard deviation.
            conditions: theirs.
            num_steps: number of steps.
        """
        self._flow.train()
        measured = [self._step(latents, conditions) for _ in range(num_steps)]
        # Nothing is left for the norm of another optimizer's gradient.
        self._optimizer.zero_grad()
        return finite_means(fetch_values(measured))

    def _step(self, latents: Latents, conditions: Conditions) -> dict[str, Scalar]:
        self._num_steps += 1
        recipe, count = self._recipe, self._recipe.batch_latents
        warm_up(self._optimizer, recipe.lr, self._num_steps, WARMUP_STEPS)
        positions = torch.randint(len(latents), (count,), generator=self._generator).to(latents.device)
        noise = torch.randn(count, conditions.shape[1], generator=self._generator).to(latents.device)
        batch_conditions = conditions[positions] + recipe.condition_noise * noise
        loss = self._flow.training_loss(latents[positions], batch_conditions, self._generator)
        norm = descend(self._optimizer, self._flow.network, loss, MAX_GRAD_NORM)
        self._flow.update_averaged(self._num_steps, recipe.ema)
        return {"flow_loss": loss.detach(), "grad_norm": norm}

    def state_dict(self) -> dict[str, Any]:
        """Return optimizer, number of steps and random generator; the flow is saved elsewhere."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "num_steps": self._num_steps,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._generator.set_state(state["generator"].cpu())
