"""Phase gradient heap integration (Průša, Balazs and Søndergaard, 2017): a phase from magnitudes, without iterations.

For a Gaussian window the slopes of the phase are those of the log-magnitude, time and frequency exchanged; a Hann
window is nearly one. They are integrated from a clip's loudest bin outwards, always on from the loudest bin reached.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from trainables.components.audio.phase import wrapped
from trainables.components.audio.spectrogram import BINS, FFT_SAMPLES, FRAMES, HOP_SAMPLES

GAMMA_SAMPLES2 = 0.25645 * FFT_SAMPLES**2
"""exp(−π t² / γ) is the Gaussian nearest to the Hann window."""
TOLERANCE = 1e-6
"""Bins below this part of a clip's maximum get a random phase."""

Slopes = Float64[Tensor, "clips 192 512"]


def integrated_phase(amplitude: Float[Tensor, "clips 192 512"]) -> Float[Tensor, "clips 192 512"]:
    """Angles that `griffin_lim` can begin with, in radians within ±π; a clip's are the same in every batch.

    They are found on the processor, in a thread a clip; the first call on a machine compiles for some seconds.
    """
    exact = amplitude.detach().cpu().double().contiguous()
    floor = TOLERANCE * exact.amax(dim=(1, 2), keepdim=True)
    log_amplitude = exact.clamp(min=floor.clamp(min=torch.finfo(exact.dtype).tiny)).log()
    angle = _random_angles().repeat(len(exact), 1, 1)
    # In double precision too: a clip's angles add up to 10⁵ radians before they are wrapped.
    clips = (batch.contiguous().numpy() for batch in (log_amplitude, *_slopes(log_amplitude), exact <= floor, angle))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(_compiled(), *clips))
    return wrapped(angle).to(amplitude)


def _slopes(log_amplitude: Float64[Tensor, "clips 192 512"]) -> tuple[Slopes, Slopes]:
    """Radians that the phase advances by from frame to frame, and from bin to bin."""
    over_frames, over_bins = torch.gradient(log_amplitude, dim=(1, 2))
    ratio = HOP_SAMPLES * FFT_SAMPLES / GAMMA_SAMPLES2
    per_frame = 2 * math.pi * HOP_SAMPLES / FFT_SAMPLES * torch.arange(1, BINS + 1) + ratio * over_bins
    # torch counts time from a frame's first sample, so that its centre turns every other bin round.
    per_bin = -math.pi - over_frames / ratio
    return per_frame, per_bin


@lru_cache(maxsize=1)
def _random_angles() -> Float64[Tensor, "192 512"]:
    generator = torch.Generator().manual_seed(2)
    return 2 * math.pi * torch.rand(FRAMES, BINS, dtype=torch.float64, generator=generator)


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., None]:
    # Here, because numba takes a second to import and most processes never integrate.
    from numba import njit

    compiled: Callable[..., None] = njit(nogil=True, cache=True)(_integrate)
    return compiled


@no_type_check
def _integrate(log_amplitude: Any, per_frame: Any, per_bin: Any, is_done: Any, angle: Any) -> None:
    """Integrate one clip by the trapezoid rule, overwriting the angles that are not done yet."""
    num_frames, num_bins = log_amplitude.shape
    for start in np.argsort(-log_amplitude.ravel()):
        if is_done[start // num_bins, start % num_bins]:
            continue
        is_done[start // num_bins, start % num_bins] = True
        angle[start // num_bins, start % num_bins] = 0.0
        heap = [(-log_amplitude[start // num_bins, start % num_bins], start)]
        while heap:
            _, place = heapq.heappop(heap)
            n, k = place // num_bins, place % num_bins
            for frames, bins in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                m, j = n + frames, k + bins
                if 0 <= m < num_frames and 0 <= j < num_bins and not is_done[m, j]:
                    slope = frames * (per_frame[n, k] + per_frame[m, j]) + bins * (per_bin[n, k] + per_bin[m, j])
                    angle[m, j] = angle[n, k] + slope / 2
                    is_done[m, j] = True
                    heapq.heappush(heap, (-log_amplitude[m, j], m * num_bins + j))
