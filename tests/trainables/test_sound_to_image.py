"""Sound to image: the two networks, the rules of their game, what is judged, and what is exported."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import soundfile
import torch
import torch.nn.functional as F
from PIL import Image

from trainables.components.audio.spectrogram import dither, log_power, power
from trainables.components.generation import open_model, save_model
from trainables.components.judges.log_mels import open_mels
from trainables.components.judges.networks import log_mel
from trainables.components.pictures.augmentation import as_bytes
from trainables.components.training.averaging import update_average
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.corpora.opening import open_corpus
from trainables.errors import InputError
from trainables.sound_to_image.config import RETRIEVAL_PREFIX
from trainables.sound_to_image.gan_game import GanGame, mismatch
from trainables.sound_to_image.gan_networks import (
    LEAST_CHANGE,
    Discriminator,
    Generator,
    _interpolate,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    sameness,
)
from trainables.sound_to_image.generator import PictureGenerator
from trainables.sound_to_image.generators import make_model
from trainables.sound_to_image.trainable import SoundToImage


def make(corpus: Corpus, *, seed: int = 0, **settings: Any) -> SoundToImage:
    config = SoundToImage.Config(**{**SoundToImage.DEBUG, **settings})
    return SoundToImage(config, corpus, device="cpu", seed=seed)


@pytest.fixture(scope="module")
def half_seen(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The tiny corpus, of which every second recording can't be seen."""
    root = tmp_path_factory.mktemp("half_seen")
    for path in sorted(tiny_corpus.rglob("*.wav")):
        (root / path.parent.name).mkdir(exist_ok=True)
        (root / path.parent.name / path.name).symlink_to(path)
    for path in sorted(root.rglob("*.wav"))[::2]:
        colour = {"hiss": "red", "low hum": "lime", "siren": "blue"}[path.parent.name]
        Image.new("RGB", (32, 32), colour).save(path.with_suffix(".png"))
    settings = {"name": "folder", "root": str(root), "follow_links": True}
    return open_corpus(settings, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("size", [32, 64])
def test_both_networks_take_every_size(size: int) -> None:
    generator = Generator(5, noise_dim=3, width=8, image_size=size)
    discriminator = Discriminator(5, width=8, image_size=size)
    noise, told = torch.randn(4, 3), torch.randn(4, 5)
    made = generator(noise, told)
    assert made.shape == (4, 3, size, size) and made.abs().max() <= 1
    assert discriminator(made, told).shape == (4,)


def test_every_part_of_the_noise_and_of_the_condition_changes_the_picture_and_the_score() -> None:
    torch.manual_seed(0)
    generator = Generator(5, noise_dim=3, width=8, image_size=32).eval()
    discriminator = Discriminator(5, width=8, image_size=32).eval()
    noise, told = torch.randn(2, 3, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    generator(noise, told).square().sum().backward()
    for given in (noise, told):
        assert given.grad is not None and (given.grad != 0).all()
    condition = torch.randn(2, 5, requires_grad=True)
    discriminator(torch.randn(2, 3, 32, 32), condition).sum().backward()
    assert condition.grad is not None and (condition.grad != 0).all()


def test_the_hinge_loss_is_2_where_nothing_is_told_and_0_where_all_is() -> None:
    nothing, sure = torch.zeros(4), torch.full((4,), 3.0)
    assert discriminator_loss(nothing, nothing, nothing[:3], 0.5).item() == pytest.approx(2)
    assert discriminator_loss(sure, -sure, -sure[:3], 0.5).item() == 0
    assert generator_loss(sure) < generator_loss(nothing)
    fooled = discriminator_loss(sure, -sure, sure, 1.0).item()
    assert fooled == pytest.approx(4 / 2), "a mismatch is as wrong as what is made"
    assert discriminator_loss(sure, -sure, sure, 0.0).item() == 0


def test_a_mismatch_is_of_another_recording() -> None:
    condition = torch.arange(5.0)[:, None]
    others, is_other = mismatch(condition, torch.tensor([0, 0, 1, 1, 2]))
    assert others[:, 0].tolist() == [4, 4, 1, 1, 3] and is_other.all()
    assert mismatch(condition, torch.arange(5))[0].equal(condition.roll(1, dims=0)), "of recordings of one clip"
    assert not mismatch(condition, torch.zeros(5, dtype=torch.int64))[1].any()
    assert mismatch(torch.ones(5, 1), torch.arange(5))[1].sum() == 0, "all of one predicted class"


def test_the_gradient_penalty_is_half_the_squared_gradient() -> None:
    torch.manual_seed(0)
    discriminator, told = Discriminator(5, width=8, image_size=32).eval(), torch.randn(3, 5)
    pictures, step = torch.randn(3, 3, 32, 32), 1e-3
    penalty = gradient_penalty(discriminator, pictures, told).item()
    moved = pictures.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(moved, told).sum(), moved)
    unit = gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None]
    with torch.no_grad():
        ahead, behind = (discriminator(pictures + sign * step * unit, told) for sign in (1, -1))
    slopes = (ahead - behind) / (2 * step)
    assert penalty == pytest.approx(slopes.square().mean().item() / 2, rel=0.02)


def test_pictures_of_one_sound_are_compared_and_those_that_are_the_same_cost_most() -> None:
    noise = torch.randn(5, 4)
    # The last of the first half has no other.
    pairs = noise[:2] - noise[3:]
    made = torch.zeros(5, 3, 8, 8)
    alike = sameness(noise, made).item()
    assert alike == pytest.approx(pairs.abs().mean().item() / LEAST_CHANGE)
    made[3:] = 0.5
    assert sameness(noise, made).item() == pytest.approx(pairs.abs().mean().item() / (0.5 + LEAST_CHANGE))
    made[2] = 7.0
    assert sameness(noise, made).item() < alike


def test_what_is_enlarged_has_no_edges_as_bilinear_interpolation_has_none() -> None:
    maps = torch.randn(2, 3, 4, 8)
    expected = F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(_interpolate(maps), expected)


def test_an_average_follows_weights_and_statistics() -> None:
    averaged, trained = (Generator(2, noise_dim=2, width=8, image_size=32) for _ in range(2))
    before = averaged.first.weight.clone()
    trained(torch.randn(8, 2), torch.randn(8, 2))
    update_average(averaged, trained, 0.75)
    torch.testing.assert_close(averaged.first.weight, 0.75 * before + 0.25 * trained.first.weight)
    torch.testing.assert_close(averaged.last.normalize.running_mean, 0.25 * trained.last.normalize.running_mean)


def test_training_paints_each_class_in_its_colour(half_seen: Corpus) -> None:
    trainable = make(half_seen, width=16, lr=3e-3, discriminator_lr=3e-3, ema=0.9, diff_augment=False)
    errors = [trainable.step()["val/loss"] for _ in range(16)]
    # Two networks that play against each other come near, and away again.
    assert min(errors) < 0.2 * errors[0]


def test_what_it_is_told_is_what_is_heard_and_never_the_label(corpus: Corpus) -> None:
    trainable = make(corpus, condition="class")
    clips = trainable.validation.clips
    mels = torch.from_numpy(open_mels(corpus)[clips].astype(np.float32))
    heard = trainable.model.encode_sounds(mels)[1].argmax(dim=1)
    assert torch.equal(trainable._heard.conditions(clips).argmax(dim=1), heard)
    with torch.no_grad():
        # A network that hears the classes in another order.
        trainable.model.condition.network.classify[-1].weight.copy_(
            trainable.model.condition.network.classify[-1].weight.roll(1, 0)
        )
        trainable.model.condition.network.classify[-1].bias.copy_(
            trainable.model.condition.network.classify[-1].bias.roll(1)
        )
    assert torch.equal(trainable._heard.conditions(clips).argmax(dim=1), (heard + 1) % 3)


def test_it_makes_the_same_pictures_without_a_corpus(corpus: Corpus) -> None:
    trainable = make(corpus)
    trainable.step()
    alone = make_model(trainable.config, len(corpus.classes)).eval()
    alone.load_state_dict(trainable.model.state_dict())
    clips = trainable.validation.clips
    given = log_power(clip_power(corpus.waveforms(), clips))
    made = alone.generate(given, torch.Generator().manual_seed(0))
    assert made.shape == (len(clips), 3, 32, 32) and made.abs().max() <= 1
    # What is trained with is kept in half precision.
    torch.testing.assert_close(made, torch.cat(list(trainable._generate(clips))).detach(), atol=0.02, rtol=0)


def test_without_noise_a_sound_has_one_picture(corpus: Corpus) -> None:
    trainable = make(corpus)
    trainable.step()

    def spread() -> float:
        with torch.no_grad():
            made = [torch.cat(list(trainable._generate(trainable.validation.clips, seed))) for seed in (0, 1)]
        return (made[0] - made[1]).abs().max().item()

    assert spread() > 0.01
    trainable.config = trainable.config.model_copy(update={"truncation": 0.0})
    assert spread() == 0


def test_a_frozen_network_that_hears_stays_as_it_is_and_another_is_tuned(corpus: Corpus) -> None:
    for share in (0.0, 0.5):
        trainable = make(corpus, classifier_lr_share=share)
        before = {key: value.clone() for key, value in trainable.model.condition.state_dict().items()}
        trainable.step()
        after = trainable.model.condition.state_dict()
        changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
        assert bool(changed) == (share > 0)
        assert not any("running" in key or "classify" in key for key in changed)


@pytest.mark.parametrize(
    "settings",
    [
        {"classifier_lr_share": 0.5},
        {"condition": "class", "discriminator_steps": 2, "image_size": 64},
        {"diff_augment": False, "r1_weight": 0.0, "mismatch_weight": 0.0},
    ],
)
def test_with_any_settings_it_goes_on_to_the_last_bit(corpus: Corpus, settings: dict[str, Any], tmp_path: Path) -> None:
    whole = make(corpus, **settings)
    expected = [whole.step() for _ in range(3)]
    first = make(corpus, **settings)
    assert first.step() == expected[0]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    expected_bytes = SoundToImage.checkpoint_bytes(first.config)
    assert (tmp_path / "state.pt").stat().st_size == pytest.approx(expected_bytes, rel=0.1)
    second = make(corpus, seed=9, **settings)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [second.step() for _ in range(2)] == expected[1:]


def test_a_network_that_hears_may_come_from_a_file(corpus: Corpus, tmp_path: Path) -> None:
    own = make(corpus).model.condition.network.state_dict()
    network = {key: value * 2 for key, value in own.items()}
    state = {"config": {"modality": "sound", "network": "residual"}, "network": network}
    torch.save({"state": state}, tmp_path / "classifier.pt")
    given = make(corpus, classifier=str(tmp_path / "classifier.pt")).model.condition.network.state_dict()
    assert all(torch.equal(given[key], network[key]) for key in given)


def test_steps_with_a_non_finite_gradient_are_left_out_and_counted(corpus: Corpus) -> None:
    trainable = make(corpus)
    assert isinstance(trainable.game, GanGame)
    with torch.no_grad():
        trainable.game.discriminator.realness.bias.fill_(math.nan)
    before = {key: value.clone() for key, value in trainable.model.state_dict().items()}
    metrics = trainable._train_epoch()
    assert metrics["train/nonfinite_steps"] == -(-len(trainable.train) // trainable.config.batch_size)
    assert all(torch.equal(value, before[key]) for key, value in trainable.model.state_dict().items())
    assert math.isnan(metrics["train/loss"])


def test_clips_without_a_picture_are_left_out(half_seen: Corpus) -> None:
    trainable = make(half_seen)
    assert all(math.isfinite(value) for key, value in trainable.step().items() if key != "val/diversity")
    for split in ("validation", "test"):
        clips = trainable._pairs(half_seen.indices(split)).clips
        assert 0 < len(clips) < len(half_seen.indices(split))
        recordings = half_seen.clips["recording"].to_numpy()[clips]
        assert list(trainable.evaluate(split)["recording"]) == sorted(set(recordings))


def test_the_test_split_is_seen_by_both_judges_and_searched_among_all_that_was_held_out(corpus: Corpus) -> None:
    trainable = make(corpus)
    columns = {f"judge{which}_{what}" for which in ("", "_b") for what in ("probability", "accuracy")}
    columns |= {f"{RETRIEVAL_PREFIX}_{what}" for what in ("rank", "class_map", "r_at_1", "r_at_5", "r_at_10")}
    test, validation = trainable.evaluate("test"), trainable.evaluate("validation")
    assert set(test) == {"recording", "class"} | columns
    assert set(validation) == {name for name in test if not name.startswith("judge_b")}
    metrics = trainable._validate()
    for name in ("judge_probability", "judge_accuracy", f"{RETRIEVAL_PREFIX}_r_at_1", f"{RETRIEVAL_PREFIX}_class_map"):
        assert validation[name].mean() == pytest.approx(metrics[f"val/{name}"])


def test_a_probe_is_shown_as_its_own_picture_beside_three_made_ones(corpus: Corpus) -> None:
    trainable = make(corpus)
    media = trainable.render(corpus.probes(3))
    for row in media.clips:
        picture = media.images[str(row["image"])]
        assert picture.shape == (256, 4 * 256 + 3 * 4, 3)
        clip = np.flatnonzero(corpus.clips["clip"] == row["clip"])
        real = corpus.frames(32)[clip[0]]
        # It was enlarged smoothly: eight pixels for one.
        shrunk = picture[:, :256].reshape(32, 8, 32, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
        assert np.abs(shrunk - real).mean() < 8


def test_reference_lines_are_ordered_and_computed_once(corpus: Corpus) -> None:
    configs = [SoundToImage.Config(**SoundToImage.DEBUG)]
    lines = SoundToImage.prepare(configs, corpus)
    assert [line["reference"] for line in lines] == [
        "real pictures",
        "class mean",
        "nearest sound's picture",
        "another picture of the class",
        "any picture",
    ]
    assert set(lines[0]) - {"reference", "size"} <= set(SoundToImage.METRICS)
    assert lines[0][f"val/{RETRIEVAL_PREFIX}_r_at_1"] == 1, "a picture finds itself"
    assert lines[1]["val/diversity"] == pytest.approx(0, abs=1e-6), "of a class there is one mean"
    written = {path: path.stat().st_mtime_ns for path in corpus.folder.glob("pair-reference-*picture*")}
    assert SoundToImage.prepare(configs, corpus) == lines
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_class_that_is_heard_cannot_tune_what_hears() -> None:
    with pytest.raises(pydantic.ValidationError, match="classifier_lr_share"):
        SoundToImage.Config(condition="class", classifier_lr_share=0.1)


def test_it_says_that_it_needs_a_corpus() -> None:
    with pytest.raises(InputError, match="sound_to_image needs a corpus"):
        SoundToImage(SoundToImage.Config(), None, device="cpu", seed=0)


def test_what_it_hears_is_the_log_mel_of_each_clip(corpus: Corpus) -> None:
    clips = corpus.probes(3)
    mels = torch.from_numpy(open_mels(corpus)[clips].astype(np.float32))
    torch.testing.assert_close(mels, log_mel(log_power(clip_power(corpus.waveforms(), clips))), atol=0.01, rtol=0)


def test_a_classifier_that_is_not_there_is_found_out_before_a_trial_begins(corpus: Corpus) -> None:
    config = SoundToImage.Config(**{**SoundToImage.DEBUG, "classifier": "/nowhere/best.pt"})
    with pytest.raises(InputError, match=r"/nowhere/best.pt: no such file"):
        SoundToImage.prepare([config], corpus)


def test_its_model_dithers_a_recording_as_those_that_it_was_trained_on(corpus: Corpus) -> None:
    trainable = make(corpus)
    sound = read_waveforms(corpus.waveforms(), np.zeros(1, np.int64))
    sound[:, sound.shape[1] // 2 :] = 0
    (generated,) = PictureGenerator(trainable.exported()).generate(sound, count=1, seed=0)
    dithered, plain = (
        as_bytes(trainable.model.generate(log_power(power(version)), torch.Generator().manual_seed(0)))[0]
        for version in (dither(sound, torch.zeros(1, dtype=torch.int64)), sound)
    )
    assert (generated.content == dithered.permute(1, 2, 0).numpy()).all()
    assert not torch.equal(dithered, plain)


def test_its_model_makes_the_same_pictures_elsewhere(corpus: Corpus, tiny_corpus: Path, tmp_path: Path) -> None:
    trainable = make(corpus)
    trainable.step()
    save_model(tmp_path / "model", trainable.exported())
    generator = open_model(tmp_path / "model")
    given = generator.read(tiny_corpus / "siren" / "take 0.wav")
    made, again, other = (generator.generate(given, count=2, seed=seed) for seed in (0, 0, 1))
    assert made[0].content.shape == (32, 32, 3) and made[0].class_name in corpus.classes
    assert all((one.content == same.content).all() for one, same in zip(made, again, strict=True))
    assert (made[0].content != other[0].content).any()
    with pytest.raises(InputError, match=r"--at 99: it is 4\.2 s long"):
        generator.read(tiny_corpus / "siren" / "take 0.wav", 99.0)
    soundfile.write(tmp_path / "silent.wav", np.zeros(44100), 22050)
    with pytest.raises(InputError, match=r"silent from 0 to 2 s; choose another time"):
        generator.read(tmp_path / "silent.wav")
    with pytest.raises(InputError, match="can't be read"):
        generator.read(tmp_path / "gone.wav")
