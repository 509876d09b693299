"""Phase gradient heap integration, on sounds of the demo corpus."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.components.audio.pghi import integrate_phase
from trainables.components.audio.phase import wrap
from trainables.components.audio.spectrogram import dither, griffin_lim, phase, power
from trainables.corpora.demo.recording import RECIPES
from trainables.corpora.demo.scene import Latent
from trainables.corpora.demo.signal import record

RATE_HZ, SAMPLES = 22050, 44100
CLASSES = ("baby_cry", "chainsaw", "dog", "drum", "water_flowing")


def loudest_clip(name: str) -> Tensor:
    """2 s of a recording of the demo corpus."""
    rng = np.random.default_rng(0)
    latent = Latent.draw(rng)
    sound = torch.from_numpy(record(rng, RECIPES[name].sound(rng, latent).sound, latent) / np.float32(32767))
    clips = sound.unfold(0, SAMPLES, SAMPLES // 2)
    return clips[clips.square().mean(dim=1).argmax()]


@pytest.fixture(scope="module")
def sounds() -> Tensor:
    return dither(torch.stack([loudest_clip(name) for name in CLASSES]), torch.arange(len(CLASSES)))


@pytest.fixture(scope="module")
def amplitude(sounds: Tensor) -> Tensor:
    return power(sounds).sqrt()


def convergence(waveforms: Tensor, amplitude: Tensor) -> Tensor:
    """Spectral convergence of each clip: 0 is perfect."""
    error = (power(waveforms).sqrt() - amplitude).flatten(1).norm(dim=1)
    return error / amplitude.flatten(1).norm(dim=1)


def test_integrated_phases_fit_their_magnitudes_far_better_than_random_ones(amplitude: Tensor) -> None:
    integrated = convergence(griffin_lim(amplitude, first_phase=integrate_phase(amplitude), iterations=0), amplitude)
    random = convergence(griffin_lim(amplitude, iterations=0), amplitude)
    assert integrated.mean() < 0.2
    assert (random / integrated).min() > 2
    assert random.mean() / integrated.mean() > 3


def test_griffin_lim_ends_better_where_it_begins_with_them(amplitude: Tensor) -> None:
    integrated = convergence(griffin_lim(amplitude, first_phase=integrate_phase(amplitude)), amplitude)
    random = convergence(griffin_lim(amplitude), amplitude)
    assert integrated.mean() < 0.8 * random.mean()


def test_the_phase_of_a_chirp_is_its_own_but_for_a_constant() -> None:
    time_s = torch.arange(SAMPLES) / RATE_HZ
    chirp = 0.3 * torch.sin(2 * math.pi * (500 + 300 * time_s) * time_s)[None]
    amplitude = power(chirp).sqrt()
    error = integrate_phase(amplitude) - phase(chirp)
    at_peak = amplitude[0, 5:-5].argmax(dim=1, keepdim=True)
    # Where the chirp is: along it from frame to frame, and across it from bin to bin.
    beside = torch.cat([error[0, 5:-5].gather(1, at_peak + bins) for bins in (-1, 0, 1)], dim=1)
    assert wrap(beside.diff(dim=0)).abs().median() < 0.05
    assert wrap(beside.diff(dim=1)).abs().median() < 0.1


def test_a_clip_has_the_same_phase_in_every_batch_and_layout(amplitude: Tensor) -> None:
    together = integrate_phase(amplitude)
    assert together.dtype == amplitude.dtype and together.abs().max() <= math.pi + 1e-6
    assert torch.equal(integrate_phase(amplitude[2:3].contiguous()), together[2:3])
    assert torch.equal(integrate_phase(amplitude), together)


def test_a_louder_clip_has_the_same_phase(amplitude: Tensor) -> None:
    # A power of two, which changes no digit of a slope.
    assert wrap(integrate_phase(1024 * amplitude) - integrate_phase(amplitude)).abs().median() < 1e-3


def test_silence_and_what_is_far_below_the_maximum_get_random_phases() -> None:
    silence = integrate_phase(torch.zeros(1, 192, 512))
    assert silence.isfinite().all() and silence.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.01)
    amplitude = torch.full((2, 192, 512), 1e-7)
    amplitude[:, :, 100:120] = 1
    angle = integrate_phase(amplitude)
    is_quiet = amplitude < 1e-6
    assert torch.equal(angle[is_quiet], silence.expand_as(angle)[is_quiet])
    assert not (angle == silence)[~is_quiet].any()


def test_every_bin_of_two_islands_is_reached() -> None:
    amplitude = torch.full((1, 192, 512), 1e-9)
    amplitude[:, 10:20, 10:20], amplitude[:, 100:120, 300:320] = 1, 0.5
    angle = integrate_phase(amplitude)
    for frame, bin in ((15, 14), (110, 310)):
        per_hop = wrap(angle[0, frame + 1, bin] - angle[0, frame, bin] - 2 * math.pi * 230 / 1024 * (bin + 1))
        assert per_hop.abs() < 1e-5


def test_to_import_it_does_not_import_numba() -> None:
    code = "import sys, trainables.components.audio.pghi\nprint('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
