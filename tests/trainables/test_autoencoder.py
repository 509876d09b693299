from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import soundfile
import torch

from tests.conftest import RATE_HZ
from tests.support.tiny_autoencoder import make
from trainables.autoencoder.trainable import Autoencoder
from trainables.components.audio.sizes import SIZES, Size
from trainables.components.generation import open_model, save_model
from trainables.components.losses.registries import SIGMAS
from trainables.components.networks.convolutions import Decoder, Encoder
from trainables.components.pictures import spectrogram_pictures
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.opening import open_corpus
from trainables.errors import InputError


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [4, 10, 48])
def test_every_size_and_width_goes_through_the_latent_and_back(size: Size, width: int) -> None:
    frames, bins = SIZES[size]
    encoder = Encoder(frames, 6, width=width, slope=0.2, kind="group")
    decoder = Decoder(frames, 6, width=width, slope=0.2, kind="group", means=[-3.0])
    latents = encoder(torch.randn(2, 1, frames, bins))
    assert latents.shape == (2, 6)
    assert decoder(latents).shape == (2, 1, frames, bins)


def test_an_untrained_network_starts_near_the_mean_and_tells_clips_apart_in_every_latent() -> None:
    torch.manual_seed(0)
    encoder = Encoder(48, 128, width=32, slope=0.2, kind="group")
    decoder = Decoder(48, 128, width=32, slope=0.2, kind="group", means=[-3.0])
    latents = encoder(torch.randn(256, 1, 48, 128))
    spectrum = torch.linalg.svdvals(latents - latents.mean(dim=0)).square()
    assert spectrum.sum().square() / spectrum.square().sum() > 64, "effective dimensions of 128 latents"
    assert decoder(latents).mean().item() == pytest.approx(-3, abs=0.1)


@pytest.mark.parametrize("loss", ["l1", "l2", "vae"])
def test_training_explains_more_of_the_validation_clips(corpus: Corpus, loss: str) -> None:
    autoencoder = make(corpus, loss=loss, lr=3e-3, warmup_steps=5, width=16)
    epochs = [autoencoder.step() for _ in range(8)]
    assert epochs[-1]["val/fvu"] < 0.6 * epochs[0]["val/fvu"]
    assert epochs[-1]["train/loss"] < epochs[0]["train/loss"]


def test_short_numbers_in_its_convolutions_learn_as_much(corpus: Corpus) -> None:
    short, long = (make(corpus, precision=each, lr=3e-3, warmup_steps=5) for each in ("bfloat16", "float32"))
    found = [[each.step()["val/fvu"] for _ in range(5)][-1] for each in (short, long)]
    assert found[0] != found[1] and found[0] == pytest.approx(found[1], rel=0.1)
    assert all(each.dtype == torch.float32 for each in short.codec.networks.parameters())


@pytest.mark.parametrize(("precision", "expected"), [("float32", {False}), ("bfloat16", {True})])
def test_single_precision_is_that_on_a_card_too(corpus: Corpus, precision: str, expected: set[bool]) -> None:
    autoencoder = make(corpus, precision=precision)
    allowed: set[bool] = set()
    for layer in autoencoder.codec.networks.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda *_: allowed.add(torch.backends.cudnn.allow_tf32))
            layer.register_full_backward_hook(lambda *_: allowed.add(torch.backends.cudnn.allow_tf32))
    autoencoder.step()
    assert allowed == expected and torch.backends.cudnn.allow_tf32


def test_only_a_variational_loss_reports_its_latents(corpus: Corpus) -> None:
    extra = set(make(corpus, loss="vae").step()) - set(make(corpus, loss="l2").step())
    assert extra == {"train/kl", "train/min_sigma", "val/active_units", "val/bits_per_dim"}


def test_the_bound_in_bits_is_what_the_whole_kl_divergence_adds_to_the_likelihood(corpus: Corpus) -> None:
    autoencoder = make(corpus, loss="vae", sigma="fixed", kl_weight=1, free_bits=0)
    metrics = autoencoder.step()
    # At the latents' means the error is a little smaller than at samples of them.
    at_means = metrics["val/loss"] / math.log(2)
    assert at_means < metrics["val/bits_per_dim"] < 1.5 * at_means
    weightless = make(corpus, loss="vae", sigma="fixed", kl_weight=0, free_bits=0)
    weightless.load_state_dict(autoencoder.state_dict())
    again = weightless._validate()
    assert again["val/bits_per_dim"] == pytest.approx(metrics["val/bits_per_dim"])
    assert again["val/loss"] < metrics["val/loss"]


def test_free_bits_leave_the_divergence_that_is_reported_as_it_is(corpus: Corpus) -> None:
    free, plain = (make(corpus, loss="vae", kl_weight=0, free_bits=bits) for bits in (100.0, 0.0))
    assert free.step()["train/kl"] == plain.step()["train/kl"]


def test_the_bound_of_clips_does_not_depend_on_how_many_are_scored_together(corpus: Corpus) -> None:
    autoencoder = make(corpus, loss="vae")
    autoencoder.step()
    autoencoder.codec.networks.eval()
    clips = autoencoder.validation.batch(torch.arange(4))
    targets = [autoencoder.codec.target(part) for size in (4, 1) for part in clips.split(size)]
    with torch.inference_mode():
        bounds = [float(autoencoder.objective.bound(autoencoder.codec.estimate(part), part)) for part in targets]
    assert np.mean(bounds[1:]) == pytest.approx(bounds[0], rel=1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_vae_trains_without_a_step_left_out_at_a_high_rate(corpus: Corpus, sigma: str) -> None:
    autoencoder = make(corpus, loss="vae", sigma=sigma, sigma_floor=0.1, lr=2e-3, warmup_steps=5)
    epochs = [autoencoder.step() for _ in range(6)]
    assert not any(metrics["train/nonfinite_steps"] for metrics in epochs)
    assert epochs[-1]["val/fvu"] < epochs[0]["val/fvu"]
    assert all(metrics["train/min_sigma"] >= 0.1 for metrics in epochs)


def test_the_kl_divergence_counts_for_little_while_it_warms_up(corpus: Corpus) -> None:
    settings = {"loss": "vae", "kl_weight": 1000.0, "lr": 3e-3}
    cold, warm = (make(corpus, **settings, kl_warmup_steps=steps) for steps in (10**6, 0))
    cold_kl, warm_kl = ([each.step() for _ in range(8)][-1]["train/kl"] for each in (cold, warm))
    assert warm_kl < 0.3 * cold_kl


def test_the_kl_weight_closes_the_latent(corpus: Corpus) -> None:
    autoencoders = [make(corpus, loss="vae", kl_weight=weight, lr=3e-3) for weight in (0.0, 1000.0)]
    open_kl, closed_kl = ([each.step() for _ in range(12)][-1]["train/kl"] for each in autoencoders)
    assert closed_kl < 0.2 * open_kl


def test_the_learning_rate_rises_and_then_stays(corpus: Corpus) -> None:
    autoencoder = make(corpus, warmup_steps=8, batch_size=6, lr=2e-3)
    steps_per_epoch = -(-len(corpus.indices("train")) // 6)
    rates = [autoencoder.step()["optim/lr"] for _ in range(4)]
    assert rates == pytest.approx([2e-3 * min(1, steps_per_epoch * epoch / 8) for epoch in (1, 2, 3, 4)])


@pytest.mark.parametrize("settings", [{}, {"norm": "batch"}, {"loss": "rvq", "ema": 0.9}], ids=str)
def test_steps_with_a_non_finite_gradient_are_left_out_and_counted(corpus: Corpus, settings: dict[str, Any]) -> None:
    autoencoder = make(corpus, **settings)
    (features,) = autoencoder.train.columns
    assert features._kept is not None
    features._kept[0] = float("nan")
    metrics = autoencoder._train_epoch()
    assert metrics["train/nonfinite_steps"] == 1
    assert np.isfinite(list(metrics.values())).all()
    networks = autoencoder.codec.networks, autoencoder.trained.networks
    assert all(value.isfinite().all() for network in networks for value in network.state_dict().values())


def test_weights_that_are_lost_are_reported_as_nan(corpus: Corpus) -> None:
    autoencoder = make(corpus)
    with torch.no_grad():
        autoencoder.codec.networks.encoder.stem.weight.fill_(float("nan"))
    metrics = autoencoder.step()
    assert np.isnan(metrics["train/loss"]) and np.isnan(metrics["val/loss"]) and np.isnan(metrics["val/fvu"])


def test_a_debugger_sees_as_few_batches_as_it_asks_for(corpus: Corpus) -> None:
    autoencoder = make(corpus)
    autoencoder.batches_per_epoch = 2
    autoencoder.step()
    assert autoencoder.num_steps == 2


@pytest.mark.parametrize(
    ("setting", "value", "nearest"), [("loss", "vea", "vae"), ("magnitude_normalization", "per_bins", "per_bin")]
)
def test_an_unknown_part_is_answered_with_the_nearest(setting: str, value: str, nearest: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=f"Did you mean '{nearest}'"):
        Autoencoder.Config(**{setting: value})


def test_it_says_that_it_needs_a_corpus() -> None:
    with pytest.raises(InputError, match="needs a corpus"):
        Autoencoder(Autoencoder.Config(), None, device="cpu", seed=0)


def test_originals_are_rendered_at_their_own_level(corpus: Corpus) -> None:
    probes = corpus.probes(2)
    media = make(corpus).render(probes)
    for place, name in enumerate(corpus.clips["clip"].to_numpy()[probes]):
        original = corpus.waveforms()[probes[place]] / 32767
        np.testing.assert_allclose(media.audio[f"{name}_original"], original, atol=1e-4)


def test_original_and_reconstruction_are_also_drawn_one_by_one(corpus: Corpus) -> None:
    media = make(corpus).render(corpus.probes(1))
    (row,) = media.clips
    both, original, reconstruction = (
        media.images[str(row[key])] for key in ("spectrogram", "original", "reconstruction")
    )
    height = len(original)
    assert (both[:height] == original).all() and (both[-height:] == reconstruction).all()
    assert (original != reconstruction).any()


def test_reference_lines_are_ordered_and_computed_once(corpus: Corpus) -> None:
    configs = [Autoencoder.Config(**{**Autoencoder.DEBUG, "latent_dim": latents}) for latents in (4, 8)]
    lines = Autoencoder.prepare(configs, corpus)
    by_name = {line["reference"]: line for line in lines}
    assert set(by_name) == {
        "real clips",
        "pooled magnitudes",
        "resynthesis",
        "mean spectrogram",
        "class mean",
        "nearest clip of the class",
        "PCA-4",
        "PCA-8",
    }
    assert all(f"val/{metric}" in line for line in lines for metric in ("judge_accuracy", "fvu", "lsd_db"))
    assert by_name["real clips"]["size"] is None and by_name["PCA-4"]["size"] == "24x64"
    assert by_name["real clips"]["val/fvu"] < 0.02
    assert by_name["PCA-8"]["val/fvu"] < by_name["PCA-4"]["val/fvu"] < by_name["mean spectrogram"]["val/fvu"]
    assert by_name["real clips"]["val/judge_accuracy"] == by_name["resynthesis"]["val/judge_accuracy"] == 1
    times = {path: path.stat().st_mtime_ns for path in corpus.folder.glob("reference-*")}
    assert Autoencoder.prepare(configs, corpus) == lines
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_pictures_show_time_to_the_right_and_low_frequencies_at_the_bottom() -> None:
    original = torch.full((48, 128), -10.0)
    original[:12, :32] = 5.0
    pair = spectrogram_pictures.draw_pair(original, torch.full((48, 128), -10.0))
    picture = spectrogram_pictures.stack(*pair).astype(int).sum(axis=2)
    height = (picture.shape[0] - spectrogram_pictures.DIVIDER_PX) // 2
    assert picture.shape[1] == 384
    assert picture[height - 1, 0] > picture[height - 1, -1], "the sound is over after a quarter"
    assert picture[height - 1, 0] > picture[0, 0], "and was low"
    assert picture[-1, 0] == picture[0, -1], "the reconstruction below has the colours of the original"


def test_an_untrained_linear_path_is_the_principal_components(corpus: Corpus) -> None:
    autoencoder = make(corpus, linear_path="pca", magnitude_normalization="none", latent_dim=6)
    clips = autoencoder.train.batch(torch.arange(len(autoencoder.train)))
    centred = (clips - clips.mean(dim=0)).flatten(1)
    *_, components = torch.linalg.svd(centred, full_matrices=False)
    expected = clips.mean(dim=0) + (centred @ components[:6].T @ components[:6]).unflatten(1, clips.shape[1:])
    found = autoencoder.codec.reconstruct(clips)
    with torch.inference_mode():
        latents, _ = autoencoder.codec.networks.encode(clips, torch.autocast("cpu", enabled=False))
    assert (found - expected).square().mean() < 1e-3 * (expected - clips).square().mean()
    torch.testing.assert_close(latents.var(dim=0, correction=0), torch.ones(6), atol=1e-3, rtol=0)


def test_latents_beyond_the_rank_of_the_clips_stay_closed(corpus: Corpus) -> None:
    autoencoder = make(corpus, linear_path="pca", latent_dim=100)
    rank = len(autoencoder.train) - 1
    clips = autoencoder.train.batch(torch.arange(len(autoencoder.train)))
    with torch.inference_mode():
        latents, _ = autoencoder.codec.networks.encode(clips, torch.autocast("cpu", enabled=False))
    assert latents[:, rank:].abs().max() == 0
    assert (autoencoder.codec.reconstruct(clips) - clips).abs().max() < 0.05


def test_beside_a_linear_path_a_distribution_begins_open(corpus: Corpus) -> None:
    metrics = [make(corpus, loss=loss, linear_path="pca").step() for loss in ("l2", "vae")]
    assert metrics[1]["val/fvu"] < 1.3 * metrics[0]["val/fvu"]


def test_training_clips_are_rolled_as_wholes_and_others_are_not(corpus: Corpus) -> None:
    autoencoder = make(corpus, time_roll=True)
    clips = autoencoder.train.batch(torch.arange(4))
    rolled = autoencoder.codec.roll_clips(clips, autoencoder._order)
    assert not torch.equal(rolled, clips)
    for before, after in zip(clips, rolled, strict=True):
        assert any(torch.equal(before.roll(start, 1), after) for start in range(before.shape[1]))


def test_the_padding_of_the_reports_frames_is_not_rolled_into_its_clips(corpus: Corpus) -> None:
    autoencoder = make(corpus, time_roll=True, representation="audiovision", spectrogram="48x128")
    clips = autoencoder.train.batch(torch.arange(4))
    padded = autoencoder.codec.representation.grid.count_padded_frames(48)
    assert (clips[:, :, :4].std(dim=2) < 1e-5).all() and padded == 6
    rolled = autoencoder.codec.roll_clips(clips, autoencoder._order)
    assert torch.equal(rolled[:, :, :padded], clips[:, :, :padded]) and not torch.equal(rolled, clips)
    for before, after in zip(clips[:, :, padded:], rolled[:, :, padded:], strict=True):
        assert any(torch.equal(before.roll(start, 1), after) for start in range(before.shape[1]))


def test_with_a_linear_path_and_rolled_clips_it_goes_on_to_the_last_bit(corpus: Corpus, tmp_path: Path) -> None:
    settings = {"linear_path": "pca", "time_roll": True, "loss": "vae"}
    whole = make(corpus, **settings)
    expected = [whole.step() for _ in range(3)]
    first = make(corpus, **settings)
    first.step()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    size = Autoencoder.checkpoint_bytes(Autoencoder.Config(**{**Autoencoder.DEBUG, **settings}))
    assert (tmp_path / "state.pt").stat().st_size == pytest.approx(size, rel=0.1)
    second = make(corpus, **settings)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [second.step() for _ in range(2)] == expected[1:]


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "vae"},
        {"phase": "original", "magnitude": "original", "linear_path": "pca"},
        {"magnitude_normalization": "clip", "phase": "zero"},
        {"magnitude_normalization": "clip", "phase": "zero", "clip_statistics": "own"},
        {"channels": "both", "phase": "own"},
        {"channels": "both", "representation": "audiovision", "phase": "own", "spectrogram": "48x128"},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_an_exported_model_makes_the_same_reconstruction(
    corpus: Corpus, tmp_path: Path, settings: dict[str, Any]
) -> None:
    autoencoder = make(corpus, **settings)
    autoencoder.step()
    save_model(tmp_path / "model", autoencoder.exported())
    # The first clip of a corpus has the noise that a sound of one's own gets.
    first = np.zeros(1, np.int64)
    name = corpus.clips["clip"][0]
    expected = autoencoder.render(first).audio[f"{name}_reconstruction"]
    generator = open_model(tmp_path / "model")
    (made,) = generator.generate(read_waveforms(corpus.waveforms(), first), count=4, seed=3)
    np.testing.assert_allclose(made.content, expected, atol=1e-4)
    assert made.class_name in corpus.classes and 0 < made.probability <= 1


def test_sounds_have_the_rate_of_their_corpus_in_mlflow_and_in_an_exported_model(
    tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    slow = open_corpus({"name": "folder", "root": str(tiny_corpus), "rate_hz": 11_025}, tiny_home)
    autoencoder = make(slow)
    autoencoder.step()
    assert autoencoder.render(np.zeros(1, np.int64)).rate_hz == 11_025
    save_model(tmp_path / "model", autoencoder.exported())
    generator = open_model(tmp_path / "model")
    recording = next((tiny_corpus / "siren").glob("*.wav"))
    (made,) = generator.generate(generator.read(recording, at_s=0.2), count=1, seed=0)
    # The recording has 4.2 s, of which a clip is the last four.
    assert (generator.rate_hz, made.content.shape) == (11_025, (44_100,))
    expected = soundfile.read(recording, dtype="float32")[0][int(0.2 * RATE_HZ) :]
    read = generator.read(recording, at_s=0.2)[0].numpy()
    assert np.sqrt(np.mean(read**2)) == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"phase": "nearest"}, "phase: nearest needs the corpus, which an exported model does not have"),
        ({"phase": "vocoder"}, "phase: vocoder needs the corpus, which an exported model does not have"),
        ({"magnitude": "class_mean"}, "magnitude: class_mean needs the class of a clip"),
    ],
)
def test_what_needs_the_corpus_is_not_exported(corpus: Corpus, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(corpus, **settings).exported()
