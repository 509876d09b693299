"""`audio_init: other/1`: a model that has learnt from what this sweep holds out is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from orchestrator.errors import UserError
from orchestrator.overview.trial_reference import resolve_trained_models
from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.paths import BEST, CHECKPOINT
from tests.support.spaces import write_space
from tests.support.sweep_folder import SweepFolder
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus

GIVEN = {"audio_init": "other/1"}


def write_sounds(root: Path, start: int, stop: int) -> None:
    for name in ("dog", "rain"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(start, stop):
            sound = 0.1 * np.random.default_rng(index).standard_normal(16000)
            soundfile.write(root / name / f"take {index}.wav", sound, 8000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_sounds(tmp_path / "sounds", 0, 6)
    return tmp_path / "sounds"


def opened(root: Path, home: Path) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root)}, home)


def write_other(home: Path, root: Path, corpus: Corpus | None) -> Path:
    """Another sweep that has run one trial, and the trial's checkpoint."""
    other = SweepFolder(home, "other")
    settings = {"name": "folder", "root": str(root)} if corpus else None
    write_space(other.path / "search_space.yaml", name="other", corpus=settings)
    other.start(corpus=corpus and {"name": corpus.name, "fingerprint": corpus.fingerprint})
    other.whole_trial(1)
    path = other.trial(1) / CHECKPOINT / BEST
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def read_next(tmp_path: Path, root: Path) -> Sweep:
    space = {
        "trainable": "image_to_sound",
        "corpus": {"name": "folder", "root": str(root)},
        "objective": {"metric": "val/judge_probability", "mode": "max"},
        "budget": {"seeds": 1, "max_epochs": 1},
        **dict.fromkeys(("compare", "search", "pruning")),
    }
    return read_search_space(write_space(tmp_path / "next.yaml", **space, params=GIVEN))


def test_a_model_of_the_same_corpus_is_taken(root: Path, tmp_path: Path) -> None:
    corpus = opened(root, tmp_path)
    path = write_other(tmp_path, root, corpus)
    assert resolve_trained_models(read_next(tmp_path, root), GIVEN, tmp_path, corpus) == {"audio_init": str(path)}


def test_a_model_without_a_corpus_is_taken(root: Path, tmp_path: Path) -> None:
    path = write_other(tmp_path, root, None)
    assert resolve_trained_models(read_next(tmp_path, root), GIVEN, tmp_path, opened(root, tmp_path)) == {
        "audio_init": str(path)
    }


def test_a_model_of_a_corpus_that_has_grown_since_is_taken_as_its_splits_are_kept(root: Path, tmp_path: Path) -> None:
    before = opened(root, tmp_path)
    path = write_other(tmp_path, root, before)
    write_sounds(root, 6, 12)
    corpus = opened(root, tmp_path)
    assert corpus.fingerprint != before.fingerprint
    assert resolve_trained_models(read_next(tmp_path, root), GIVEN, tmp_path, corpus) == {"audio_init": str(path)}


def test_a_model_that_has_seen_the_test_split_is_refused(root: Path, tmp_path: Path) -> None:
    path = write_other(tmp_path, root, opened(root, tmp_path))
    # What was remembered of the splits is lost, and a longer list gives some recordings another one.
    shutil.rmtree(tmp_path / "corpora")
    write_sounds(root, 6, 12)
    corpus = opened(root, tmp_path)
    with pytest.raises(UserError) as caught:
        resolve_trained_models(read_next(tmp_path, root), GIVEN, tmp_path, corpus)
    said = str(caught.value)
    assert said.startswith("audio_init: other/1: was trained on another corpus (")
    assert "): it has seen " in said and " of the 8 recordings that are held out here; train it on this" in said
    assert said.endswith(f"or name its file, {path}, if you know better")


@pytest.mark.parametrize("lost", ["another root", "deleted cache"])
def test_a_model_of_which_nobody_knows_what_it_has_seen_is_refused(root: Path, tmp_path: Path, lost: str) -> None:
    before = opened(root, tmp_path)
    write_other(tmp_path, root, before)
    if lost == "another root":
        root = shutil.copytree(root, tmp_path / "copied")
    else:
        shutil.rmtree(before.folder)
    write_sounds(root, 6, 8)
    corpus = opened(root, tmp_path)
    with pytest.raises(UserError, match=r"\): it may have seen recordings that are held out here; train it on this"):
        resolve_trained_models(read_next(tmp_path, root), GIVEN, tmp_path, corpus)
