"""Spectrograms, networks and what is rendered of clips that are shorter or longer than usual."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from trainables.autoencoder.codec import make_bottleneck
from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.declaration import AutoencoderDeclaration
from trainables.components.audio.clip import ClipFormat, count_frames, count_samples
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.pghi import integrate_phase
from trainables.components.audio.sizes import SIZES, Reduction, RepresentationName
from trainables.components.audio.spectrogram import (
    griffin_lim,
    log_power,
    phase,
    power,
    resize,
    synthesize,
    to_waveform,
)
from trainables.components.judges.networks import NETWORKS, log_mel
from trainables.components.judges.pretrained import cut_windows
from trainables.components.judges.training import draw_masks, make_variants
from trainables.components.representation.vocoder import spectral_loss
from trainables.components.representation.vocoder_network import VocoderNetwork
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.declaration import ImageToSoundDeclaration
from trainables.image_to_sound.model import SoundFromPicture

LENGTHS = (48, 96, 192, 384)
"""Frames of clips of 0.5, 1, 2 and 4 s."""
REPRESENTATIONS: tuple[RepresentationName, ...] = ("linear", "mel", "audiovision")
REDUCTIONS: tuple[Reduction, ...] = ("pool", "decimate")


def sounds(frames: int, count: int = 2) -> torch.Tensor:
    """Two clips: a tone in noise, as long as so many frames."""
    time_s = torch.arange(count_samples(frames)) / 22_050
    noise = 0.05 * torch.randn(count, len(time_s), generator=torch.Generator().manual_seed(0))
    return noise + 0.3 * torch.sin(2 * torch.pi * 700 * time_s)


def difference_db(estimate: torch.Tensor, target: torch.Tensor) -> float:
    """The level of the difference of two sounds, relative to the second one."""
    return 10 * float(((estimate - target).square().sum() / target.square().sum()).log10())


@pytest.mark.parametrize("frames", LENGTHS)
def test_a_clip_has_its_frames_and_comes_back_from_its_spectrum(frames: int) -> None:
    clips = sounds(frames)
    assert count_frames(clips.shape[1]) == frames and power(clips).shape == (2, frames, 512)
    again = synthesize(power(clips).sqrt(), phase(clips))
    assert again.shape == clips.shape and difference_db(again, clips) < -40


@pytest.mark.parametrize("frames", LENGTHS)
def test_phases_are_found_for_clips_of_any_length(frames: int) -> None:
    amplitude = power(sounds(frames)).sqrt()
    first = integrate_phase(amplitude)
    for rendered in (griffin_lim(amplitude), griffin_lim(amplitude, first_phase=first), synthesize(amplitude, first)):
        assert rendered.shape == (2, count_samples(frames)) and rendered.isfinite().all()
        error = (power(rendered).sqrt() - amplitude).norm() / amplitude.norm()
        assert error < 0.5


@pytest.mark.parametrize(("frames", "size"), [*product(LENGTHS, SIZES)])
def test_a_size_has_frames_in_proportion_to_the_length(frames: int, size: Any) -> None:
    clips, (usual_frames, bins) = sounds(frames), SIZES[size]
    expected = (2, frames * usual_frames // 192, bins)
    for representation, reduction in product(REPRESENTATIONS, REDUCTIONS):
        grid = Grid(size, representation, reduction)
        reduced = grid.log_power(clips)
        assert reduced.shape == expected == (2, *grid.shape(frames))
        assert grid.to_full(reduced).shape == (2, frames, 512)
        assert grid.resize(reduced, "48x128").shape == (2, frames // 4, 128)
    for feature in (Feature(Grid(size), "angle"), Feature(Grid(size), "instantaneous_frequency")):
        assert feature.compute(clips).shape == expected


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_a_long_clip_has_the_spectrogram_of_a_short_one(size: Any) -> None:
    long = sounds(384)
    short = long[:, : count_samples(192)]
    of_long, of_short = (log_power(power(clips), size) for clips in (long, short))
    # The last frames of the short one are reflected.
    inner = SIZES[size][0] * 15 // 16
    torch.testing.assert_close(of_long[:, :inner], of_short[:, :inner], atol=0.1, rtol=0)
    restored = resize(of_long, "192x512")
    assert restored.shape == (2, 384, 512) and to_waveform(of_long, iterations=1).shape == long.shape


@pytest.mark.parametrize("frames", LENGTHS)
def test_judges_classify_clips_of_any_length(frames: int) -> None:
    variants = make_variants(power(sounds(frames)), torch.Generator().manual_seed(0))
    assert variants.shape == (7, 2, frames // 2, 64)
    hidden = draw_masks(variants[0], torch.Generator().manual_seed(3))
    assert hidden.shape == variants.shape[1:] and not hidden.all()
    for network in NETWORKS.values():
        logits = network(3).eval()(log_mel(log_power(power(sounds(frames)))))
        assert logits.shape == (2, 3) and logits.isfinite().all()


@pytest.mark.parametrize("frames", LENGTHS)
def test_the_vocoder_renders_and_learns_clips_of_any_length(frames: int) -> None:
    clips, network = sounds(frames), VocoderNetwork()
    rendered = network(log_power(power(clips)))
    assert rendered.shape == clips.shape
    loss = spectral_loss(rendered, clips)
    loss.backward()
    assert loss.isfinite() and network.head.weight.grad is not None


SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"spectrogram": "24x64", "linear_path": "pca", "loss": "vae"},
    {"spectrogram": "192x512", "bottleneck": "attention", "width": 8},
    {"bottleneck": "spectral_norm", "channels": "both"},
    {"architecture": "time_slots", "width": 32, "linear_path": "pca", "loss": "vae", "sigma": "per_pixel"},
    {"architecture": "time_slots", "spectrogram": "24x64", "width": 32},
)


@pytest.mark.parametrize(("frames", "settings"), [*product((48, 96, 384, 480), SETTINGS)], ids=str)
def test_an_autoencoder_has_the_shape_and_the_weights_of_its_clips(frames: int, settings: dict[str, Any]) -> None:
    config = AutoencoderConfig(**{"latent_dim": 16, "width": 8, **settings})
    networks = make_bottleneck(config, clip_frames=frames).eval()
    shape = config.clip_representation.shape(frames)
    clips, off = torch.randn(3, *shape), torch.autocast("cpu", enabled=False)
    if networks.linear_path is not None:
        networks.fit_linear_path(clips)
    latents, _ = networks.encode(clips, off)
    decoded, spread = networks.decode(latents, off)
    assert latents.shape == (3, 16) and decoded.shape == clips.shape
    assert spread is None or spread.shape == (3, 1, *shape[1:])
    clip = ClipFormat(wanted_samples=count_samples(frames))
    counted = AutoencoderDeclaration.checkpoint_bytes(config, clip)
    trained = sum(parameter.nbytes for parameter in networks.parameters())
    kept = sum(tensor.nbytes for tensor in networks.state_dict().values())
    assert counted - 1300 * len(networks.state_dict()) < 2 * trained + kept <= counted


def test_a_linear_path_returns_clips_whose_frames_have_to_be_padded() -> None:
    config = AutoencoderConfig(linear_path="pca", latent_dim=16)
    networks = make_bottleneck(config, clip_frames=96).eval()
    directions = torch.randn(4, 24 * 128, generator=torch.Generator().manual_seed(0))
    clips = (torch.randn(20, 4, generator=torch.Generator().manual_seed(1)) @ directions).reshape(20, 1, 24, 128)
    networks.fit_linear_path(clips)
    off = torch.autocast("cpu", enabled=False)
    decoded, _ = networks.decode(networks.encode(clips, off)[0], off)
    torch.testing.assert_close(decoded, clips, atol=0.02, rtol=0)


@pytest.mark.parametrize("frames", [96, 384])
def test_image_to_sound_has_the_weights_of_its_clips(frames: int) -> None:
    config = ImageToSoundConfig()
    with torch.device("meta"):
        model = SoundFromPicture(config, weights="none", clip_frames=frames)
    counted = ImageToSoundDeclaration.checkpoint_bytes(config, ClipFormat(wanted_samples=count_samples(frames)))
    trained = sum(parameter.nbytes for parameter in model.parameters())
    kept = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert counted - 1300 * len(model.state_dict()) < 2 * trained + kept <= counted


def test_windows_cover_a_clip_but_for_what_is_hardly_heard() -> None:
    clips = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert [window[0].tolist() for window in cut_windows(clips, 4)] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert [window.shape for window in cut_windows(clips, 12)] == [(2, 10)]
    # Of 10.01 s, one window of 10 s.
    assert [window.shape for window in cut_windows(np.zeros((1, 480_523), np.float32), 480_000)] == [(1, 480_000)]
    assert len(cut_windows(np.zeros(32_000, np.float32), 15_600)) == 3
