"""A survey of a corpus: the level of every clip, and the sounds that it has twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from trainables.components.audio import spectrogram
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

SURVEY_VERSION = 1
"""Raise it with any change of what is measured."""
BATCH_CLIPS = 64
QUIET_DB = -60.0
"""The RMS below which a clip is nearly silent, in dB below full scale."""
FULL_SCALE = 32766
CLIPPED_FRACTION = 1e-3
"""The fraction of samples at full scale above which a clip is clipped."""
BLOCKS, BANDS = 17, 17
"""A fingerprint has a bit for each neighbouring pair of blocks of time and of bands of frequency: 16 x 16."""
CLEAR_NATS = 0.1
"""The difference of growth above which a bit is clear. Silence has no clear bits."""
LEAST_CLEAR_BITS = 96
"""The clear bits that two clips need in common for a comparison."""
MOST_DIFFERENT = 0.1
"""The fraction of clear bits in which the same sound differs at most; unrelated sounds differ in half of them."""
MOST_IN_WORD = 400
"""Of a word that more clips have in common, such as that of silence, not all pairs are compared."""


@dataclass(frozen=True)
class Duplicate:
    """A sound that is in two recordings.

    Attributes:
        first: the row of a clip.
        second: the row of a clip of another recording with the same sound.
        is_leak: whether the recordings are in different splits.
    """

    first: int
    second: int
    is_leak: bool


@dataclass(frozen=True)
class Survey:
    """What was measured of each clip.

    Attributes:
        rms_db: its RMS, in dB below full scale.
        peak_db: its peak, in dB below full scale.
        is_clipped: whether more than a thousandth of its samples are at full scale.
        duplicates: the pairs of recordings with the same sound, leaks first.
    """

    rms_db: NDArray[np.float32]
    peak_db: NDArray[np.float32]
    is_clipped: NDArray[np.bool_]
    duplicates: tuple[Duplicate, ...]

    @property
    def is_quiet(self) -> NDArray[np.bool_]:
        """Whether each clip is nearly silent."""
        return self.rms_db < QUIET_DB


def survey(corpus: Corpus, progress: Progress = silent) -> Survey:
    """Measure every clip of a corpus; the first time, which is cached."""

    def make(path: Path) -> None:
        parts = []
        for start in range(0, len(corpus.clips), BATCH_CLIPS):
            progress("measuring the clips", start, len(corpus.clips))
            parts.append(_measure(corpus, np.arange(start, min(start + BATCH_CLIPS, len(corpus.clips)))))
        rms_db, peak_db, is_clipped, bits, clear = (np.concatenate(part) for part in zip(*parts, strict=True))
        with path.open("wb") as file:
            np.savez(file, rms_db=rms_db, peak_db=peak_db, is_clipped=is_clipped, bits=bits, clear=clear)
        progress("measuring the clips", len(corpus.clips), len(corpus.clips))

    with np.load(write_once(corpus.folder / f"survey-{SURVEY_VERSION}.npz", make)) as stored:
        duplicates = tuple(_find_duplicates(corpus, stored["bits"], stored["clear"]))
        return Survey(stored["rms_db"], stored["peak_db"], stored["is_clipped"], duplicates)


def _measure(corpus: Corpus, clips: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
    samples = corpus.waveforms()[clips]
    sounds = read_waveforms(corpus.waveforms(), clips)
    rms_db = 10 * torch.log10(sounds.square().mean(dim=1).clamp_min(1e-12))
    peak_db = 20 * torch.log10(sounds.abs().amax(dim=1).clamp_min(1e-6))
    is_clipped = (np.abs(samples.astype(np.int32)) >= FULL_SCALE).mean(axis=1) > CLIPPED_FRACTION
    return rms_db.numpy(), peak_db.numpy(), is_clipped, *_fingerprint(spectrogram.power(sounds).numpy())


def _fingerprint(power: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return 256 bits a clip: whether the energy grows faster over time in a band than in the next one.

    After Haitsma and Kalker (ISMIR 2002), for one clip instead of each of its frames. A gain changes no bit.

    Args:
        power: power spectrograms of shape (clips, frames, bins).

    Returns:
        The bits, packed, and which of them are clear.
    """
    # Bands are narrower at low frequencies, where most of the energy is.
    edges = np.unique(np.geomspace(4, power.shape[2], BANDS + 1).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=2)
    blocks = F.adaptive_avg_pool2d(torch.from_numpy(bands), (BLOCKS, BANDS)).numpy()
    floor = 1e-8 * blocks.max(axis=(1, 2), keepdims=True) + 1e-12
    growth = np.diff(np.diff(np.log(blocks + floor), axis=1), axis=2).reshape(len(power), -1)
    is_clear = np.abs(growth) > CLEAR_NATS
    return np.packbits((growth > 0) & is_clear, axis=1), np.packbits(is_clear, axis=1)


def _find_duplicates(corpus: Corpus, bits: NDArray[np.uint8], clear: NDArray[np.uint8]) -> list[Duplicate]:
    """Return a pair of clips for each two recordings with the same sound, leaks first."""
    recordings = corpus.clips["recording"].to_numpy(str)
    splits = corpus.clips["split"].to_numpy(str)
    duplicates: dict[tuple[str, str], Duplicate] = {}
    for first, second in sorted(_match(bits, clear)):
        if recordings[first] != recordings[second]:
            names = (str(recordings[first]), str(recordings[second]))
            duplicates.setdefault(names, Duplicate(first, second, bool(splits[first] != splits[second])))
    return sorted(duplicates.values(), key=lambda duplicate: (not duplicate.is_leak, duplicate.first, duplicate.second))


def _match(bits: NDArray[np.uint8], clear: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Return the pairs of clips with the same sound, among those that have a word of their bits in common."""
    pairs: set[tuple[int, int]] = set()
    for words in np.ascontiguousarray(bits).view(np.uint16).T:
        order = np.argsort(words, kind="stable")
        ordered = words[order]
        for distance in range(1, min(MOST_IN_WORD, len(order))):
            is_same = ordered[distance:] == ordered[:-distance]
            if not is_same.any():
                break
            first, second = order[:-distance][is_same], order[distance:][is_same]
            common = clear[first] & clear[second]
            num_common = np.bitwise_count(common).sum(axis=1)
            num_different = np.bitwise_count((bits[first] ^ bits[second]) & common).sum(axis=1)
            is_match = (num_common >= LEAST_CLEAR_BITS) & (num_different <= MOST_DIFFERENT * num_common)
            pairs |= set(zip(first[is_match].tolist(), second[is_match].tolist(), strict=True))
    return pairs
