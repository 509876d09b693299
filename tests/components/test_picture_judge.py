"""The judges of pictures, and the network that generators are told of sounds by: trained once, and strangers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.picture_judge import PictureJudge, open_picture_judge
from trainables.components.judges.sound_judge import open_judge
from trainables.components.pictures.augmentation import as_floats
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power
from trainables.corpora.opening import open_corpus
from trainables.corpora.splits import Split
from trainables.errors import InputError
from trainables.sound_to_image.condition import Condition, open_condition


@pytest.fixture(scope="module")
def judge(corpus: Corpus) -> PictureJudge:
    return open_picture_judge(corpus)


@pytest.fixture(scope="module")
def other(corpus: Corpus) -> PictureJudge:
    return open_picture_judge(corpus, "B")


@pytest.fixture(scope="module")
def condition(corpus: Corpus) -> Condition:
    return open_condition(corpus)


def shown(corpus: Corpus, split: Split = "train", size: int = 64) -> tuple[Tensor, Tensor]:
    clips = corpus.indices(split)
    return as_floats(torch.from_numpy(corpus.frames(size)[clips])), torch.from_numpy(corpus.labels(clips))


def test_training_pictures_are_told_apart(corpus: Corpus, judge: PictureJudge, other: PictureJudge) -> None:
    pictures, labels = shown(corpus)
    told = {}
    for each in (judge, other):
        probabilities = each.classify(pictures)
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(labels)))
        told[each] = (probabilities.argmax(dim=1) == labels).float().mean().item()
    # In the few steps that nine pictures are given, B learns less of them.
    assert told[judge] >= 0.9 and told[other] > 0.5


def test_one_pass_gives_what_is_seen_and_what_the_classes_are_told_from(corpus: Corpus, judge: PictureJudge) -> None:
    pictures = shown(corpus)[0].repeat(3, 1, 1, 1)
    probabilities, embeddings = judge.classify_and_embed(pictures)
    assert torch.equal(probabilities, judge.classify(pictures))
    state = judge.state_dict()
    logits = embeddings @ state["classify.1.weight"].T + state["classify.1.bias"]
    torch.testing.assert_close(logits.softmax(dim=1), probabilities)
    torch.testing.assert_close(judge.classify(pictures[40:]), probabilities[40:])


def test_pictures_of_any_size_are_seen(corpus: Corpus, judge: PictureJudge) -> None:
    full, labels = judge.classify(shown(corpus)[0]), shown(corpus)[1]
    large = judge.classify(torch.nn.functional.interpolate(shown(corpus)[0], (128, 128), mode="nearest"))
    torch.testing.assert_close(large, full, atol=0.2, rtol=0)
    small = judge.classify(shown(corpus, size=32)[0])
    assert (small.argmax(dim=1) == labels).float().mean() > 0.6


def test_judges_and_the_condition_network_share_no_weights(
    corpus: Corpus, judge: PictureJudge, other: PictureJudge, condition: Condition
) -> None:
    states = [
        judge.state_dict(),
        other.state_dict(),
        condition.network.state_dict(),
        open_judge(corpus, "A").state_dict(),
        open_judge(corpus, "B").state_dict(),
    ]
    # Weights alone: biases and statistics that begin the same may be the same by chance.
    weights = [[value for key, value in state.items() if value.ndim > 1] for state in states]
    for index, own in enumerate(weights):
        for others in weights[index + 1 :]:
            assert not any(a.shape == b.shape and torch.allclose(a, b, atol=1e-3) for a in own for b in others)
    assert len({judge.id, other.id, open_judge(corpus, "A").id, open_judge(corpus, "B").id}) == 4


def test_they_are_trained_once(corpus: Corpus, judge: PictureJudge, other: PictureJudge, condition: Condition) -> None:
    # Other processes may write other files into this folder meanwhile.
    paths = [corpus.folder / f"judge-{each.id}.pt" for each in (judge, other)]
    paths += corpus.folder.glob("condition-*.pt")
    written = [path.stat().st_mtime_ns for path in paths]
    assert len(written) == 3
    again = open_picture_judge(corpus)
    assert again.id == judge.id
    assert torch.equal(again.classify(shown(corpus)[0]), judge.classify(shown(corpus)[0]))
    state = open_condition(corpus).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in condition.state_dict().items())
    assert [path.stat().st_mtime_ns for path in paths] == written


def test_the_condition_network_hears_the_classes(corpus: Corpus, condition: Condition) -> None:
    clips = corpus.indices("validation")
    condition.eval()
    features, logits = condition(log_power(clip_power(corpus.waveforms(), clips)))
    assert features.shape == (len(clips), 64)
    assert (logits.argmax(dim=1).numpy() == corpus.labels(clips)).mean() > 0.8
    torch.testing.assert_close(condition.network.classify(features), logits)


def copied(tiny_corpus: Path, root: Path) -> Path:
    """The corpus's sounds, with the same times, and its pictures."""
    shutil.copytree(tiny_corpus, root)
    return root


def test_a_corpus_without_pictures_has_no_judge_of_them(tiny_corpus: Path, tmp_path: Path) -> None:
    root = copied(tiny_corpus, tmp_path / "sounds")
    for path in root.rglob("*.png"):
        path.unlink()
    blind = open_corpus({"name": "folder", "root": str(root)}, tmp_path / "home")
    with pytest.raises(InputError, match="has no picture that can be read; sound and image together need videos"):
        open_picture_judge(blind)
    assert not list(blind.folder.glob("*judge-picture*.pt"))


def test_other_pictures_of_the_same_sounds_have_another_judge_even_while_evaluating(
    corpus: Corpus, judge: PictureJudge, tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    root = copied(tiny_corpus, tmp_path / "sounds")
    kinds = sorted(path.name for path in root.iterdir())
    for kind, another in zip(kinds, [*kinds[1:], kinds[0]], strict=True):
        for path in (root / kind).glob("*.png"):
            turned = Image.open(tiny_corpus / another / path.name)
            turned.save(path)
            os.utime(path, (1, 1))
    turned_corpus = open_corpus({"name": "folder", "root": str(root)}, tiny_home)
    assert turned_corpus.folder == corpus.folder, "the sounds are the same"
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        again = open_picture_judge(turned_corpus)
    assert again.id != judge.id
    assert torch.equal(torch.random.get_rng_state(), state), "training leaves the caller's randomness alone"
    pictures, labels = shown(turned_corpus)
    assert (again.classify(pictures).argmax(dim=1) == labels).float().mean() >= 0.9
