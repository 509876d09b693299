"""The rows of one split in an array of the corpus: features, waveforms, pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.corpora.shards.array import ShardedArray


class SplitRows:
    """The rows of one split in an array over all clips, which is mapped from the disk.

    Args:
        array: the array; its first axis is the clips of the corpus.
        clips: the rows of the split's clips.
        device: where rows are returned.
        most_bytes: the size up to which the rows fit into memory.
        keep: whether rows that fit are copied to the device once; all others are read whenever they are needed.

    Attributes:
        fits: whether the rows are at most `most_bytes`.
        is_kept: whether they are on the device.
    """

    def __init__(
        self,
        array: NDArray[Any] | ShardedArray,
        clips: NDArray[np.int64],
        device: torch.device,
        *,
        most_bytes: int,
        keep: bool = False,
    ) -> None:
        self._array = array
        self._clips = clips
        self._device = device
        self.fits = len(clips) * math.prod(array.shape[1:]) * array.dtype.itemsize <= most_bytes
        self.is_kept = keep and self.fits
        self._kept = torch.from_numpy(array[clips]).to(device) if self.is_kept else None

    def __len__(self) -> int:
        return len(self._clips)

    def take(self, positions: Int64[Tensor, " batch"]) -> Tensor:
        """Return the rows at positions within the split, on the device."""
        if self._kept is not None:
            return self._kept[positions.to(self._device, non_blocking=True)]
        return self.send(torch.from_numpy(self.read(positions.numpy())))

    def read(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Read the rows at positions within the split from the array."""
        rows: NDArray[Any] = self._array[self._clips[positions]]
        return rows

    def make_empty(self, count: int) -> NDArray[Any]:
        """Return an array for so many rows, of any contents."""
        return np.empty((count, *self._array.shape[1:]), self._array.dtype)

    def pin(self, rows: NDArray[Any]) -> Tensor:
        """Return rows in memory from which `send` copies to a card while the processor goes on."""
        tensor = torch.from_numpy(rows)
        return tensor.pin_memory() if self._device.type == "cuda" else tensor

    def send(self, rows: Tensor) -> Tensor:
        """Copy rows to the device; those that are pinned without waiting."""
        return rows.to(self._device, non_blocking=True)
