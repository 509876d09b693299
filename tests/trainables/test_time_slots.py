"""The autoencoder whose weights are shared over time: its contract, what it starts as, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.support.tiny_autoencoder import make
from trainables.autoencoder.codec import make_bottleneck
from trainables.autoencoder.trainable import Autoencoder
from trainables.components.generation import open_model, save_model
from trainables.components.networks.time_slots import SlotPath
from trainables.components.training.loop import decay_lr
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.testing.trainables import TrainableCase, check_metrics, check_resume, check_size

CASES: list[dict[str, Any]] = [
    {"architecture": "time_slots", "ema": 0.9, "lr_decay_steps": 3},
    {"architecture": "time_slots", "linear_path": "pca", "time_roll": True, "loss": "vae", "sigma": "per_pixel"},
    {"architecture": "time_slots", "loss": "rvq", "codebook_size": 16, "vector_size": 1, "norm": "batch"},
    {"architecture": "time_slots", "channels": "both", "adversarial_weight": 0.1},
]
NO_AUTOCAST = torch.autocast("cpu", enabled=False)


@pytest.fixture(scope="module", autouse=True)
def prepared(corpus: Corpus) -> None:
    Autoencoder.prepare([Autoencoder.Config(**Autoencoder.DEBUG)], corpus)


@pytest.mark.parametrize("settings", CASES, ids=str)
@pytest.mark.parametrize("check", [check_metrics, check_resume, check_size])
def test_the_contract_holds(check: Any, settings: dict[str, Any], corpus: Corpus) -> None:
    check(TrainableCase(Autoencoder, settings, corpus))


def test_a_sound_that_comes_a_slot_later_has_the_same_latents_a_slot_later() -> None:
    torch.manual_seed(0)
    # Without a normalization that sees the whole clip, only the ends of a clip know when they are.
    config = Autoencoder.Config(architecture="time_slots", latent_dim=32, width=8, norm="batch", linear_path="pca")
    networks = make_bottleneck(config).eval()
    for parameter in networks.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    early = torch.zeros(1, 1, 48, 128)
    early[:, :, 18:24] = torch.randn(1, 1, 6, 128)
    late = early.roll(3, dims=2)
    latents = [networks.encode(clips, NO_AUTOCAST)[0].unflatten(1, (16, 2)) for clips in (early, late)]
    assert not torch.allclose(latents[0], latents[1], atol=1e-3)
    torch.testing.assert_close(latents[0][:, 3:12], latents[1][:, 4:13])
    decoded = [networks.decode(part.flatten(1), NO_AUTOCAST)[0] for part in (latents[0], latents[0].roll(1, dims=1))]
    torch.testing.assert_close(decoded[0][:, :, 12:33], decoded[1][:, :, 15:36])


def test_it_starts_as_the_principal_components_of_slots() -> None:
    torch.manual_seed(0)
    config = Autoencoder.Config(architecture="time_slots", latent_dim=32, linear_path="pca", width=8)
    networks = make_bottleneck(config)
    assert isinstance(networks.linear_path, SlotPath)
    # Slots of two dimensions, which two latents a slot hold completely.
    shapes, offset = torch.randn(2, 3 * 128), torch.randn(3 * 128)
    slots = torch.randn(20 * 16, 2) @ shapes + offset
    clips = slots.unflatten(1, (3, 128)).unflatten(0, (20, 16)).flatten(1, 2)[:, None]
    networks.linear_path.fit(clips)
    latents, _ = networks.encode(clips, NO_AUTOCAST)
    torch.testing.assert_close(latents.std(dim=0, correction=0).mean(), torch.tensor(1.0), atol=0.2, rtol=0)
    torch.testing.assert_close(networks.decode(latents, NO_AUTOCAST)[0], clips, atol=1e-3, rtol=0)


def test_the_untrained_decoder_returns_the_mean_of_each_channel() -> None:
    torch.manual_seed(0)
    config = Autoencoder.Config(architecture="time_slots", channels="both", width=8, spectrogram="24x64")
    networks = make_bottleneck(config, means=(1.0, -2.0))
    clips, _ = networks.decode(torch.zeros(1, 128), NO_AUTOCAST)
    assert clips.shape == (1, 2, 24, 64)
    torch.testing.assert_close(clips.mean(dim=(0, 2, 3)), torch.tensor([1.0, -2.0]), atol=0.1, rtol=0)


def test_the_learning_rate_falls_without_an_end_to_be_known(corpus: Corpus) -> None:
    rates = [decay_lr(1.0, steps, 10) for steps in (-5, 0, 10, 20, 90)]
    assert rates == [1.0, 1.0, 1 / 2, 1 / 3, 1 / 10]
    assert decay_lr(1.0, 1000, 0) == 1.0
    autoencoder = make(corpus, lr=1e-3, warmup_steps=2, lr_decay_steps=5)
    steps_per_epoch = -(-len(autoencoder.train) // autoencoder.config.batch_size)
    measured = [autoencoder.step()["optim/lr"] for _ in range(2)]
    assert measured == pytest.approx([1e-3 / (1 + (epoch * steps_per_epoch - 2) / 5) for epoch in (1, 2)])


def test_everything_but_training_uses_the_averaged_weights(corpus: Corpus) -> None:
    averaged, plain = make(corpus, ema=0.999), make(corpus)
    start = averaged.codec.networks.encoder.stem.weight.clone()
    metrics = [averaged.step(), plain.step()]
    trained = averaged.trained.networks.encoder.stem.weight
    assert torch.equal(trained, plain.codec.networks.encoder.stem.weight), "the training is the same"
    assert metrics[0]["train/loss"] == metrics[1]["train/loss"]
    assert metrics[0]["val/fvu"] != metrics[1]["val/fvu"]
    current = averaged.codec.networks.encoder.stem.weight
    assert 0 < (current - start).norm() < (trained - start).norm()
    exported = averaged.exported().tensors["networks.encoder.stem.weight"]
    assert torch.equal(exported.cpu(), current.detach().cpu())
    assert "trained" not in plain.state_dict()


def test_an_exported_model_makes_the_same_sounds(corpus: Corpus, tmp_path: Path) -> None:
    autoencoder = make(corpus, architecture="time_slots", linear_path="pca")
    autoencoder.step()
    save_model(tmp_path / "model", autoencoder.exported())
    first = np.zeros(1, np.int64)
    expected = autoencoder.render(first).audio[f"{corpus.clips['clip'][0]}_reconstruction"]
    waveforms = read_waveforms(corpus.waveforms(), first)
    (generated,) = open_model(tmp_path / "model").generate(waveforms, count=1, seed=0)
    np.testing.assert_allclose(generated.content, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"latent_dim": 100}, "latent_dim: 100 can't be shared by the 16 slots .* at spectrogram: 48x128; use a mul"),
        ({"latent_dim": 12, "spectrogram": "24x64"}, "shared by the 8 slots"),
        ({"bottleneck": "attention"}, "bottleneck: attention is for the lowest map of architecture: maps"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Autoencoder.Config(architecture="time_slots", **settings)
