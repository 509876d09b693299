"""What the corpus judge learns from beside the usual: each augmentation alone, and in the judge's training."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.batch import Batch
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.judges.sound_judge import identify_augmentations, open_judge, train_network
from trainables.corpora.additions import Additions
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power

COUNT, CLASSES = 64, 3


def draw_batch(seed: int, level: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (COUNT,), generator=generator)
    mels = level + torch.randn(COUNT, 96, 64, generator=generator)
    return Batch(mels, torch.nn.functional.one_hot(labels, CLASSES).float())


def change(name: str, batch: Batch, other: Batch | None = None, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return AUGMENTATIONS[name](batch, lambda: other or draw_batch(9), generator)


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_an_augmentation_changes_clips_by_its_seed_alone(name: str) -> None:
    batch = draw_batch(1)
    first, same, different = (change(name, batch, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.mels, same.mels) and torch.equal(first.targets, same.targets)
    assert not torch.equal(first.mels, different.mels)
    assert first.mels.shape == batch.mels.shape and first.mels.isfinite().all()
    torch.testing.assert_close(first.targets.sum(dim=1), torch.ones(COUNT))
    assert torch.equal(batch.mels, draw_batch(1).mels), "the clips that were drawn stay as they are"


@pytest.mark.parametrize("level", [0.0, -9.2])
def test_a_mixture_has_the_power_and_the_classes_of_both(level: float) -> None:
    low, high = (torch.full((COUNT, 96, 64), -20.0) for _ in range(2))
    low[:, :, 10], high[:, :, 50] = 0.0, 0.0
    # The other sound is as loud, or 40 dB quieter.
    high += level
    classes = torch.eye(2)[:, None].expand(-1, COUNT, -1)
    mixed = change("mix", Batch(low, classes[0]), Batch(high, classes[1]))
    is_mixed = mixed.targets[:, 0] < 1
    assert 0.3 < is_mixed.float().mean() < 0.7
    assert torch.equal(mixed.mels[~is_mixed], low[~is_mixed])
    shares = mixed.mels.exp()[is_mixed][:, 0][:, [10, 50]]
    torch.testing.assert_close(shares, mixed.targets[is_mixed], atol=1e-3, rtol=0)


def test_pitch_moves_bands_and_speed_moves_frames() -> None:
    clips = torch.zeros(COUNT, 96, 64)
    clips[:, 40, 30] = 1.0
    batch = Batch(clips, draw_batch(0).targets)
    bands = change("pitch", batch).mels[:, 40].argmax(dim=1)
    assert set(bands.tolist()) == set(range(27, 34))
    # Energy at frame 40 is heard at 40 / 1.25 to 40 / 0.8.
    frames = change("speed", batch).mels[:, :, 30].argmax(dim=1)
    assert 32 <= frames.min() < 36 and 45 < frames.max() <= 50


def test_a_filter_is_the_same_at_all_times_of_a_clip() -> None:
    clips = torch.zeros(COUNT, 96, 64)
    filtered = change("filter", Batch(clips, draw_batch(0).targets)).mels
    assert torch.equal(filtered, filtered[:, :1].expand_as(filtered))
    assert filtered.std(dim=2).min() > 0 and 0.5 < filtered.std() < 1.5
    assert (filtered.diff(dim=2).abs() < 0.5).all(), "it is smooth"


def test_augmentations_make_another_judge_and_none_the_usual_one(corpus: Corpus) -> None:
    usual = open_judge(corpus)
    assert open_judge(replace(corpus, additions=Additions(metrics=("kad",)))).id == usual.id
    augmented = replace(corpus, additions=Additions(augment=("mix", "pitch", "speed", "filter")))
    judge = open_judge(augmented)
    assert judge.id != usual.id
    weights = [judge.state_dict()["classify.1.weight"], usual.state_dict()["classify.1.weight"]]
    assert not torch.equal(*weights)
    assert torch.equal(open_judge(augmented).state_dict()["classify.1.weight"], weights[0])
    clips = corpus.indices("train")
    alone = train_network(corpus, "A", clips, seed=1)
    assert torch.equal(alone.state_dict()["classify.1.weight"], weights[1]), "the usual judge is the same to the bit"
    labels = torch.from_numpy(corpus.labels(clips))
    probabilities = judge.classify_log_power(log_power(clip_power(corpus.waveforms(), clips)))
    assert float((probabilities.argmax(dim=1) == labels).float().mean()) > 0.9


def test_a_changed_file_of_a_users_augmentation_makes_another_judge(tmp_path: Path) -> None:
    path = tmp_path / "my_augmentation.py"
    ids = []
    # Of another size: Python keeps the compiled file of one that was changed within a second.
    for level in (1, 2.5):
        path.write_text(
            "from trainables.components.judges.batch import Batch\n"
            "from trainables.components.judges.registries import AUGMENTATIONS\n"
            '@AUGMENTATIONS.register("louder")\n'
            f"def louder(batch, draw, generator): return Batch(batch.mels + {level}, batch.targets)\n"
        )
        spec = importlib.util.spec_from_file_location("my_augmentation", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["my_augmentation"] = module
        spec.loader.exec_module(module)
        ids.append(identify_augmentations(["mix", "louder"]))
        assert float(change("louder", draw_batch(1)).mels.mean() - draw_batch(1).mels.mean()) == pytest.approx(
            level, abs=1e-4
        )
    assert ids[0] != ids[1] and all(text.startswith("mix-2 louder-") for text in ids)
    AUGMENTATIONS._parts.pop("louder")
    del sys.modules["my_augmentation"]
