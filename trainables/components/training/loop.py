"""Steps of training loops: learning rates, optimizer steps, and means over an epoch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from trainables.components.shapes import Scalar


def warm_up(optimizer: torch.optim.Optimizer, lr: float, num_steps: int, warmup_steps: int) -> list[float]:
    """Set the learning rates for a step: they rise linearly to `lr`, times `lr_share` of each parameter group.

    Args:
        optimizer: the optimizer whose groups are changed.
        lr: the learning rate after the warm-up.
        num_steps: the number of the step; the first is 1.
        warmup_steps: the number of steps until `lr` is reached.

    Returns:
        The groups' learning rates.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.get("lr_share", 1.0) * lr * min(1.0, num_steps / max(1, warmup_steps))
    return [group["lr"] for group in optimizer.param_groups]


def decay_lr(lr: float, num_steps: int, decay_steps: int) -> float:
    """Return the learning rate after so many steps: half after `decay_steps`, a third after twice as many.

    The sum of such rates has no limit, and that of their squares has one (Robbins and Monro, 1951), so that no end has
    to be known.

    Args:
        lr: the learning rate at the beginning.
        num_steps: the number of steps; it is `lr` up to 0.
        decay_steps: the steps after which it has fallen to half; 0 for never.
    """
    return lr if decay_steps == 0 else lr / (1 + max(0, num_steps) / decay_steps)


class Buffers:
    """The buffers of networks before a step: the running statistics and codebooks that a forward pass updates.

    A forward pass that overflows leaves values in them that are not finite, and no later step removes them. Make this
    before the forward pass.

    Args:
        networks: the networks that have the buffers.
    """

    def __init__(self, *networks: nn.Module) -> None:
        self._before = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]

    @torch.no_grad()
    def restore_unless(self, is_finite: Bool[Tensor, ""]) -> None:
        """Restore the buffers, unless the step was finite; without a synchronization, as in `descend`."""
        for buffer, before in self._before:
            buffer.copy_(buffer.where(is_finite, before))


def descend(
    optimizer: torch.optim.Adam,
    network: nn.Module,
    loss: Scalar,
    max_norm: float = 0.0,
    rates: Sequence[float | Scalar] = (),
    before: Buffers | None = None,
) -> Scalar:
    """Take an optimizer step, unless the loss or its gradient is not finite.

    The check runs on the device without a synchronization: `found_inf`, which `GradScaler` uses, skips the step.

    Args:
        optimizer: a fused Adam.
        network: the network that it trains.
        loss: the loss of a batch.
        max_norm: the largest norm of the gradient, which is scaled down to it; 0 for no limit.
        rates: the learning rates of the groups in this step, instead of their own; tensors in a recorded step.
        before: the buffers before the forward pass, which are restored if the step is skipped; None where no buffer
            depends on the batch.

    Returns:
        The norm of the gradient before scaling.
    """
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), max_norm or math.inf)
    is_finite = torch.stack([loss.detach(), norm]).isfinite().all()
    vars(optimizer)["found_inf"] = (~is_finite).float()
    with _override_rates(optimizer, rates, is_recorded=loss.is_cuda and torch.cuda.is_current_stream_capturing()):
        optimizer.step()
    if before is not None:
        before.restore_unless(is_finite)
    return norm


@contextlib.contextmanager
def _override_rates(
    optimizer: torch.optim.Adam, rates: Sequence[float | Scalar], *, is_recorded: bool
) -> Iterator[None]:
    """Set the groups' learning rates and `capturable` for one step; restore them, since checkpoints contain them."""
    own = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    try:
        for group, rate in zip(optimizer.param_groups, rates or [lr for lr, _ in own], strict=True):
            group.update(lr=rate, capturable=is_recorded)
        yield
    finally:
        for group, (lr, capturable) in zip(optimizer.param_groups, own, strict=True):
            group.update(lr=lr, capturable=capturable)


def fetch_values(steps: Sequence[Mapping[str, Scalar]]) -> list[dict[str, float]]:
    """Return the metrics of an epoch's steps as numbers, copied from the device in one transfer."""
    if not steps:
        return []
    stacked = torch.stack([value for step in steps for value in step.values()])
    values = iter(stacked.tolist())
    return [{name: next(values) for name in step} for step in steps]


def finite_steps(steps: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Return the steps whose values are all finite."""
    return [values for values in steps if np.isfinite([*values.values()]).all()]


def finite_means(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each value over an epoch's finite steps, and the number of the others.

    Args:
        steps: the values of each step. A value that is missing in some steps is averaged over the others.

    Returns:
        `train/<name>` for each value, not a number if no finite step has it, and `train/nonfinite_steps`.
    """
    kept = finite_steps(steps)
    means: dict[str, float] = {}
    for name in dict.fromkeys(name for values in steps for name in values):
        present = [values[name] for values in kept if name in values]
        means[f"train/{name}"] = float(np.mean(present)) if present else float("nan")
    return {**means, "train/nonfinite_steps": float(len(steps) - len(kept))}
