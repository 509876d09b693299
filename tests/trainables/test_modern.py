"""Discriminators, codebooks and bottlenecks of the autoencoder: resumed exactly, counted, and what they start as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.worker.guard import Guard
from tests.support.tiny_autoencoder import make
from trainables.autoencoder.adversary import Adversary
from trainables.autoencoder.codec import make_bottleneck
from trainables.autoencoder.trainable import Autoencoder
from trainables.components.generation import open_model, save_model
from trainables.components.networks.convolutions import Encoder
from trainables.components.networks.latent_layers import SpectralLayer
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.testing.trainables import TrainableCase, check_metrics, check_resume, check_size

CASES: list[dict[str, Any]] = [
    {"adversarial_weight": 0.1, "linear_path": "pca"},
    {"adversarial_weight": 0.1, "loss": "rvq", "codebook_size": 16, "channels": "both"},
    {"bottleneck": "spectral_norm", "linear_path": "pca", "loss": "vae"},
    {"bottleneck": "attention", "loss": "mel"},
]


@pytest.fixture(scope="module", autouse=True)
def prepared(corpus: Corpus) -> None:
    Autoencoder.prepare([Autoencoder.Config(**Autoencoder.DEBUG)], corpus)


@pytest.mark.parametrize("settings", CASES, ids=str)
@pytest.mark.parametrize("check", [check_metrics, check_resume, check_size])
def test_the_contract_holds(check: Any, settings: dict[str, Any], corpus: Corpus) -> None:
    check(TrainableCase(Autoencoder, settings, corpus))


def test_an_adversary_leaves_the_initial_weights_as_they_are(corpus: Corpus) -> None:
    alone, opposed = make(corpus), make(corpus, adversarial_weight=0.1)
    states = alone.codec.networks.state_dict(), opposed.codec.networks.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "adversary" not in alone.state_dict()


def test_discriminators_learn_to_separate_and_their_loss_pulls_towards_the_clips() -> None:
    torch.manual_seed(0)
    adversary = Adversary(Autoencoder.Config(adversarial_weight=1.0), torch.device("cpu"))
    noise = torch.Generator().manual_seed(0)
    target = torch.randn(4, 1, 24, 64, generator=noise)
    smooth = torch.zeros_like(target)
    losses = [float(adversary.train(smooth, target)["discriminator_loss"]) for _ in range(60)]
    assert losses[-1] < 0.1 < losses[0]
    estimate = smooth.clone().requires_grad_()
    loss = adversary.loss(estimate, target)
    loss.backward()
    assert estimate.grad is not None and estimate.grad.abs().sum() > 0
    assert float(adversary.loss(target, target)) < 0.5 * float(loss)
    assert all(parameter.requires_grad for parameter in adversary.discriminators.parameters())


def test_a_spectral_bottleneck_has_the_spectral_norm_that_its_gain_says() -> None:
    torch.manual_seed(0)
    encoder = Encoder(24, 6, width=8, slope=0.2, kind="group", bottleneck="spectral_norm")
    assert isinstance(encoder.end, SpectralLayer)
    with torch.no_grad():
        encoder.get_parameter("end.layer.parametrizations.weight.original").mul_(7.0)
    for _ in range(20):
        encoder(torch.randn(2, 1, 24, 64))
    assert torch.linalg.matrix_norm(encoder.end.layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_attention_starts_as_the_plain_bottleneck() -> None:
    config = Autoencoder.Config(**Autoencoder.DEBUG)
    torch.manual_seed(0)
    plain = make_bottleneck(config)
    attentive = make_bottleneck(config.model_copy(update={"bottleneck": "attention"}))
    attentive.load_state_dict(attentive.state_dict() | plain.state_dict())
    off = torch.autocast("cpu", enabled=False)
    clips = torch.randn(2, 1, 24, 64)
    latents = [network.encode(clips, off)[0] for network in (plain, attentive)]
    torch.testing.assert_close(*latents)
    torch.testing.assert_close(*(network.decode(latents[0], off)[0] for network in (plain, attentive)))


def test_codebooks_that_give_every_clip_the_same_codes_end_the_trial_with_one_message(corpus: Corpus) -> None:
    autoencoder = make(corpus, loss="rvq", lr=1e-12)
    encoder = autoencoder.codec.networks.encoder.requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.zero_()
    epochs = [autoencoder.step() for _ in range(3)]
    assert epochs[-1]["val/active_vectors"] == 0
    rows = [{"epoch": number, "metrics": metrics} for number, metrics in enumerate(epochs[:2], start=1)]
    ended = Guard("val/fvu").divergence(epochs[-1], rows, {})
    assert ended is not None and ended["cause"] == "collapse"
    assert ended["reason"].startswith("every clip has had the same codes for 3 epochs (the codebooks collapsed)")


def test_an_exported_model_has_its_codebooks(corpus: Corpus, tmp_path: Path) -> None:
    autoencoder = make(corpus, loss="rvq", codebook_size=16)
    autoencoder.step()
    save_model(tmp_path / "model", autoencoder.exported())
    # The first clip of a corpus has the noise that a sound of one's own gets.
    first = np.zeros(1, np.int64)
    expected = autoencoder.render(first).audio[f"{corpus.clips['clip'][0]}_reconstruction"]
    waveforms = read_waveforms(corpus.waveforms(), first)
    (generated,) = open_model(tmp_path / "model").generate(waveforms, count=1, seed=0)
    np.testing.assert_allclose(generated.content, expected, atol=1e-4)
