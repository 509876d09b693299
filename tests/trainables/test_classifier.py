"""The classifier learns sounds and images, and refuses what makes no sense."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import ValidationError

from tests.conftest import CLASSES
from trainables.classifier.modalities import Images, Sounds
from trainables.classifier.trainable import Classifier
from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.networks import log_mel
from trainables.components.training.batches import Batch
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power
from trainables.corpora.opening import open_corpus
from trainables.errors import InputError
from trainables.sound_to_image.condition import open_condition
from trainables.support.randomness import seed_everything

IMAGE = {"modality": "image", "image_size": 32}
FAST = {"lr": 3e-3, "warmup_steps": 5}


def make(corpus: Corpus, *, seed: int = 0, **settings: Any) -> Classifier:
    config = Classifier.Config(**{**Classifier.DEBUG, **settings})
    seed_everything(seed)
    return Classifier(config, corpus, device="cpu", seed=seed)


@pytest.fixture(scope="module")
def striped(tiny_corpus: Path, tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The tiny corpus's sounds with pictures that are easier to tell: stripes down, stripes across, and squares."""
    root = tmp_path_factory.mktemp("striped") / "sounds"
    shutil.copytree(tiny_corpus, root)
    down = np.indices((64, 64)) // 8 % 2
    for kind, is_bright in zip(CLASSES, (down[0], down[1], down[0] ^ down[1]), strict=True):
        for index, path in enumerate(sorted((root / kind).glob("*.png"))):
            colours = np.random.default_rng(index).integers(0, 256, (2, 3), np.uint8)
            Image.fromarray(colours[is_bright]).save(path)
    return open_corpus({"name": "folder", "root": str(root)}, tiny_home)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"network": "resnet18"}, "network: resnet18 sees images; for modality: sound use plain or residual"),
            ({"network": "resnet50"}, "network: resnet50 sees images; for modality: sound use plain or residual"),
            ({"weights": "imagenet"}, "weights: imagenet: network: plain has none; use resnet18 or resnet50"),
            (
                {"modality": "image", "network": "residual", "weights": "a.pt"},
                "weights: a.pt: network: residual has none; use resnet18 or resnet50",
            ),
            ({"modality": "video"}, "Input should be 'sound' or 'image'"),
            ({"label_smoothing": 1.0}, "less than 1"),
            ({"batch_size": 1}, "greater than or equal to 2"),
            ({"mixup": -0.1}, "greater than or equal to 0"),
            ({"colour": "red"}, "Extra inputs are not permitted"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError) as error:
            Classifier.Config(**settings)
        assert error.value.error_count() == 1
        assert reason in str(error.value)

    @pytest.mark.parametrize("weights", ["none", "imagenet", "own.pt"])
    def test_a_resnet_of_images_is_taken(self, weights: str) -> None:
        config = Classifier.Config(modality="image", network="resnet18", weights=weights)
        assert config.weights == weights

    def test_without_a_corpus_it_says_what_to_add(self) -> None:
        with pytest.raises(InputError, match="trainable classifier needs a corpus; add `corpus: "):
            Classifier(Classifier.Config(), None, device="cpu", seed=0)

    def test_images_of_a_corpus_without_pictures_are_refused(
        self, tiny_corpus: Path, tiny_home: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(tiny_corpus, tmp_path / "sounds", ignore=shutil.ignore_patterns("*.png"))
        blind = open_corpus({"name": "folder", "root": str(tmp_path / "sounds")}, tiny_home)
        with pytest.raises(InputError, match="corpus folder has no picture that can be read"):
            make(blind, **IMAGE)
        assert make(blind).step()["train/loss"] > 0

    def test_a_missing_file_of_weights_is_named(self, corpus: Corpus, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"weights: {tmp_path / 'no.pt'}: no such file"):
            make(corpus, **IMAGE, network="resnet18", weights=str(tmp_path / "no.pt"))


class TestLearning:
    @pytest.mark.parametrize("network", ["plain", "residual"])
    def test_it_learns_the_sounds(self, corpus: Corpus, network: str) -> None:
        trainable = make(corpus, network=network, **FAST)
        first, *_, last = [trainable.step() for _ in range(15)]
        assert last["train/loss"] < 0.7 * first["train/loss"]
        assert last["val/accuracy"] == last["val/balanced_accuracy"] == 1
        assert last["val/probability"] > 0.6
        assert trainable.evaluate("test")["accuracy"].mean() > 0.6

    @pytest.mark.parametrize("network", ["plain", "residual"])
    def test_it_learns_the_images(self, striped: Corpus, network: str) -> None:
        trainable = make(striped, network=network, **IMAGE, **FAST)
        first, *_, last = [trainable.step() for _ in range(20)]
        assert last["train/loss"] < first["train/loss"]
        assert last["val/accuracy"] > 0.6 and last["val/probability"] > 0.5
        assert trainable.evaluate("train")["accuracy"].mean() > 0.8

    @pytest.mark.parametrize("given", [{}, IMAGE], ids=["sound", "image"])
    @pytest.mark.parametrize("more", [{"mixup": 0.4}, {"spoil": True}, {"mixup": 1.0, "spoil": True}], ids=str)
    def test_mixed_and_spoilt_clips_train_it_too_and_always_the_same(
        self, corpus: Corpus, given: dict[str, Any], more: dict[str, Any]
    ) -> None:
        # Each is made just before it runs: dropout draws from the global generator, which is seeded then.
        without, metrics, again = (make(corpus, **given, **extra).step() for extra in ({}, more, more))
        assert metrics == again and metrics["train/loss"] != without["train/loss"]
        assert metrics["train/nonfinite_steps"] == 0 and np.isfinite(metrics["train/loss"])

    def test_resnets_run(self, corpus: Corpus) -> None:
        trainable = make(corpus, **IMAGE, network="resnet18")
        trainable.batches_per_epoch = 1
        assert set(trainable.step()) == set(Classifier.METRICS)

    def test_a_batch_that_is_not_finite_changes_no_weight(self, corpus: Corpus) -> None:
        trainable = make(corpus)
        trainable.step()
        with torch.no_grad():
            trainable.network.body.std[:] = torch.nan
        before = {key: value.clone() for key, value in trainable.network.state_dict().items()}
        metrics = trainable._train_epoch()
        assert metrics["train/nonfinite_steps"] == 3 and np.isnan(metrics["train/loss"])
        torch.testing.assert_close(trainable.network.state_dict(), before, rtol=0, atol=0, equal_nan=True)


class TestMeasuring:
    def test_what_is_validated_is_counted_by_recording(self, corpus: Corpus) -> None:
        trainable = make(corpus)
        metrics = trainable.step()
        clips = corpus.indices("validation")
        trainable.network.eval()
        with torch.no_grad():
            logits = trainable.network(log_mel(log_power(clip_power(corpus.waveforms(), clips))))
        labels = torch.from_numpy(corpus.labels(clips))
        assert metrics["val/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
        recordings = corpus.clips["recording"].to_numpy(str)[clips]
        table = trainable.evaluate("validation").set_index("recording")
        for name in np.unique(recordings):
            mean = logits.softmax(dim=1)[recordings == name].mean(dim=0)
            truth = int(labels[recordings == name][0])
            assert table["probability"][name] == pytest.approx(mean[truth].item(), rel=1e-4)
            assert table["accuracy"][name] == float(mean.argmax() == truth)
            assert table["class"][name] == corpus.classes[truth]
        assert metrics["val/accuracy"] == table["accuracy"].mean()
        assert metrics["val/probability"] == pytest.approx(table["probability"].mean())

    def test_the_commonest_class_is_the_reference(self, corpus: Corpus) -> None:
        (line,) = Classifier.prepare([Classifier.Config()], corpus)
        assert line["reference"] == "commonest class" and line["val/accuracy"] == pytest.approx(1 / 3)

    def test_pictures_stand_beside_what_is_told(self, corpus: Corpus) -> None:
        media = make(corpus, **IMAGE).render(corpus.probes(2))
        assert [row["image"] for row in media.clips] == [row["clip"] for row in media.clips]
        assert set(media.images) == {row["clip"] for row in media.clips}
        assert all(row["told"] in corpus.classes and 0 <= float(row["probability"]) <= 1 for row in media.clips)


class TestGiven:
    def test_plain_sounds_are_the_log_mels_of_clips(self, corpus: Corpus) -> None:
        clips = corpus.indices("train")
        expected = log_mel(log_power(clip_power(corpus.waveforms(), clips)))
        positions = torch.tensor([3, 0, 7])
        plain = Sounds(corpus, clips, spoil=False, seed=0)
        torch.testing.assert_close(plain.batch(positions), expected[positions], atol=0.01, rtol=0)
        assert isinstance(plain.column._array, np.memmap), "all trials share them"
        spoilt = Sounds(corpus, clips, spoil=True, seed=0)
        torch.testing.assert_close(spoilt.batch(positions), expected[positions], atol=0.01, rtol=0)
        torch.testing.assert_close(spoilt.scale[0], expected.mean(dim=(0, 1)), atol=0.01, rtol=0)
        larger = Sounds(replace(corpus, in_memory_bytes=0), clips, spoil=False, seed=0)
        torch.testing.assert_close(larger.scale, plain.scale, atol=1e-4, rtol=1e-3)

    @pytest.mark.parametrize("spoil", [True, False])
    def test_the_generator_decides_how_clips_vary(self, corpus: Corpus, spoil: bool) -> None:
        clips, positions = corpus.indices("train"), torch.arange(6)
        for given in (Sounds(corpus, clips, spoil=spoil, seed=0), Images(corpus, clips, 32, spoil=spoil)):
            batch = Batch(positions, [given.column.take(positions)])
            one, same, other = (given.augment(batch, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
            assert torch.equal(one, same) and not torch.equal(one, other)
            assert one.shape == given.batch(positions).shape and one.isfinite().all()

    def test_only_clips_to_learn_from_are_spoilt(self, corpus: Corpus) -> None:
        trainable = make(corpus, spoil=True)
        assert len(trainable.train._spoilt) == 6 and not trainable.validation._spoilt


class TestAsCondition:
    def saved(self, trainable: Classifier, path: Path, **changes: Any) -> str:
        torch.save({"state": trainable.state_dict() | changes}, path)
        return str(path)

    def test_a_residual_network_of_sounds_is_taken_and_hears_the_same(self, corpus: Corpus, tmp_path: Path) -> None:
        trainable = make(corpus, network="residual")
        trainable.step()
        condition = open_condition(corpus, self.saved(trainable, tmp_path / "best.pt")).eval()
        magnitudes = log_power(clip_power(corpus.waveforms(), corpus.indices("validation")))
        trainable.network.eval()
        with torch.no_grad():
            torch.testing.assert_close(condition(magnitudes)[1], trainable.network(log_mel(magnitudes)))

    @pytest.mark.parametrize("settings", [{"network": "plain"}, {**IMAGE, "network": "residual"}], ids=str)
    def test_another_is_refused(self, corpus: Corpus, tmp_path: Path, settings: dict[str, Any]) -> None:
        path = self.saved(make(corpus, **settings), tmp_path / "best.pt")
        with pytest.raises(InputError) as error:
            open_condition(corpus, path)
        assert str(error.value) == (
            f"classifier: {path}: is of modality: {settings.get('modality', 'sound')}, network: {settings['network']};"
            " it takes a trial of trainable classifier with modality: sound and network: residual, of a corpus with the"
            " same classes"
        )

    def test_one_of_other_classes_is_refused(self, corpus: Corpus, tmp_path: Path) -> None:
        trainable = make(corpus, network="residual")
        path = self.saved(trainable, tmp_path / "best.pt", classes=["cat", "dog", "rain"])
        with pytest.raises(InputError, match="predicts cat, dog, rain; the classes here are hiss, low hum, siren"):
            open_condition(corpus, path)

    def test_a_file_of_something_else_is_refused(self, corpus: Corpus, tmp_path: Path) -> None:
        torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pt")
        with pytest.raises(InputError, match="is of no classifier; it takes a trial of trainable classifier"):
            open_condition(corpus, str(tmp_path / "other.pt"))
        (tmp_path / "junk.pt").write_bytes(b".")
        with pytest.raises(InputError, match="can't be read as a checkpoint"):
            open_condition(corpus, str(tmp_path / "junk.pt"))
