"""`model: other/1`: a sweep has its own copy of the model, so that the other sweep may change or delete its own."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.driver.tasks import make_spec
from orchestrator.errors import UserError
from orchestrator.overview.trial_reference import keep_trained_models
from orchestrator.policy.trial_key import hash_configuration
from orchestrator.search_space.reader import Sweep
from orchestrator.state.paths import TRAINED_MODELS
from orchestrator.state.trial import Trial
from orchestrator.storage.copies import NO_LINK
from orchestrator.worker.spec import TrialSpec
from tests.support import begun
from tests.support.begun import write_trained
from tests.support.spaces import noop_sweep

OF_TRIAL = {"model": {"choice": ["other/1", "scratch"]}}


def read_next(home: Path, name: str = "next") -> Sweep:
    return noop_sweep(home, name=name, trainable=begun.__file__, params=OF_TRIAL, search={"sampler": "random"})


def spec_of(sweep: Sweep, home: Path) -> TrialSpec:
    trial = Trial(
        number=1,
        arm="arm=a",
        index=0,
        stage="search",
        source="random",
        of=None,
        seed=3,
        compared={"arm": "a"},
        searched={"model": "other/1"},
        params={"arm": "a", "model": "other/1"},
    )
    return make_spec(sweep, home, trial, gpu=0, threads=1)


def key_of(sweep: Sweep, home: Path) -> str:
    return hash_configuration(spec_of(sweep, home), sweep.declaration)


def test_trials_begin_from_one_model_whatever_becomes_of_the_other_sweep(tmp_path: Path) -> None:
    path, sweep = write_trained(tmp_path), read_next(tmp_path)
    keep_trained_models(sweep, tmp_path, None, has_begun=False)
    model, key = Path(spec_of(sweep, tmp_path).config["model"]), key_of(sweep, tmp_path)
    assert model.is_relative_to(tmp_path / "next" / TRAINED_MODELS) and model.samefile(path)
    # As a checkpoint is saved: by a rename.
    (tmp_path / "new.pt").write_bytes(b"second, longer")
    (tmp_path / "new.pt").rename(path)
    keep_trained_models(sweep, tmp_path, None, has_begun=True)
    assert Path(spec_of(sweep, tmp_path).config["model"]).read_bytes() == b"first"
    shutil.rmtree(tmp_path / "other")
    keep_trained_models(sweep, tmp_path, None, has_begun=True)
    assert spec_of(sweep, tmp_path).config["model"] == str(model) and key_of(sweep, tmp_path) == key


def test_a_copy_has_the_key_of_the_file_of_which_it_was_made(tmp_path: Path) -> None:
    write_trained(tmp_path)
    without = key_of(read_next(tmp_path), tmp_path)
    keep_trained_models(read_next(tmp_path, "third"), tmp_path, None, has_begun=False)
    assert key_of(read_next(tmp_path, "third"), tmp_path) == without == key_of(read_next(tmp_path), tmp_path) != ""
    spec = spec_of(read_next(tmp_path, "third"), tmp_path)
    assert hash_configuration(replace(spec, originals={}), read_next(tmp_path).declaration) != without


def test_a_sweep_that_has_begun_without_a_copy_gets_one_and_one_that_has_not_a_new_one(tmp_path: Path) -> None:
    path, sweep = write_trained(tmp_path), read_next(tmp_path)
    assert spec_of(sweep, tmp_path).config["model"] == str(path)
    keep_trained_models(sweep, tmp_path, None, has_begun=True)
    path.unlink()
    path.write_bytes(b"second, longer")
    keep_trained_models(sweep, tmp_path, None, has_begun=False)
    (copy,) = (tmp_path / "next" / TRAINED_MODELS).glob("*/*")
    assert copy.read_bytes() == b"second, longer" and spec_of(sweep, tmp_path).config["model"] == str(copy)


def test_a_model_on_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sweep = write_trained(tmp_path), read_next(tmp_path)

    def refuse(source: Path, target: Path) -> None:
        raise OSError(NO_LINK[0], "another disk")

    monkeypatch.setattr(os, "link", refuse)
    key = key_of(sweep, tmp_path)
    keep_trained_models(sweep, tmp_path, None, has_begun=False)
    model = Path(spec_of(sweep, tmp_path).config["model"])
    assert model.read_bytes() == b"first" and not model.samefile(path) and key_of(sweep, tmp_path) == key


def test_a_copy_that_was_changed_is_refused(tmp_path: Path) -> None:
    write_trained(tmp_path)
    sweep = read_next(tmp_path)
    keep_trained_models(sweep, tmp_path, None, has_begun=False)
    (copy,) = (tmp_path / "next" / TRAINED_MODELS).glob("*/*")
    copy.write_bytes(b"other")
    with pytest.raises(
        UserError, match=rf"^{copy}: has changed since trials of this sweep were initialized from it; put the"
    ):
        keep_trained_models(sweep, tmp_path, None, has_begun=True)


def test_a_sweep_that_has_begun_without_a_copy_still_needs_the_other_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep"):
        keep_trained_models(read_next(tmp_path), tmp_path, None, has_begun=True)
