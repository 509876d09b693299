"""Features of a corpus: computed once, cached, and shared by all trials as a memory map."""

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
from trainables.components.audio.clip import count_frames
from trainables.corpora.shards.array import ShardedArray
from trainables.corpora.shards.rows import SplitRows
from trainables.support.evictable import hold_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.components.audio.feature import Feature

Clips = NDArray[np.int16] | ShardedArray
"""The samples of clips, of shape (clips, samples); 32767 is full scale."""
QUANTITIES = ("log_power", "instantaneous_frequency", "angle")
"""What names of features begin with."""
BATCH_CLIPS = 64


def open_features(folder: Path, waveforms: Clips, feature: Feature, progress: Progress = silent) -> NDArray[np.float16]:
    """Open a feature of every clip as a memory map of shape (clips, frames, bins); the first time, it is computed.

    Nothing evicts it before this process ends.

    Args:
        folder: the corpus's folder in the cache.
        waveforms: the samples of every clip.
        feature: the quantity and its grid.
        progress: is called while the feature is computed.
    """
    suffix = "" if feature.quantity == "log_power" else " (phase)"
    what = f"computing {feature.grid.label} spectrograms{suffix}"

    def make(path: Path) -> None:
        total = len(waveforms)
        shape = (total, *feature.grid.shape(count_frames(waveforms.shape[1])))
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        with path.open("r+b") as file:
            # On a full disk, this raises an error. Writing to the memory map would kill the process (SIGBUS).
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

    features: NDArray[np.float16] = np.load(hold_once(folder / f"{feature.name}.npy", make), mmap_mode="r")
    return features


def list_feature_sets(home: Path) -> list[Path]:
    """Return the files of all features in a home."""
    return [path for quantity in QUANTITIES for path in (home / "cache").glob(f"*/{quantity}-*.npy")]


def read_waveforms(waveforms: Clips, clips: NDArray[np.int64]) -> Float[Tensor, "clips samples"]:
    """Return the samples of some clips, within ±1."""
    return scale_samples(waveforms[clips])


def scale_samples(samples: NDArray[np.int16]) -> Float[Tensor, "clips samples"]:
    """Return samples within ±1; 32767 is full scale."""
    return torch.from_numpy(samples.astype(np.float32) / 32767)


def clip_power(waveforms: Clips, clips: NDArray[np.int64]) -> Float[Tensor, "clips full 512"]:
    """Return the power spectrograms of some clips, dithered."""
    dithered = spectrogram.dither(read_waveforms(waveforms, clips), torch.from_numpy(clips))
    return spectrogram.power(dithered)


class FeatureSplit(SplitRows):
    """The features of one split, in batches; those that fit are kept on the training device.

    Args:
        features: the features of every clip of the corpus.
        clips: the rows of the split's clips.
        device: the training device.
        most_bytes: the size up to which they fit.
    """

    def __init__(
        self, features: NDArray[np.float16], clips: NDArray[np.int64], device: torch.device, most_bytes: int
    ) -> None:
        super().__init__(features, clips, device, most_bytes=most_bytes, keep=True)

    def batch(self, positions: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames bins"]:
        """Return the features at positions within the split, on the device, as float32."""
        return self.take(positions).float()
