"""The learned vocoder: what it learns, that it is trained once, and the grids that it renders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainables.autoencoder.trainable import Autoencoder
from trainables.components.audio.clip import CLIP_SAMPLES
from trainables.components.audio.grid import Grid
from trainables.components.audio.sizes import SIZES, Reduction, RepresentationName, Size
from trainables.components.audio.sound_metrics import mel_lsd_db
from trainables.components.audio.spectrogram import griffin_lim, phase, synthesize
from trainables.components.representation import vocoder
from trainables.components.representation.vocoder import open_vocoder, spectral_loss
from trainables.components.representation.vocoder_network import FIRST_ITERATIONS, VocoderNetwork
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.opening import open_corpus
from trainables.support.progress import silent


def probe_sounds(corpus: Corpus) -> torch.Tensor:
    """Three held-out clips."""
    return read_waveforms(corpus.waveforms(), corpus.probes(3))


def magnitudes(sounds: torch.Tensor, grid: Grid) -> torch.Tensor:
    return grid.to_full(grid.log_power(sounds))


def test_an_untrained_network_renders_with_the_phase_of_its_first_rendering(corpus: Corpus) -> None:
    log_power = magnitudes(probe_sounds(corpus), Grid("192x512"))
    amplitude = (log_power / 2).exp()
    with torch.inference_mode():
        sounds = VocoderNetwork()(log_power)
    expected = synthesize(amplitude, phase(griffin_lim(amplitude, iterations=FIRST_ITERATIONS)))
    assert torch.allclose(sounds, expected, atol=1e-4)


def test_it_learns_to_render_held_out_clips_better_than_where_it_starts(corpus: Corpus) -> None:
    sounds = probe_sounds(corpus)
    log_power = magnitudes(sounds, Grid("48x128"))
    with torch.inference_mode():
        untrained = mel_lsd_db(VocoderNetwork()(log_power), sounds).mean()
    assert mel_lsd_db(open_vocoder(corpus).render(log_power), sounds).mean() < 0.97 * untrained


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("representation", ["linear", "mel", "audiovision"])
@pytest.mark.parametrize("reduction", ["pool", "decimate"])
def test_it_renders_the_magnitudes_of_every_grid(
    corpus: Corpus, size: Size, representation: RepresentationName, reduction: Reduction
) -> None:
    log_power = magnitudes(probe_sounds(corpus)[:1], Grid(size, representation, reduction))
    sounds = open_vocoder(corpus).render(log_power)
    assert sounds.shape == (1, CLIP_SAMPLES) and sounds.isfinite().all()
    assert 0.01 < sounds.abs().max() < 3


def test_louder_magnitudes_give_the_same_sound_louder(corpus: Corpus) -> None:
    log_power = magnitudes(probe_sounds(corpus), Grid("48x128"))
    plain, louder = (open_vocoder(corpus).render(log_power + gain) for gain in (0.0, 2.0))
    assert (louder / torch.tensor(1.0).exp() - plain).abs().mean() < 0.02 * plain.abs().mean()


def test_training_is_the_same_to_the_last_bit_and_draws_nothing_of_its_caller(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocoder, "STEPS", (2, 2))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    one, other = (vocoder._train(corpus, silent).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_step_whose_loss_is_not_finite_is_skipped(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocoder, "STEPS", (2, 2))
    factors = iter([torch.inf, 1.0])
    monkeypatch.setattr(vocoder, "spectral_loss", lambda *pair: next(factors) * spectral_loss(*pair))
    assert all(value.isfinite().all() for value in vocoder._train(corpus, silent).state_dict().values())


def test_a_sweep_that_renders_with_it_trains_it_before_the_first_trial_and_once(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocoder, "STEPS", (2, 2))
    corpus = open_corpus({"name": "folder", "root": str(tiny_corpus)}, tmp_path)
    config = Autoencoder.Config(**{**Autoencoder.DEBUG, "phase": "vocoder"})
    steps: list[str] = []
    for _ in range(2):
        Autoencoder.prepare([config], corpus, lambda what, done, total: steps.append(what))
    assert steps.count("training the vocoder") == 2


def test_the_loss_is_zero_for_equal_sounds_and_has_a_gradient_for_silence(corpus: Corpus) -> None:
    sounds = probe_sounds(corpus)
    assert spectral_loss(sounds, sounds) == 0
    silence = torch.zeros_like(sounds, requires_grad=True)
    loss = spectral_loss(silence, sounds)
    loss.backward()
    assert loss > 1 and silence.grad is not None and silence.grad.isfinite().all()
