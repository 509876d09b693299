"""A prepared corpus on a machine without its recordings: everything is read from what was prepared."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.corpora.opening import open_corpus
from trainables.corpora.shards.prepared import list_prepared_files, open_prepared, write_description
from trainables.errors import InputError


def test_sounds_pictures_and_features_are_those_of_the_machine_with_the_recordings(
    tmp_path: Path, tiny_corpus: Path
) -> None:
    recordings, home, other = tmp_path / "recordings", tmp_path / "home", tmp_path / "other"
    shutil.copytree(tiny_corpus, recordings)
    link = tmp_path / "link"
    link.symlink_to(recordings)
    settings = {"name": "folder", "root": str(link)}
    corpus = open_corpus(settings, home)
    opened, left_out = Feature(Grid("24x64")), Feature(Grid("48x128"))
    frames, features = corpus.frames(64)[:], np.array(corpus.features(opened))
    (corpus.folder / "log_power-of_another_sweep.npy").write_bytes(b"large")
    description = write_description(corpus)
    paths = list_prepared_files(corpus)
    assert description in paths and all(path.is_relative_to(home) for path in paths)
    assert "log_power-of_another_sweep.npy" not in {path.name for path in paths}
    for path in paths:
        target = other / path.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.rmtree(recordings)
    link.unlink()
    away = open_prepared(settings, other / description.relative_to(home), other)
    assert away.folder.is_relative_to(other) and away.fingerprint == corpus.fingerprint
    assert away.clips.equals(corpus.clips) and away.classes == corpus.classes and away.skipped == corpus.skipped
    assert np.array_equal(away.waveforms()[:], corpus.waveforms()[:])
    assert np.array_equal(away.frames(64)[:], frames) and frames.any()
    assert np.array_equal(away.features(opened), features)
    # What the driver has not prepared is computed from the clips.
    assert len(away.features(left_out)) == len(corpus.clips)
    assert list(away.pictures) == list(corpus.pictures)
    (other / "cache" / corpus.fingerprint / "clips.csv").unlink()
    with pytest.raises(InputError, match="is incomplete on this machine; delete its folder"):
        open_prepared(settings, other / description.relative_to(home), other)
