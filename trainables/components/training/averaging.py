"""Exponential moving averages of weights."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(averaged: nn.Module, trained: nn.Module, decay: float) -> None:
    """Update an exponential moving average of weights and running statistics.

    Args:
        averaged: holds the average.
        trained: holds the current weights.
        decay: the part of the average that stays, from 0 to 1.
    """
    pairs = zip(averaged.state_dict().values(), trained.state_dict().values(), strict=True)
    for mean, current in pairs:
        if mean.is_floating_point():
            mean.lerp_(current, 1 - decay)
        else:
            # Counters of batches.
            mean.copy_(current)
