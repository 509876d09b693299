"""What the training loops of several trainables have in common."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

Scalar = Float[Tensor, ""]

TENSOR_BYTES = 300
"""What a tensor takes in a file beside its numbers."""


def warm_up(optimizer: torch.optim.Optimizer, lr: float, num_steps: int, warmup_steps: int) -> list[float]:
    """Let the learning rate rise to `lr`, each group's to its `lr_share` of it; the first of the steps is 1.

    Returns:
        The groups' learning rates.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.get("lr_share", 1.0) * lr * min(1.0, num_steps / max(1, warmup_steps))
    return [group["lr"] for group in optimizer.param_groups]


def batches(
    num_clips: int, size: int, order: torch.Generator, most: int | None = None
) -> list[Int64[Tensor, " batch"]]:
    """Positions in a new order, at most so many batches of them; a clip alone has nothing to be normalized with, or to
    be told from, and is left out."""
    drawn = torch.randperm(num_clips, generator=order).split(size)
    return [part for part in drawn if len(part) > 1][:most]


def descend(
    optimizer: torch.optim.Adam,
    network: nn.Module,
    loss: Scalar,
    max_norm: float = 0.0,
    rates: Sequence[float | Scalar] = (),
) -> Scalar:
    """One step of an optimizer, left out if the loss or its gradient isn't finite; the norm of the gradient.

    The device itself decides on that, so that nobody waits for it: the optimizer is told as `GradScaler` tells it.

    Args:
        optimizer: a fused one.
        network: what it trains.
        max_norm: what the gradient is scaled down to; 0 leaves it as it is.
        rates: the groups' learning rates instead of their own, for this step; in tensors where it is recorded.
    """
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), max_norm or math.inf)
    vars(optimizer)["found_inf"] = (~torch.stack([loss.detach(), norm]).isfinite().all()).float()
    with _override_rates(optimizer, rates, is_recorded=loss.is_cuda and torch.cuda.is_current_stream_capturing()):
        optimizer.step()
    return norm


@contextlib.contextmanager
def _override_rates(
    optimizer: torch.optim.Adam, rates: Sequence[float | Scalar], *, is_recorded: bool
) -> Iterator[None]:
    """For a step, other learning rates, and that it may be recorded; a checkpoint knows of neither."""
    own = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    try:
        for group, rate in zip(optimizer.param_groups, rates or [lr for lr, _ in own], strict=True):
            group.update(lr=rate, capturable=is_recorded)
        yield
    finally:
        for group, (lr, capturable) in zip(optimizer.param_groups, own, strict=True):
            group.update(lr=lr, capturable=capturable)


def fetch_values(steps: Sequence[Mapping[str, Scalar]]) -> list[dict[str, float]]:
    """What an epoch's steps have measured, fetched from the device at once."""
    if not steps:
        return []
    values = iter(torch.stack([value for step in steps for value in step.values()]).tolist())
    return [{name: next(values) for name in step} for step in steps]


def finite_steps(steps: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Those in which everything is finite."""
    return [values for values in steps if np.isfinite([*values.values()]).all()]


def finite_means(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of an epoch's steps, prefixed `train/`, without those in which anything isn't finite, and how many those
    were. A value that some steps don't have is averaged over the others."""
    kept = finite_steps(steps)
    names = dict.fromkeys(name for values in steps for name in values)
    means = {name: [values[name] for values in kept if name in values] for name in names}
    return {
        **{f"train/{name}": float(np.mean(values)) if values else float("nan") for name, values in means.items()},
        "train/nonfinite_steps": float(len(steps) - len(kept)),
    }


def estimate_checkpoint_bytes(networks: Iterable[nn.Module]) -> int:
    """About how large a checkpoint of networks, and of the Adam that trains them, is; nothing of them need be real."""
    kept: list[Tensor] = []
    trained: list[Tensor] = []
    for network in networks:
        kept += network.state_dict().values()
        trained += [tensor for tensor in network.parameters() if tensor.requires_grad]
    # Adam keeps two of its own beside each of them, and a counter.
    own = sum(2 * tensor.numel() * tensor.element_size() + 3 * TENSOR_BYTES for tensor in trained)
    return own + sum(tensor.numel() * tensor.element_size() + TENSOR_BYTES for tensor in kept)
