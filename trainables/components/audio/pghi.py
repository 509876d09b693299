"""Phase gradient heap integration (Průša, Balazs and Søndergaard, 2017): a phase from magnitudes, without iterations.

For a Gaussian window, the phase gradient follows from the gradient of the log-magnitude with time and frequency
exchanged; a Hann window is close to a Gaussian. The gradient is integrated from the loudest bin of a clip outwards,
always continuing from the loudest bin reached so far.
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

from trainables.components.audio.clip import HOP_SAMPLES
from trainables.components.audio.phase import wrap
from trainables.components.audio.sizes import BINS
from trainables.components.audio.spectrogram import FFT_SAMPLES

GAMMA_SAMPLES2 = 0.25645 * FFT_SAMPLES**2
"""γ in samples²: exp(−π t² / γ) is the Gaussian nearest to the Hann window."""
TOLERANCE = 1e-6
"""Bins below this fraction of the clip's maximum get a random phase."""

Slopes = Float64[Tensor, "clips full 512"]


def integrate_phase(amplitude: Float[Tensor, "clips full 512"]) -> Float[Tensor, "clips full 512"]:
    """Estimate phases from amplitudes, in radians within ±π, for example to initialize `griffin_lim`.

    The result for a clip does not depend on its batch. It is computed on the CPU, in one thread per clip; the first
    call on a machine compiles for some seconds.
    """
    exact = amplitude.detach().cpu().double().contiguous()
    floor = TOLERANCE * exact.amax(dim=(1, 2), keepdim=True)
    log_amplitude = exact.clamp(min=floor.clamp(min=torch.finfo(exact.dtype).tiny)).log()
    angle = _random_angles(exact.shape[1]).repeat(len(exact), 1, 1)
    # In double precision: the angles of a clip sum up to 10⁵ radians before they are wrapped.
    clips = (batch.contiguous().numpy() for batch in (log_amplitude, *_slopes(log_amplitude), exact <= floor, angle))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(_compile_integrate(), *clips))
    return wrap(angle).to(amplitude)


def _slopes(log_amplitude: Float64[Tensor, "clips full 512"]) -> tuple[Slopes, Slopes]:
    """Return the phase advance in radians from frame to frame, and from bin to bin."""
    over_frames, over_bins = torch.gradient(log_amplitude, dim=(1, 2))
    ratio = HOP_SAMPLES * FFT_SAMPLES / GAMMA_SAMPLES2
    per_frame = 2 * math.pi * HOP_SAMPLES / FFT_SAMPLES * torch.arange(1, BINS + 1) + ratio * over_bins
    # torch measures phase at a frame's first sample, half a window before its centre: −π from each bin to the next.
    per_bin = -math.pi - over_frames / ratio
    return per_frame, per_bin


@lru_cache(maxsize=1)
def _random_angles(frames: int) -> Float64[Tensor, "frames 512"]:
    generator = torch.Generator().manual_seed(2)
    return 2 * math.pi * torch.rand(frames, BINS, dtype=torch.float64, generator=generator)


@lru_cache(maxsize=1)
def _compile_integrate() -> Callable[..., None]:
    # Imported here, because numba takes a second to import and most processes never integrate.
    from numba import njit

    compiled: Callable[..., None] = njit(nogil=True, cache=True)(_integrate)
    return compiled


@no_type_check
def _integrate(log_amplitude: Any, per_frame: Any, per_bin: Any, is_done: Any, angle: Any) -> None:
    """Integrate one clip by the trapezoid rule, overwriting `is_done` and the angles that are not done yet."""
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
