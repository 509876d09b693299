from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.grid import Grid
from trainables.components.audio.sizes import SIZES, RepresentationName, Size
from trainables.components.audio.spectrogram import resize
from trainables.components.representation.channels import PhaseName
from trainables.components.representation.representation import Representation

GRIDS = [
    Grid(size, representation, reduction)
    for representation in ("linear", "mel", "audiovision")
    for size in SIZES
    for reduction in ("pool", "decimate")
]


def sounds(count: int = 2) -> torch.Tensor:
    """A chirp in noise, and noise alone."""
    time_s = torch.arange(44100) / 22050
    chirp = torch.sin(2 * math.pi * (300 * time_s + 800 * time_s.square()))
    noise = torch.randn(count, 44100, generator=torch.Generator().manual_seed(0))
    return 0.02 * noise + 0.3 * chirp * torch.linspace(1, 0, count)[:, None]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_every_grid_has_its_size_and_a_way_back_to_the_level_of_each_octave(grid: Grid) -> None:
    given = sounds()
    reduced = grid.log_power(given)
    assert reduced.shape == (2, *SIZES[grid.size])
    full = grid.to_full(reduced)
    expected = resize(spectrogram.log_power(spectrogram.power(given)), "24x64")
    found = resize(full, "24x64")
    # The report's own grid is off by a bin, and its lowest band is empty.
    tolerance_nats = 0.4 if grid.representation != "audiovision" else 0.8
    by_octave = [(found - expected)[:, 2:-2, low : 2 * low].mean().abs().item() for low in (8, 16, 32)]
    assert max(by_octave) < (tolerance_nats if grid.reduction == "pool" or grid.step == 1 else 1.2), by_octave


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_a_clip_is_the_same_alone_and_silence_is_finite(grid: Grid) -> None:
    given = sounds(3)
    torch.testing.assert_close(grid.log_power(given)[1:2], grid.log_power(given[1:2]))
    silence = grid.log_power(torch.zeros(1, 44100))
    assert silence.isfinite().all() and grid.to_full(silence).isfinite().all()


def test_names_and_labels_tell_grids_apart() -> None:
    assert len({grid.name for grid in GRIDS}) == len({grid.label for grid in GRIDS}) == len(GRIDS)
    assert Grid().label == "48x128"


def test_decimation_keeps_the_speckle_that_pooling_removes() -> None:
    noise = torch.randn(4, 44100, generator=torch.Generator().manual_seed(1))
    variances = {
        reduction: Grid("48x128", "linear", reduction).log_power(noise)[:, 1:-1, 2:-2].var().item()
        for reduction in ("pool", "decimate")
    }
    assert variances["decimate"] == pytest.approx(math.pi**2 / 6, rel=0.1)
    assert variances["pool"] == pytest.approx(0.19, rel=0.15)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("representation", ["linear", "mel"])
def test_every_size_is_floored_at_the_same_level(representation: RepresentationName, size: Size) -> None:
    burst = torch.zeros(1, 44100)
    burst[0, 20000:20500] = 0.5 * torch.randn(500, generator=torch.Generator().manual_seed(0))
    top = spectrogram.log_power(spectrogram.power(burst)).max()
    assert Grid(size, representation).log_power(burst).min().item() == pytest.approx(
        max(top.item() - spectrogram.RANGE_NATS, math.log(spectrogram.POWER_FLOOR)), abs=1e-3
    )


# The report's own representation, against what is known of it

BANDS = audiovision._band_matrix(torch.device("cpu"))


def test_the_reports_bands_are_empty_at_the_bottom_and_dependent() -> None:
    assert BANDS[:, 0].max() == 0
    assert torch.linalg.matrix_rank(BANDS.double()) == 403


def test_the_reports_frames_begin_with_nineteen_of_padding() -> None:
    log_mel = audiovision.log_mel_power(sounds())
    empty = (log_mel - math.log(1e-6)).abs().amax(dim=2) < 1e-3
    assert empty[:, :19].all() and not empty[:, 20:].any()


def test_the_reports_overlap_add_is_exact_but_for_its_bands() -> None:
    given = sounds()
    frames = audiovision._stft(given)
    window = torch.hann_window(1024)
    restored = audiovision._overlap_add(torch.fft.irfft(torch.nn.functional.pad(frames, (1, 0)), n=1024) * window / 1.5)
    inner = slice(2000, 42000)
    error = restored[:, 5820:][:, inner] - given[:, inner]
    assert error.square().mean() < 1e-3 * given[:, inner].square().mean()
    # Unwrapped phases mixed into mel bands mean nothing: the sound is not the sound.
    own = audiovision.to_waveform(audiovision.log_mel_power(given), audiovision.mel_frequency(given))
    assert own.shape == given.shape
    assert (own - given)[:, inner].square().mean() > 0.5 * given[:, inner].square().mean()


@pytest.mark.parametrize("phase", ["instantaneous_frequency", "angle", "cos_sin"])
def test_a_clips_own_phase_at_full_resolution_gives_its_sound_back(phase: PhaseName) -> None:
    given = sounds()
    seen = Representation(Grid("192x512"), "both", phase)
    clips = seen.assemble([feature.compute(given) for feature in seen.features])
    assert clips.shape[1:] == seen.shape(192)
    log_power = seen.log_power(clips)
    assert log_power is not None
    sound = seen.own_sound(clips, log_power)
    inner = slice(1000, 43000)
    error = (sound - given)[:, inner].square().mean() / given[:, inner].square().mean()
    assert error < 1e-3


def test_a_decimated_phase_stands_for_its_block() -> None:
    seen = Representation(Grid("96x256"), "phase", "angle")
    clips = seen.assemble([feature.compute(sounds()) for feature in seen.features])
    angle = seen.angle(clips)
    assert angle is not None
    torch.testing.assert_close(angle[:, ::2, ::2], spectrogram.phase(sounds())[:, ::2, ::2])
    assert torch.equal(angle[:, 1::2], angle[:, ::2])
    assert np.unique(np.diff(angle[0, 0, :4].numpy())).size <= 2
