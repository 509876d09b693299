"""What training does to waveforms: each augmentation alone, and in the training of an autoencoder."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest
import torch
from torch import Tensor

from tests.support.tiny_autoencoder import make
from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.training.batches import Batch
from trainables.corpora.corpus import Corpus

RATE_HZ = 22_050
COUNT = 32


def draw_noise(level: float = 0.1) -> Tensor:
    return level * torch.randn(COUNT, 2 * RATE_HZ, generator=torch.Generator().manual_seed(1))


def change(name: str, waveforms: Tensor, seed: int = 0) -> Tensor:
    return WAVEFORM_AUGMENTATIONS[name](waveforms, torch.Generator().manual_seed(seed))


def rms(waveforms: Tensor) -> Tensor:
    return waveforms.square().mean(dim=1).sqrt()


def test_a_gain_is_of_the_whole_clip_and_of_six_decibels_at_most() -> None:
    noise = draw_noise()
    gains_db = 20 * (rms(change("gain", noise)) / rms(noise)).log10()
    assert gains_db.abs().max() <= 6 and gains_db.std() > 2
    torch.testing.assert_close(change("gain", noise), noise * (10 ** (gains_db / 20))[:, None])


def test_a_shift_loses_nothing() -> None:
    noise = draw_noise()
    shifted = change("shift", noise)
    starts = set()
    for before, after in zip(noise, shifted, strict=True):
        starts.add(start := int((before == after[0]).nonzero()[0]))
        assert torch.equal(before.roll(-start), after)
    assert len(starts) > COUNT / 2


def test_a_mixture_is_as_loud_as_the_clip_and_the_clip_is_the_larger_part() -> None:
    levels = torch.logspace(-3, -1, COUNT)[:, None]
    noise = draw_noise(1.0) * levels
    mixed = change("mix", noise)
    torch.testing.assert_close(rms(mixed), rms(noise), rtol=0.05, atol=0)
    shares = (mixed * noise).mean(dim=1) / rms(noise).square()
    is_mixed = (mixed != noise).any(dim=1)
    assert 0.3 < is_mixed.float().mean() < 0.7
    assert (shares[is_mixed] > 0.6).all() and shares[is_mixed].std() > 0.02


def test_a_mask_hides_a_stretch_and_a_band_and_clicks_nowhere() -> None:
    noise = draw_noise()
    masked = change("mask", noise)
    hidden = (masked == 0).float().mean(dim=1)
    assert hidden.max() <= 0.2 and hidden.mean() > 0.05
    power, before = (
        torch.stft(sounds, 256, window=torch.hann_window(256), return_complex=True).abs().square()
        for sounds in (masked, noise)
    )
    bands = (power.mean(dim=2) / before.mean(dim=2) < 0.01).float().mean(dim=1)
    assert bands.max() <= 0.16 and bands.mean() > 0.03
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(2 * RATE_HZ) / RATE_HZ).expand(COUNT, -1)
    assert change("mask", tone).diff(dim=1).abs().max() < 1.3 * tone.diff(dim=1).abs().max()


@pytest.mark.parametrize(
    "settings", [{}, {"channels": "both", "phase": "own"}, {"representation": "audiovision", "spectrogram": "48x128"}]
)
def test_what_is_computed_from_a_waveform_is_what_the_cache_has(corpus: Corpus, settings: dict[str, str]) -> None:
    WAVEFORM_AUGMENTATIONS.register("as it is")(lambda waveforms, generator: waveforms)
    try:
        autoencoder = make(corpus, augment="as it is", **settings)
        positions = torch.tensor([3, 0, 5])
        batch = Batch(positions, [column.take(positions) for column in autoencoder.augmented.columns])
        computed = autoencoder.augmented.assemble(batch, torch.Generator())
        assert torch.equal(computed, autoencoder.train.batch(positions))
    finally:
        WAVEFORM_AUGMENTATIONS._parts.pop("as it is")


def test_training_on_augmented_clips_follows_the_seed_and_goes_on_to_the_last_bit(
    corpus: Corpus, tmp_path: Path
) -> None:
    settings = {"augment": "gain+shift+mix+mask"}
    whole = make(corpus, **settings)
    expected = [whole.step() for _ in range(2)]
    assert expected[0]["train/loss"] != make(corpus).step()["train/loss"]
    first = make(corpus, **settings)
    assert first.step() == expected[0]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = make(corpus, **settings)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.step() == expected[1]


def test_an_augmentation_that_there_is_not_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="unknown waveform augmentation 'shfit'"):
        AutoencoderConfig(augment="gain+shfit")
    assert AutoencoderConfig().augment == "none"
