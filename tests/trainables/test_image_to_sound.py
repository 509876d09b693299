"""Image to sound: what is refused, where it begins, the routes, and what is exported."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.support import tiny_autoencoder
from tests.trainables.test_contracts import assert_equal
from trainables.autoencoder.trainable import Autoencoder
from trainables.components.assessment.pair_baselines import choose_at_random, choose_nearest, choose_of_class
from trainables.components.audio.spectrogram import log_power
from trainables.components.generation import open_model, save_model
from trainables.components.judges.sound_judge import open_judge
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power
from trainables.corpora.opening import open_corpus
from trainables.errors import InputError
from trainables.image_to_sound import retrieval_table
from trainables.image_to_sound.model import Distribution, measure_unit
from trainables.image_to_sound.trainable import ImageToSound
from trainables.image_to_sound.training_loss import divergence
from trainables.trainable import Media

ON_PROCESSOR = torch.autocast("cpu", enabled=False)
CONDITIONAL = {"prior": "conditional", "contrastive_weight": 0.3, "kl_weight": 1.0}


def make(corpus: Corpus, *, seed: int = 0, **settings: Any) -> ImageToSound:
    config = ImageToSound.Config(**{**ImageToSound.DEBUG, **settings})
    return ImageToSound(config, corpus, device="cpu", seed=seed)


def audio_state(trainable: ImageToSound) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in trainable.model.audio.state_dict().items()}


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            (
                {"loss": "vae"},
                "loss: vae is a likelihood; use l1 or l2, and prior: conditional for latents that are sampled",
            ),
            (
                {"magnitude_normalization": "clip"},
                "magnitude_normalization: clip is inverted with a clip's own statistics, which a picture does not have;"
                " use one of ",
            ),
            (
                {"image_weight": 0, "latent_weight": 0, "contrastive_weight": 0},
                "train the picture network: image_weight, latent_weight and contrastive_weight are all 0; raise one",
            ),
            (
                {"image_weight": 0, "latent_weight": 0, "prior": "conditional", "kl_weight": 0},
                "nothing would train the picture network",
            ),
            ({"weights": "imagenet"}, "weights: imagenet: backbone: small has none; use resnet18 or resnet50"),
            (
                {"audio_frozen": True},
                "audio_frozen: true with audio_init: scratch would keep an untrained network; name a trained one",
            ),
            ({"spectrogram": "10x10"}, "must be one of 24x64, "),
            ({"route": "guess"}, "Input should be 'decode', 'sample', 'retrieve' or 'flow'"),
            ({"class_share": 1.5}, "less than or equal to 1"),
            ({"batch_size": 1}, "greater than or equal to 2"),
            ({"image_size": 48}, "Input should be 32, 64, 128 or 224"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError) as error:
            ImageToSound.Config(**settings)
        assert error.value.error_count() == 1
        assert reason in str(error.value)

    @pytest.mark.parametrize(
        "settings",
        [
            {"image_weight": 0},
            {"image_weight": 0, "latent_weight": 0, "contrastive_weight": 0.1},
            {"image_weight": 0, "latent_weight": 0, "prior": "conditional"},
            {"audio_frozen": True, "audio_init": "losses/7"},
            {"backbone": "resnet18", "weights": "imagenet", "backbone_lr_share": 0},
        ],
    )
    def test_what_makes_sense_is_taken(self, settings: dict[str, Any]) -> None:
        config = ImageToSound.Config(**settings)
        assert settings.items() <= config.model_dump().items()

    def test_the_normalizations_that_are_offered_are_taken(self) -> None:
        with pytest.raises(ValidationError) as error:
            ImageToSound.Config(magnitude_normalization="clip")
        offered = str(error.value).partition("use one of ")[2].partition(" [")[0].split(", ")
        assert "per_frequency" in offered
        assert [
            ImageToSound.Config(magnitude_normalization=name).magnitude_normalization for name in offered
        ] == offered

    def test_without_a_corpus_it_says_what_to_add(self) -> None:
        with pytest.raises(InputError, match="trainable image_to_sound needs a corpus; add `corpus: "):
            ImageToSound(ImageToSound.Config(), None, device="cpu", seed=0)


def test_a_corpus_without_pictures_is_refused(tiny_corpus: Path, tiny_home: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_corpus, tmp_path / "sounds", ignore=shutil.ignore_patterns("*.png"))
    blind = open_corpus({"name": "folder", "root": str(tmp_path / "sounds")}, tiny_home)
    with pytest.raises(InputError, match="corpus folder has no picture that can be read"):
        make(blind)


def test_recordings_without_a_picture_are_left_out(
    corpus: Corpus, tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    root = tmp_path / "sounds"
    shutil.copytree(tiny_corpus, root)
    unseen = {
        str(corpus.clips[(corpus.clips["split"] == split) & (corpus.clips["class"] == kind)]["recording"].iloc[0])
        for split, kind in (("train", "hiss"), ("validation", "siren"), ("test", "siren"))
    }
    for name in unseen:
        (root / name).with_suffix(".png").unlink()
    partly = open_corpus({"name": "folder", "root": str(root)}, tiny_home)
    trainable = make(partly, phase="zero")
    trainable.step()
    assert not unseen & set(trainable.train.recordings) and len(trainable.train) == len(corpus.indices("train")) - 2
    table = trainable.evaluate("test")
    assert len(table) == 2 and not unseen & set(table["recording"])
    media = trainable.render(partly.probes(3))
    assert len(media.clips) == 2 and not any(str(row["clip"]).startswith("siren") for row in media.clips)


class TestLearning:
    @pytest.mark.parametrize("settings", [{}, CONDITIONAL], ids=["plain", "conditional"])
    def test_the_loss_falls(self, corpus: Corpus, settings: dict[str, Any]) -> None:
        trainable = make(corpus, seed=1, linear_path="none", warmup_steps=5, lr=3e-3, **settings)
        losses = [trainable.step() for _ in range(8)]
        train = [metrics["train/loss"] for metrics in losses]
        assert min(train[-3:]) < 0.8 * np.mean(train[:2])
        assert set(losses[0]) == set(ImageToSound.reported(trainable.config))

    def test_a_conditional_prior_goes_on_as_if_it_had_never_stopped(self, corpus: Corpus, tmp_path: Path) -> None:
        settings = {**CONDITIONAL, "route": "sample", "stop_gradient": False}
        whole = make(corpus, **settings)
        expected = [whole.step() for _ in range(3)]
        first = make(corpus, **settings)
        assert first.step() == expected[0]
        torch.save(first.state_dict(), tmp_path / "state.pt")
        second = make(corpus, seed=9, **settings)
        second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert [second.step() for _ in range(2)] == expected[1:]
        assert_equal(second.state_dict(), whole.state_dict())

    def test_pretrained_weights_are_fine_tuned_unless_the_settings_say_otherwise(self) -> None:
        pretrained = {"backbone": "resnet18", "weights": "imagenet"}
        shares = [
            ImageToSound.Config(**settings).backbone_lr_share
            for settings in ({}, pretrained, pretrained | {"backbone_lr_share": 1.0})
        ]
        assert shares == [1.0, 0.1, 1.0]
        tuned = ImageToSound.Config(**pretrained)
        assert ImageToSound.Config(**tuned.model_dump()) == tuned

    @pytest.mark.parametrize("settings", [{"backbone_lr_share": 0.0}, {"backbone_lr_share": 0.1}])
    def test_the_backbone_learns_as_slowly_as_asked(self, corpus: Corpus, settings: dict[str, Any]) -> None:
        trainable = make(corpus, **settings)
        before = {key: value.clone() for key, value in trainable.model.backbone.state_dict().items()}
        head = trainable.model.head[0].weight.clone()
        trainable.step()
        after = trainable.model.backbone.state_dict()
        is_same = all(torch.equal(value, after[key]) for key, value in before.items())
        assert is_same == (settings["backbone_lr_share"] == 0)
        assert not torch.equal(trainable.model.head[0].weight, head)
        rates = {group["lr"] for group in trainable.optimizer.param_groups}
        assert max(rates) == trainable.optimizer.param_groups[-1]["lr"]

    def loss_gradient(self, corpus: Corpus, **settings: Any) -> float:
        """How much the distance between latents pulls at the network that hears."""
        weights = {"image_weight": 0, "sound_weight": 0, "latent_weight": 1}
        trainable = make(corpus, linear_path="none", **weights, **settings)
        # Untrained, a sound's latent may be the same for all.
        positions = torch.arange(8)
        seen = trainable.model.encode_pictures(trainable.train.pictures(positions), ON_PROCESSOR)
        target = trainable.model.normalize(trainable.train.sounds(positions))
        labels, noise = trainable.train.labels[positions], torch.Generator().manual_seed(0)
        loss = trainable.objective(seen, target, labels, positions, ON_PROCESSOR, noise)
        loss.backward()
        head = trainable.model.head[0].weight.grad
        assert head is not None and head.abs().max() > 0, "what sees is always pulled"
        grads = [each.grad for each in trainable.model.audio.parameters() if each.grad is not None]
        return max((float(each.abs().max()) for each in grads), default=0.0)

    @pytest.mark.parametrize("standardize", [True, False])
    def test_only_where_asked_do_sounds_move_towards_pictures(self, corpus: Corpus, standardize: bool) -> None:
        assert self.loss_gradient(corpus, stop_gradient=True, standardize_latent=standardize) == 0
        assert self.loss_gradient(corpus, stop_gradient=False, standardize_latent=standardize) > 0

    def test_the_divergence_is_that_of_torch(self) -> None:
        rng = torch.Generator().manual_seed(0)
        posterior, prior = ((torch.randn(5, 7, generator=rng), torch.randn(5, 7, generator=rng)) for _ in range(2))
        normal = [
            torch.distributions.Normal(mean, (log_variance / 2).exp()) for mean, log_variance in (posterior, prior)
        ]
        expected = torch.distributions.kl_divergence(*normal).sum(dim=1).mean()
        torch.testing.assert_close(divergence(posterior, prior), expected)
        assert divergence(prior, prior).item() == pytest.approx(0, abs=1e-6)

    def test_a_unit_is_the_mean_and_the_spread_and_never_too_small(self) -> None:
        latents = torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0]])
        assert measure_unit(latents).tolist() == [[2.0, 5.0, 0.0], [1.0, pytest.approx(1e-3), pytest.approx(1e-3)]]
        assert measure_unit(latents, least=torch.tensor([0.5, 2.0, 0.0]))[1].tolist() == [1.0, 2.0, pytest.approx(1e-3)]


class TestHeldOutContrast:
    @pytest.mark.parametrize("class_share", [0.0, 1.0])
    def test_a_learnt_model_is_better_than_a_collapsed_one(self, corpus: Corpus, class_share: float) -> None:
        objective = make(corpus, contrastive_weight=2.0, class_share=class_share).objective
        # In the order of classes, as a corpus has them.
        labels, recordings = torch.arange(3).repeat_interleave(64), torch.arange(192)
        learnt = torch.nn.functional.one_hot(labels, 8) + 0.1 * torch.randn(
            192, 8, generator=torch.Generator().manual_seed(0)
        )
        collapsed = torch.ones(192, 8)
        losses = [objective.held_out_contrast(each, each, labels, recordings) for each in (learnt, collapsed)]
        assert losses[0] < 0.9 * losses[1]
        assert losses[1] == pytest.approx(2 * np.log(8)), "of batches of 8, as in training"

    def test_a_last_pair_alone_does_not_count(self, corpus: Corpus) -> None:
        objective = make(corpus, contrastive_weight=1.0).objective
        latents, labels = torch.ones(9, 8), torch.zeros(9, dtype=torch.int64)
        assert objective.held_out_contrast(latents, latents, labels, torch.arange(9)) == pytest.approx(np.log(8))
        alone = latents[:1], latents[:1], labels[:1], labels[:1]
        assert objective.held_out_contrast(*alone) == 0

    def test_it_is_a_part_of_the_validation_loss(self, corpus: Corpus) -> None:
        without, weighed = (make(corpus, contrastive_weight=weight) for weight in (0.0, 0.5))
        difference = weighed._validate()["val/loss"] - without._validate()["val/loss"]
        with torch.no_grad():
            order = torch.arange(len(weighed.validation))
            latents = (
                weighed.model.standardize(encode(weighed.validation, order)[0])
                for encode in (weighed._encode_pictures, weighed._encode_sounds)
            )
            expected = weighed.objective.held_out_contrast(*latents, *weighed.validation.identify(order))
        assert difference == pytest.approx(expected, rel=1e-4) and expected > 0.1


SHARED = {"linear_path": "pca", "spectrogram": "24x64", "latent_dim": 8, "width": 8}


def saved(autoencoder: Autoencoder, path: Path) -> str:
    torch.save({"state": autoencoder.state_dict()}, path)
    return str(path)


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Autoencoder:
    autoencoder = tiny_autoencoder.make(corpus, **SHARED, lr=3e-3)
    for _ in range(2):
        autoencoder.step()
    return autoencoder


def refused(corpus: Corpus, path: str | Path, **settings: Any) -> str:
    with pytest.raises(InputError) as error:
        make(corpus, audio_init=str(path), **settings)
    told = str(error.value)
    assert "\n" not in told and str(path) in told
    return told


class TestAudioInit:
    def test_an_autoencoders_network_reconstructs_as_it_did(
        self, corpus: Corpus, trained: Autoencoder, tmp_path: Path
    ) -> None:
        trainable = make(corpus, audio_init=saved(trained, tmp_path / "best.pt"))
        clips = trainable.validation.sounds(torch.arange(4))
        model = trainable.model.eval()
        with torch.inference_mode():
            rebuilt = model.decode_log_power(model.encode_sounds(model.normalize(clips), ON_PROCESSOR)[0], ON_PROCESSOR)
        assert torch.equal(rebuilt, trained.codec.reconstruct(clips)[:, 0])

    def test_a_variational_one_is_taken_for_a_conditional_prior_alone(self, corpus: Corpus, tmp_path: Path) -> None:
        for sigma in ("optimal", "learned"):
            vae = tiny_autoencoder.make(corpus, **SHARED, loss="vae", sigma=sigma)
            path = saved(vae, tmp_path / f"{sigma}.pt")
            trainable = make(corpus, audio_init=path, prior="conditional")
            clips = trainable.validation.sounds(torch.arange(4))
            model = trainable.model.eval()
            with torch.inference_mode():
                rebuilt = model.decode_log_power(
                    model.encode_sounds(model.normalize(clips), ON_PROCESSOR)[0], ON_PROCESSOR
                )
            assert torch.equal(rebuilt, vae.codec.reconstruct(clips)[:, 0])
        told = refused(corpus, path)
        assert "is of no autoencoder that fits" in told and "of loss vae with prior: conditional" in told

    def test_one_of_image_to_sound_is_taken_too(self, corpus: Corpus, tmp_path: Path) -> None:
        first = make(corpus)
        first.step()
        torch.save({"state": first.state_dict()}, tmp_path / "pairs.pt")
        second = make(corpus, seed=5, audio_init=str(tmp_path / "pairs.pt"))
        assert_equal(audio_state(second), audio_state(first))
        assert_equal(second.model.normalizer.state_dict(), first.model.normalizer.state_dict())
        assert not torch.equal(second.model.head[0].weight, first.model.head[0].weight), "what sees begins anew"

    @pytest.mark.parametrize(
        "setting", [("latent_dim", 4), ("width", 16), ("spectrogram", "48x128"), ("linear_path", "none")]
    )
    def test_other_settings_are_named(
        self, corpus: Corpus, trained: Autoencoder, tmp_path: Path, setting: tuple[str, Any]
    ) -> None:
        name, value = setting
        told = refused(corpus, saved(trained, tmp_path / "best.pt"), **{name: value})
        assert f"was trained with {name}: {SHARED[name]}; set the same here" in told

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("magnitude_normalization", "clip"),
            ("representation", "mel"),
            ("architecture", "time_slots"),
            ("bottleneck", "attention"),
            ("reduction", "decimate"),
            ("leaky_slope", 0.1),
            ("norm", "batch"),
            ("channels", "phase"),
        ],
    )
    def test_what_image_to_sound_has_no_setting_for_is_named_too(
        self, corpus: Corpus, tmp_path: Path, name: str, value: Any
    ) -> None:
        more = {"channels": "phase", "magnitude": "original", "phase": "own"} if name == "channels" else {name: value}
        other = tiny_autoencoder.make(corpus, **{**SHARED, **more})
        assert f"{name}: {value}" in refused(corpus, saved(other, tmp_path / "other.pt"))

    def test_an_output_within_bounds_is_named_too(self, corpus: Corpus, tmp_path: Path) -> None:
        same = {**SHARED, "magnitude_normalization": "range"}
        bounded = tiny_autoencoder.make(corpus, **same, output="tanh")
        told = refused(corpus, saved(bounded, tmp_path / "tanh.pt"), magnitude_normalization="range")
        assert "output: tanh" in told

    @pytest.mark.parametrize(
        "content", [{}, {"fc.weight": torch.zeros(3)}, {"state": {"network": {}}}, [1], {"state": 3}]
    )
    def test_a_file_of_something_else_is_refused(self, corpus: Corpus, tmp_path: Path, content: Any) -> None:
        torch.save(content, tmp_path / "other.pt")
        told = refused(corpus, tmp_path / "other.pt")
        assert "is of no autoencoder that fits" in told or "holds no trained model" in told

    def test_files_that_are_missing_or_junk_are_refused(self, corpus: Corpus, tmp_path: Path) -> None:
        assert "no such file; a trial such as losses/7" in refused(corpus, tmp_path / "no.pt")
        (tmp_path / "junk.pt").write_bytes(b"junk")
        assert "can't be read as a checkpoint" in refused(corpus, tmp_path / "junk.pt")

    def test_frozen_it_stays_to_the_bit(self, corpus: Corpus, trained: Autoencoder, tmp_path: Path) -> None:
        path = saved(trained, tmp_path / "best.pt")
        frozen, free = (make(corpus, audio_init=path, audio_frozen=value) for value in (True, False))
        before, head = audio_state(frozen), frozen.model.head[0].weight.clone()
        for each in (frozen, free):
            each.step()
        assert_equal(audio_state(frozen), before)
        assert not torch.equal(frozen.model.head[0].weight, head)
        moved = audio_state(free)
        assert any(not torch.equal(moved[key], before[key]) for key in before)
        torch.save(frozen.state_dict(), tmp_path / "state.pt")
        again = make(corpus, seed=3, audio_init=path, audio_frozen=True)
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert again.step() == frozen.step()


@pytest.fixture(scope="module")
def trainable(corpus: Corpus) -> ImageToSound:
    made = make(corpus)
    made.step()
    return made


@pytest.fixture(scope="module")
def conditional(corpus: Corpus) -> ImageToSound:
    made = make(corpus, **CONDITIONAL)
    made.step()
    return made


class TestRoutes:
    def seen(self, trainable: ImageToSound) -> Distribution:
        with torch.no_grad():
            return trainable.model.encode_pictures(trainable.validation.pictures(torch.arange(5)), ON_PROCESSOR)

    def test_decoding_takes_the_latent_itself(self, trainable: ImageToSound, conditional: ImageToSound) -> None:
        for each in (trainable, conditional):
            seen = self.seen(each)
            assert torch.equal(each.model.apply_route(seen, "decode"), seen[0])

    @pytest.mark.parametrize("standardize", [True, False])
    def test_retrieving_takes_the_known_latent_that_is_most_similar(self, corpus: Corpus, standardize: bool) -> None:
        model = make(corpus, standardize_latent=standardize).model
        rng = torch.Generator().manual_seed(0)
        model.unit[:] = torch.stack([torch.full((8,), 3.0), torch.linspace(0.1, 5, 8)])
        model.train_latents, mean = (model.unit[1] * torch.randn(n, 8, generator=rng) + model.unit[0] for n in (30, 6))
        found = model.apply_route((mean, None), "retrieve")
        known, own = model.train_latents.double(), mean.double()
        if standardize:
            known, own = ((each - model.unit[0]) / model.unit[1] for each in (known, own))
        for latent, query in zip(found, own, strict=True):
            cosines = [float(query @ each / (query.norm() * each.norm())) for each in known]
            assert torch.equal(latent, model.train_latents[int(np.argmax(cosines))])

    def test_what_pictures_can_find_are_the_training_sounds(self, trainable: ImageToSound) -> None:
        with torch.no_grad():
            heard = trainable._encode_sounds(trainable.train, torch.arange(len(trainable.train)))[0]
        assert len(trainable.model.train_latents) == len(heard)
        assert torch.cdist(heard, trainable.model.train_latents).amin(dim=1).max() < 1e-3

    def test_a_known_latent_finds_itself(self, trainable: ImageToSound) -> None:
        known = trainable.model.train_latents
        assert torch.equal(trainable.model.apply_route((known, None), "retrieve"), known)

    def test_retrieving_several_chooses_among_the_nearest(self, trainable: ImageToSound) -> None:
        model, (mean, _) = trainable.model, self.seen(trainable)
        once, again = (model.apply_route((mean, None), "retrieve", torch.Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(once, again)
        many = model.apply_route((mean[:1].expand(200, -1), None), "retrieve", torch.Generator().manual_seed(1))
        cosines = torch.nn.functional.cosine_similarity(
            model.standardize(model.train_latents), model.standardize(mean[:1])
        )
        expected = {tuple(model.train_latents[index].tolist()) for index in cosines.topk(5).indices}
        assert {tuple(each.tolist()) for each in many} == expected

    def test_sampling_is_decided_by_the_generator_and_around_the_latent(
        self, trainable: ImageToSound, conditional: ImageToSound
    ) -> None:
        for each in (trainable, conditional):
            model, seen = each.model, self.seen(each)
            one, same, other = (model.apply_route(seen, "sample", torch.Generator().manual_seed(k)) for k in (1, 1, 2))
            assert torch.equal(one, same) and not torch.equal(one, other)
            first: Any = tuple(None if part is None else part[:1].expand(4000, -1) for part in seen)
            drawn = model.apply_route(first, "sample", torch.Generator().manual_seed(3))
            spread = model.pair_deviation if seen[1] is None else (seen[1][0] / 2).exp()
            torch.testing.assert_close(drawn.std(dim=0), spread, rtol=0.1, atol=1e-4)
            torch.testing.assert_close(drawn.mean(dim=0), seen[0][0], rtol=0, atol=float(0.1 * spread.max()))

    def test_pictures_of_a_pass_get_different_noise_and_passes_the_same(self, trainable: ImageToSound) -> None:
        rendering = trainable.config.model_copy(update={"route": "sample"})
        seen = self.seen(trainable)
        passes = []
        for _ in range(2):
            generate = trainable.model.generate_pass(rendering, ON_PROCESSOR)
            with torch.no_grad():
                passes.append([generate(seen) for _ in range(2)])
        first, second = passes
        assert not torch.equal(first[0], first[1])
        assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))

    def test_how_far_pictures_are_from_their_sounds_is_known(self, trainable: ImageToSound) -> None:
        with torch.no_grad():
            positions = torch.arange(len(trainable.train))
            seen = trainable.model.encode_pictures(trainable.train.pictures(positions), ON_PROCESSOR)[0]
            heard = trainable._encode_sounds(trainable.train, positions)[0]
        torch.testing.assert_close(trainable.model.pair_deviation, (heard - seen).square().mean(dim=0).sqrt())
        torch.testing.assert_close(trainable.model.unit, measure_unit(heard))


@pytest.mark.parametrize("settings", [{}, {"route": "retrieve"}, {**CONDITIONAL, "route": "sample"}])
def test_an_exported_model_makes_the_same_sounds(
    corpus: Corpus, tiny_corpus: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    trainable = make(corpus, phase="zero", **settings)
    trainable.step()
    clip = corpus.probes(1)
    rendered = trainable.render(clip)
    name = str(corpus.clips["clip"][clip[0]])
    save_model(tmp_path / "model", trainable.exported())
    generator = open_model(tmp_path / "model")
    given = generator.read(corpus.pictures[str(corpus.clips["recording"][clip[0]])])
    torch.testing.assert_close(given, trainable._pairs(clip).pictures(torch.arange(1)))
    made = generator.generate(given, count=3, seed=0)
    assert len(made) == 3 and all(0 < each.probability <= 1 and each.class_name in corpus.classes for each in made)
    np.testing.assert_allclose(made[0].content, rendered.audio[f"{name}_reconstruction"], atol=1e-4)
    heard = open_judge(corpus).classify_waveforms(torch.from_numpy(np.stack([each.content for each in made])))
    assert [each.class_name for each in made] == [corpus.classes[int(index)] for index in heard.argmax(dim=1)]
    assert [each.probability for each in made] == pytest.approx(heard.amax(dim=1).tolist(), abs=1e-2)
    assert len({each.content.tobytes() for each in made}) > 1
    assert len(generator.generate(given, count=1, seed=0)) == 1
    again = generator.generate(given, count=3, seed=0)
    assert all(np.array_equal(one.content, other.content) for one, other in zip(made, again, strict=True))


def test_the_test_split_is_looked_for_among_all_held_out_recordings(corpus: Corpus) -> None:
    trainable = make(corpus, phase="zero")
    trainable.step()
    table = trainable.evaluate("test").set_index("recording")
    columns = ("rank", "class_map", "r_at_1", "r_at_5", "r_at_10")
    for prefix in ("image_to_sound", "sound_to_image", "image_round_trip"):
        assert {f"{prefix}_{column}" for column in columns} <= set(table.columns)
        # Three recordings are tested beside three of validation.
        assert table[f"{prefix}_rank"].between(1, 6).all() and (table[f"{prefix}_r_at_10"] == 1).all()
        assert ((table[f"{prefix}_rank"] <= 1) == table[f"{prefix}_r_at_1"]).all()
    assert table["onset_correlation"].isna().all(), "still pictures don't move"

    pairs = trainable._pairs(corpus.indices("test"))
    first = pairs.first_of_each_recording()
    with torch.no_grad():
        heard = [
            trainable._encode_sounds(each, each.first_of_each_recording())[0] for each in (pairs, trainable.validation)
        ]
        gallery = trainable.model.standardize(torch.cat(heard))
        queries = trainable.model.standardize(trainable.model.encode_pictures(pairs.pictures(first), ON_PROCESSOR)[0])
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], gallery[None], dim=2)
    expected = [1 + int((row > row[index]).sum()) for index, row in enumerate(cosines)]
    recordings = pairs.recordings[first.numpy()]
    assert [table["image_to_sound_rank"][name] for name in recordings] == expected


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_search_in_parts_finds_the_same(
    corpus: Corpus, split: Literal["validation", "test"], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable = make(corpus, phase="zero")
    trainable.step()
    whole = trainable.evaluate(split)
    sizes: list[int] = []
    encode_pictures = trainable.model.encode_pictures

    def count(pictures: Pictures, autocast: torch.autocast) -> Distribution:
        sizes.append(len(pictures))
        return encode_pictures(pictures, autocast)

    monkeypatch.setattr(retrieval_table, "BATCH_CLIPS", 2)
    monkeypatch.setattr(trainable.model, "encode_pictures", count)
    pd.testing.assert_frame_equal(trainable.evaluate(split), whole, check_exact=False, rtol=1e-5)
    assert sizes.count(2) > 0


class TestPairs:
    def test_a_pair_is_a_clips_own_picture_and_its_own_sound(self, corpus: Corpus, trainable: ImageToSound) -> None:
        pairs = trainable.train
        positions = torch.tensor([7, 0, 3])
        clips = pairs.clips[positions.numpy()]
        assert torch.equal(pairs.pictures(positions), as_floats(torch.from_numpy(corpus.frames(32)[clips])))
        expected = log_power(clip_power(corpus.waveforms(), clips), "24x64")
        torch.testing.assert_close(pairs.sounds(positions)[:, 0], expected, atol=0.01, rtol=0)
        assert pairs.labels[positions].tolist() == corpus.labels(clips).tolist()

    def test_of_each_recording_there_is_the_first_one(self, trainable: ImageToSound) -> None:
        recordings = trainable.train.recordings
        first = trainable.train.first_of_each_recording().numpy()
        assert len(first) == len(set(recordings)) < len(recordings)
        assert all(recordings[place] not in recordings[:place] for place in first)


class TestBaselines:
    def test_a_training_clip_is_nearest_to_itself(self, corpus: Corpus) -> None:
        train = corpus.indices("train")
        assert choose_nearest(corpus, "sound", train, train).tolist() == train.tolist()
        # All clips of a recording show the same picture.
        found = choose_nearest(corpus, "picture", train, train)
        recordings = corpus.clips["recording"].to_numpy(str)
        assert (recordings[found] == recordings[train]).all()

    def test_held_out_sounds_are_nearest_to_those_of_their_class(self, corpus: Corpus) -> None:
        queries, train = corpus.indices("validation"), corpus.indices("train")
        found = choose_nearest(corpus, "sound", queries, train)
        assert set(found) <= set(train)
        assert (corpus.labels(found) == corpus.labels(queries)).mean() > 0.6

    def test_others_are_drawn_from_the_class_or_from_all(self, corpus: Corpus) -> None:
        train = corpus.indices("train")
        queries = np.repeat(corpus.indices("test"), 20)
        of_class, of_any = choose_of_class(corpus, queries, train), choose_at_random(corpus, queries, train)
        assert (corpus.labels(of_class) == corpus.labels(queries)).all()
        assert set(of_class) == set(of_any) == set(train)
        assert (corpus.labels(of_any) == corpus.labels(queries)).mean() == pytest.approx(1 / 3, abs=0.12)
        alone = train[corpus.labels(train) == 0]
        assert set(choose_of_class(corpus, queries, alone)) <= set(alone), "a class without training clips takes any"


def test_reference_lines_have_their_names_and_real_clips_are_best(corpus: Corpus) -> None:
    config = ImageToSound.Config(**ImageToSound.DEBUG)
    lines = {row["reference"]: row for row in ImageToSound.prepare([config], corpus)}
    assert set(lines) == {
        "real clips",
        "class mean",
        "nearest image's sound",
        "another sound of the class",
        "any sound",
    }
    for row in lines.values():
        assert row["size"] is None
        assert {name for name in row if name.startswith("val/")} <= set(ImageToSound.METRICS)
    fvu = {name: row["val/fvu"] for name, row in lines.items()}
    assert fvu["real clips"] < 1e-3 < min(value for name, value in fvu.items() if name != "real clips")
    assert fvu["class mean"] < fvu["any sound"]
    assert lines["another sound of the class"]["val/judge_accuracy"] == 1
    again = {row["reference"]: row for row in ImageToSound.prepare([config], corpus)}
    assert again == lines


def test_the_nearest_image_is_looked_for_again_among_other_pictures(
    corpus: Corpus, tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    root = tmp_path / "sounds"
    shutil.copytree(tiny_corpus, root)
    config = ImageToSound.Config(**ImageToSound.DEBUG)

    def nearest() -> float:
        opened = open_corpus({"name": "folder", "root": str(root)}, tiny_home)
        assert opened.folder == corpus.folder
        rows = ImageToSound.prepare([config], opened)
        return next(row["val/fvu"] for row in rows if row["reference"] == "nearest image's sound")

    # A picture of the class says as much as hearing its sound.
    first = nearest()
    held_out = set(corpus.clips[corpus.clips["split"] == "validation"]["recording"])
    for name in held_out:
        others = corpus.clips[(corpus.clips["split"] == "train") & (corpus.clips["class"] != name.split("/")[0])]
        picture = (root / others["recording"].iloc[0]).with_suffix(".png")
        shutil.copy(picture, (root / name).with_suffix(".png"))
    assert nearest() != first


def test_probes_that_nobody_can_see_are_rendered_as_nothing(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    home = tmp_path / "home"
    corpus = open_corpus({"name": "folder", "root": str(root)}, home)
    probe = corpus.probes(1)
    (root / str(corpus.clips["recording"][probe[0]])).with_suffix(".png").unlink()
    trainable = make(open_corpus({"name": "folder", "root": str(root)}, home))
    assert trainable.render(probe) == Media()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "resnet18", "weights": "/nowhere/weights.pt"}, "weights: /nowhere/weights.pt: no such file"),
        ({"audio_init": "/nowhere/best.pt"}, "/nowhere/best.pt: no such file"),
    ],
)
def test_weights_that_are_not_there_are_found_out_before_a_trial_begins(
    corpus: Corpus, settings: dict[str, Any], message: str
) -> None:
    config = ImageToSound.Config(**{**ImageToSound.DEBUG, **settings})
    with pytest.raises(InputError, match=message):
        ImageToSound.prepare([config], corpus)
