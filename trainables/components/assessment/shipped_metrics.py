"""The added metrics of this repository: FAD and KAD with intervals, and PESQ, STOI and ViSQOL for sounds.

The last three need a package each: pystoi is in the extra `ears`; pesq and visqol-python are compiled when they are
installed, so that the extra leaves them out. They were made for speech (PESQ, STOI) and for coded speech and music
(ViSQOL). A clip in which they find no signal has no value.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.assessment.added_metrics import Estimate, register_metric
from trainables.components.assessment.distributions import FrechetDistance
from trainables.components.assessment.kernel_distances import (
    Kernel,
    KernelDistance,
    choose_subset,
    cubic_kernel,
    gaussian_kernel,
)
from trainables.components.judges.pretrained import import_package

Values = NDArray[Any]
"""Embeddings of shape (clips, features), or sounds of shape (clips, samples), in single or double precision."""
Keep = NDArray[np.bool_]
"""A mask of clips."""

MAX_GROUPS = 20
"""The number of groups of recordings of which the jackknife leaves out one after the other."""
REFERENCE_CLIPS = 1000
"""The most train clips that KAD is computed from."""
KAD_SCALE = 100.0
"""The factor of KAD in the authors' toolkit."""
PESQ_HZ, VISQOL_HZ = 16_000, 48_000
SILENCE_PEAK = 1e-4
"""A sound with a lower peak, −80 dB of full scale, is silent."""


@register_metric("fad", of="embeddings", mode="min", description="Fréchet distance to the training clips")
@register_metric("fid", of="embeddings", mode="min", description="Fréchet distance to the training clips")
def frechet(generated: Values, reference: Values, groups: NDArray[np.int64]) -> Estimate:
    """Compute the Fréchet distance as `distributions.FrechetDistance`, which has the value without an interval."""
    clips, distance = torch.from_numpy(generated), FrechetDistance(torch.from_numpy(reference))
    return jackknife(lambda keep: distance.measure(clips[torch.from_numpy(keep)]), groups)


@register_metric(
    "kad",
    of="embeddings",
    mode="min",
    description="100 × unbiased MMD² with a Gaussian kernel (KAD), 0 or below is best",
)
def kernel_audio_distance(generated: Values, reference: Values, groups: NDArray[np.int64]) -> Estimate:
    """Compute KAD (Chung et al., 2025, arXiv 2502.15602): the bandwidth is the reference's median distance."""
    from scipy.spatial.distance import pdist

    reference = reference[:REFERENCE_CLIPS]
    bandwidth = max(float(np.median(pdist(reference))), 1e-12)
    return _discrepancy(generated, reference, gaussian_kernel(bandwidth), groups, KAD_SCALE)


@register_metric(
    "kid", of="embeddings", mode="min", description="unbiased MMD² with the kernel (x · y / d + 1)³, 0 or below is best"
)
def kernel_inception_distance(generated: Values, reference: Values, groups: NDArray[np.int64]) -> Estimate:
    """Compute KID (Bińkowski et al., 2018) of the same clips as the value without an interval."""
    chosen, reference = choose_subset(len(generated)).numpy(), reference[choose_subset(len(reference)).numpy()]
    return _discrepancy(generated[chosen], reference, cubic_kernel, groups[chosen], 1.0)


@register_metric("pesq", of="sounds", mode="max", description="PESQ of speech, wide band at 16 kHz, from 1 to 4.6")
def pesq(sounds: Values, originals: Values, rate_hz: int) -> Values:
    """Compute PESQ (ITU-T P.862.2) after resampling; NaN where it finds no utterance."""
    package = import_package("pesq", "metric pesq", "pip install pesq (needs a C compiler)")

    def score(sound: Values, original: Values) -> float:
        # Returned as negative numbers are reasons why there is no score.
        value = package.pesq(PESQ_HZ, original, sound, "wb", on_error=package.PesqError.RETURN_VALUES)
        return float(value) if value > 0 else math.nan

    return _score_pairs(score, sounds, originals, rate_hz, PESQ_HZ)


@register_metric("stoi", of="sounds", mode="max", description="short-time objective intelligibility of speech, up to 1")
def stoi(sounds: Values, originals: Values, rate_hz: int) -> Values:
    """Compute STOI (Taal et al., 2011), which resamples to 10 kHz; NaN where it finds too little speech."""
    package = import_package("pystoi", "metric stoi", "pip install 'avsweep[ears]'")

    def score(sound: Values, original: Values) -> float:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = float(package.stoi(original, sound, rate_hz))
        # Without enough frames it warns, and returns 1e-5.
        return math.nan if any(issubclass(entry.category, RuntimeWarning) for entry in caught) else value

    return _score_pairs(score, sounds, originals, rate_hz, rate_hz)


@register_metric("visqol", of="sounds", mode="max", description="ViSQOL's opinion score of audio, from 1 to 5")
def visqol(sounds: Values, originals: Values, rate_hz: int) -> Values:
    """Compute ViSQOL in audio mode (Chinen et al., 2020) after resampling to 48 kHz; NaN for silent clips."""
    package = import_package("visqol", "metric visqol", "pip install visqol-python (needs a C compiler)")
    api = package.VisqolApi()
    api.create(mode="audio")

    def score(sound: Values, original: Values) -> float:
        return float(api.measure_from_arrays(original, sound, VISQOL_HZ).moslqo)

    return _score_pairs(score, sounds, originals, rate_hz, VISQOL_HZ)


def _score_pairs(
    score: Callable[[Any, Any], float], sounds: Values, originals: Values, rate_hz: int, wanted_hz: int
) -> Values:
    """Return the score of each sound against its original, both resampled; NaN if one of them is silent."""
    from scipy.signal import resample_poly

    divisor = math.gcd(rate_hz, wanted_hz)
    scores = []
    for sound, original in zip(sounds, originals, strict=True):
        pair = [np.asarray(samples, np.float64) for samples in (sound, original)]
        if min(np.abs(samples).max() for samples in pair) < SILENCE_PEAK:
            scores.append(math.nan)
            continue
        if rate_hz != wanted_hz:
            pair = [resample_poly(samples, wanted_hz // divisor, rate_hz // divisor) for samples in pair]
        scores.append(score(*pair))
    return np.array(scores)


def _discrepancy(
    generated: Values, reference: Values, kernel: Kernel, groups: NDArray[np.int64], scale: float
) -> Estimate:
    """Return the unbiased MMD² with its standard error, both times a factor."""
    folds = assign_folds(groups)
    clips = torch.from_numpy(generated), torch.from_numpy(reference)
    distance = KernelDistance(*clips, kernel, torch.from_numpy(folds))
    return jackknife(lambda keep: scale * distance.of_folds(np.unique(folds[keep]).tolist()), groups)


def assign_folds(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each clip: those of one recording are in the same, and there are at most 20."""
    return (np.unique(groups, return_inverse=True)[1] % MAX_GROUPS).astype(np.int64)


def jackknife(evaluate: Callable[[Keep], float], groups: NDArray[np.int64]) -> Estimate:
    """Return a value with its standard error from leaving out one group of recordings after the other.

    Clips of one recording stay together: they are no independent observations.

    Args:
        evaluate: computes the value from the clips that are True in a mask.
        groups: the number of each clip's recording.
    """
    everything = np.ones(len(groups), bool)
    if len(groups) < 2:
        return Estimate(math.nan, math.nan)
    value = evaluate(everything)
    folds = assign_folds(groups)
    count = int(folds.max()) + 1
    if count < 3 or len(groups) < 6:
        return Estimate(value, math.nan)
    partial = np.array([evaluate(folds != fold) for fold in range(count)])
    variance = (count - 1) / count * np.square(partial - partial.mean()).sum()
    return Estimate(value, math.sqrt(variance))
