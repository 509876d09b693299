"""ESC-50 and ESC-10: their folds are the splits."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.corpora.settings import Esc50
from trainables.errors import InputError
from trainables.testing.corpus import CORPUS
from trainables.testing.promise import Promise

CLASSES = {"dog": True, "rain": True, "laughing": False}
"""Classes, and whether they are of ESC-10."""


def write_sound(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(16_000), 8000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ESC-50's own layout: three classes, five folds, two takes of one source in each."""
    root = tmp_path_factory.mktemp("ESC-50-master")
    rows = []
    for target, (category, is_esc10) in enumerate(CLASSES.items()):
        for fold in range(1, 6):
            for take in "AB":
                source = 100 * target + fold
                name = f"{fold}-{source}-{take}-{target}.wav"
                write_sound(root / "audio" / name, source)
                rows.append([name, fold, target, category, is_esc10, source, take])
    (root / "meta").mkdir()
    with (root / "meta" / "esc50.csv").open("w", newline="") as file:
        csv.writer(file).writerows(["filename fold target category esc10 src_file take".split(), *rows])
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def open_esc50(root: Path, home: Path, **settings: Any) -> Corpus:
    return open_corpus({"name": "esc50", "root": str(root), **settings}, home)


def folds_of(corpus: Corpus, split: str) -> set[str]:
    recordings = corpus.clips["recording"].astype(str)[corpus.clips["split"] == split]
    return {recording.rpartition("/")[2].partition("-")[0] for recording in recordings}


@pytest.mark.parametrize("promise", CORPUS, ids=str)
def test_it_keeps_the_contract_of_corpora(root: Path, home: Path, promise: Promise[Corpus]) -> None:
    promise.check(open_esc50(root, home))


def test_folds_are_the_splits_and_other_folds_another_corpus(root: Path, home: Path) -> None:
    corpus = open_esc50(root, home)
    assert {split: folds_of(corpus, split) for split in ("train", "validation", "test")} == {
        "train": {"1", "2", "3"},
        "validation": {"4"},
        "test": {"5"},
    }
    other = open_esc50(root, home, validation_fold=1, test_fold=2)
    assert (folds_of(other, "validation"), folds_of(other, "test")) == ({"1"}, {"2"})
    assert other.fingerprint != corpus.fingerprint
    # What was opened in between moves no recording.
    assert open_esc50(root, home).clips.equals(corpus.clips)


def test_esc10_has_its_classes_alone(root: Path, home: Path) -> None:
    assert open_esc50(root, home).classes == ("dog", "laughing", "rain")
    assert open_esc50(root, home, esc10=True).classes == ("dog", "rain")


def test_takes_of_a_source_are_one_group(root: Path, home: Path) -> None:
    recordings = Esc50(root=root).recordings(home, lambda *_: None)
    assert len(recordings) == 30 and len({recording.group for recording in recordings}) == 15


def test_folders_of_classes_are_read_by_their_names(tmp_path: Path) -> None:
    for number, name in enumerate(("001 - Dog bark", "002 - Rain")):
        for fold in (1, 2, 3):
            write_sound(tmp_path / "esc10" / name / f"{fold}-{number}{fold}-A.ogg", fold)
    corpus = open_esc50(tmp_path / "esc10", tmp_path / "home", validation_fold=2, test_fold=3)
    assert corpus.classes == ("001 - Dog bark", "002 - Rain")
    assert [folds_of(corpus, split) for split in ("train", "validation", "test")] == [{"1"}, {"2"}, {"3"}]


def test_what_is_wrong_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="validation_fold and test_fold are both 4; hold out two"):
        open_esc50(root, tmp_path, test_fold=4)
    with pytest.raises(InputError, match=r"corpus\.root: .*none: No such file or directory"):
        open_esc50(tmp_path / "none", tmp_path)
    write_sound(tmp_path / "own" / "dog" / "bark.wav", 0)
    with pytest.raises(InputError, match=r"bark\.wav: no file of ESC-50.*use corpus: {name: folder}"):
        open_esc50(tmp_path / "own", tmp_path)
    for fold in (1, 2):
        write_sound(tmp_path / "two" / "dog" / f"{fold}-{fold}-A.wav", fold)
    with pytest.raises(InputError, match=r"corpus\.validation_fold: 4 has no recording; the folds here are 1, 2"):
        open_esc50(tmp_path / "two", tmp_path)
    with pytest.raises(InputError, match="the folds here are 1, 2, and none is left for training"):
        open_esc50(tmp_path / "two", tmp_path, validation_fold=1, test_fold=2)
    (tmp_path / "table" / "meta").mkdir(parents=True)
    table = tmp_path / "table" / "meta" / "esc50.csv"
    table.write_text("filename,category\n1-1-A-0.wav,dog\n")
    with pytest.raises(InputError, match=r"esc50\.csv: has no column esc10"):
        open_esc50(tmp_path / "table", tmp_path)
    table.write_text("filename,category,esc10\n1-1-A-0.wav,dog,True\n")
    with pytest.raises(InputError, match=r"1-1-A-0\.wav: is missing, and meta/esc50\.csv lists it"):
        open_esc50(tmp_path / "table", tmp_path)
