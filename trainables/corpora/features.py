"""Features of a corpus: computed once into the cache, then shared by every trial as a memory map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.support.cache import made_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.components.audio.feature import Feature

BATCH_CLIPS = 64
RESIDENT_BYTES = 1 << 30


def open_features(
    folder: Path, waveforms: NDArray[np.int16], feature: Feature, progress: Progress = silent
) -> NDArray[np.float16]:
    """A feature of every clip as a memory map of shape (clips, frames, bins)."""

    what = f"computing {feature.grid.label} spectrograms" + (" (phase)" if feature.quantity != "log_power" else "")

    def make(path: Path) -> None:
        total = len(waveforms)
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(total, *feature.grid.shape))
        with path.open("r+b") as file:
            # Writing to a map of a file that its disk has no room for would kill the process (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        for start in range(0, total, BATCH_CLIPS):
            progress(what, start, total)
            clips = np.arange(start, min(start + BATCH_CLIPS, total))
            sounds = read_waveforms(waveforms, clips)
            if feature.grid.is_dithered:
                sounds = spectrogram.dither(sounds, torch.from_numpy(clips))
            features[clips] = feature.compute(sounds).numpy()
        features.flush()
        progress(what, total, total)

    features: NDArray[np.float16] = np.load(made_once(folder / f"{feature.name}.npy", make), mmap_mode="r")
    return features


def read_waveforms(waveforms: NDArray[np.int16], clips: NDArray[np.int64]) -> Float[Tensor, "clips samples"]:
    """Some clips' samples, within ±1."""
    return torch.from_numpy(waveforms[clips].astype(np.float32) / 32767)


def clip_power(waveforms: NDArray[np.int16], clips: NDArray[np.int64]) -> Float[Tensor, "clips 192 512"]:
    """Some clips' power spectrograms, dithered."""
    dithered = spectrogram.dither(read_waveforms(waveforms, clips), torch.from_numpy(clips))
    return spectrogram.power(dithered)


class FeatureSplit:
    """The features of one split, drawn in batches.

    They are held on the training device while they are small (1 GB), and read from the memory map otherwise.
    """

    def __init__(self, features: NDArray[np.float16], clips: NDArray[np.int64], device: torch.device) -> None:
        self.clips = clips
        self._features = features
        self._device = device
        size_bytes = len(clips) * features.itemsize * features.shape[1] * features.shape[2]
        self._resident = torch.from_numpy(features[clips]).to(device) if size_bytes <= RESIDENT_BYTES else None

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, positions: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames bins"]:
        """The clips at these positions within the split, on the device, as float32."""
        if self._resident is not None:
            return self._resident[positions.to(self._device, non_blocking=True)].float()
        rows = self._features[self.clips[positions.numpy()]]
        return torch.from_numpy(rows).to(self._device).float()
