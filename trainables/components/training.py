"""What the training loops of several trainables have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

TENSOR_BYTES = 300
"""What a tensor takes in a file beside its numbers."""


def warm_up(optimizer: torch.optim.Optimizer, lr: float, num_steps: int, warmup_steps: int) -> None:
    """Let the learning rate rise to `lr`, each group's to its `lr_share` of it; the first of the steps is 1."""
    for group in optimizer.param_groups:
        group["lr"] = group.get("lr_share", 1.0) * lr * min(1.0, num_steps / max(1, warmup_steps))


def batches(
    num_clips: int, size: int, order: torch.Generator, most: int | None = None
) -> list[Int64[Tensor, " batch"]]:
    """Positions in a new order, at most so many batches of them; a clip alone has nothing to be normalized with, or to
    be told from, and is left out."""
    drawn = torch.randperm(num_clips, generator=order).split(size)
    return [part for part in drawn if len(part) > 1][:most]


def finite_means(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of an epoch's steps, prefixed `train/`, without those in which anything isn't finite, and how many those
    were. A value that some steps don't have is averaged over the others."""
    kept = [values for values in steps if np.isfinite([*values.values()]).all()]
    names = dict.fromkeys(name for values in steps for name in values)
    means = {name: [values[name] for values in kept if name in values] for name in names}
    return {
        **{f"train/{name}": float(np.mean(values)) if values else float("nan") for name, values in means.items()},
        "train/nonfinite_steps": float(len(steps) - len(kept)),
    }


def saved_bytes(networks: Iterable[nn.Module]) -> int:
    """About how large a checkpoint of networks, and of the Adam that trains them, is; nothing of them need be real."""
    kept: list[Tensor] = []
    trained: list[Tensor] = []
    for network in networks:
        kept += network.state_dict().values()
        trained += [each for each in network.parameters() if each.requires_grad]
    # Adam keeps two of its own beside each of them, and a counter.
    own = sum(2 * each.numel() * each.element_size() + 3 * TENSOR_BYTES for each in trained)
    return own + sum(each.numel() * each.element_size() + TENSOR_BYTES for each in kept)
