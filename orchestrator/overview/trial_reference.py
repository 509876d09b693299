"""Settings that name a trained model: `audio_init: losses/7` is the best checkpoint of that trial."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from orchestrator.errors import UserError
from orchestrator.overview.model_copies import check_copy, copy_model, find_copy
from orchestrator.overview.snapshot import Snapshot, find_trial
from orchestrator.plugins import loader
from orchestrator.search_space.reader import Sweep
from orchestrator.state.home import SEARCH_SPACE
from orchestrator.state.paths import BEST, CHECKPOINT, TRAINED_MODELS, trial_folder

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

TRIAL_NAME = re.compile(r"[^/\\]+/\d+")
"""A sweep and the number of a trial: `losses/7`."""


def resolve_trained_models(
    sweep: Sweep, settings: Mapping[str, Any], home: Path, corpus: Corpus | None = None
) -> dict[str, Any]:
    """Return a trial's settings with the absolute path of a checkpoint for each reference to a trained model.

    It is the sweep's own copy of the checkpoint, if the sweep has one (see `keep_trained_models`).

    Args:
        sweep: the sweep of the trial; relative paths are relative to its search space.
        settings: the settings of the trial.
        home: the folder of all sweeps.
        corpus: the corpus of a sweep that has not begun; with it, a referenced trial must not have seen its held-out
            recordings.

    Raises:
        UserError: there is no such trial, it has no checkpoint, or it may have seen held-out recordings.
    """
    resolved_settings = dict(settings)
    for name, reference in _find_references(sweep, settings):
        if TRIAL_NAME.fullmatch(reference):
            copy = find_copy(home / sweep.name, reference) if corpus is None else None
            resolved_settings[name] = str(copy or _find_checkpoint(sweep, home, name, reference, corpus))
        elif loader.is_path(reference):
            resolved_settings[name] = str((sweep.path.parent / Path(reference).expanduser()).resolve())
    return resolved_settings


def keep_trained_models(sweep: Sweep, home: Path, corpus: Corpus | None, *, has_begun: bool) -> None:
    """Give a sweep its own copy of each model that its settings name, so that all its trials begin from the same one.

    Args:
        sweep: the sweep; this process is its only driver.
        home: the folder of all sweeps.
        corpus: the corpus of the sweep, of whose held-out recordings no model may have seen any.
        has_begun: whether the sweep has trials. Their copies stay; a sweep that has none may have been changed.

    Raises:
        UserError: there is no such trial, it has no checkpoint, it may have seen held-out recordings, or a copy was
            changed.
    """
    folder = home / sweep.name
    if not has_begun:
        shutil.rmtree(folder / TRAINED_MODELS, ignore_errors=True)
    named = (entry for settings in sweep.settings() for entry in _find_references(sweep, settings))
    references = {reference: name for name, reference in named if TRIAL_NAME.fullmatch(reference)}
    for reference, name in references.items():
        if copy := find_copy(folder, reference):
            check_copy(copy)
        else:
            # A sweep that has begun may be finished, and can't change to other models: it is not refused any more.
            unseen_by = None if has_begun else corpus
            copy_model(folder, reference, _find_checkpoint(sweep, home, name, reference, unseen_by))


def _find_references(sweep: Sweep, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings that may name a trained model, with their values."""
    for name in loader.trained_model_fields(sweep.declaration):
        yield name, str(settings.get(name, ""))


def _find_checkpoint(sweep: Sweep, home: Path, name: str, reference: str, corpus: Corpus | None) -> Path:
    """Return the path of a referenced trial's best checkpoint, which has seen no held-out recording of a corpus."""
    try:
        snapshot, trial = find_trial(home, reference)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    path = trial_folder(snapshot.ledger.folder, trial.number) / CHECKPOINT / BEST
    if not path.exists():
        raise UserError(
            f"{name}: {reference}: it has no checkpoint (deleted, or no epoch yet); "
            f"name another trial of {snapshot.name}"
        )
    if corpus is not None:
        _check_unseen(f"{name}: {reference}", sweep, corpus, snapshot, path)
    return path


def _check_unseen(what: str, sweep: Sweep, corpus: Corpus, snapshot: Snapshot, path: Path) -> None:
    """Check that a trial of another sweep was neither trained nor selected on held-out recordings of this sweep."""
    folder = snapshot.ledger.folder
    other: dict[str, Any] = YAML(typ="safe", pure=True).load((folder / SEARCH_SPACE).read_text()) or {}
    corpora = (start.record.get("corpus") for start in snapshot.ledger.starts)
    for fingerprint in dict.fromkeys(corpus["fingerprint"] for corpus in corpora if corpus):
        reason = loader.describe_leak(sweep.space.corpus or {}, corpus, folder.parent, other["corpus"], fingerprint)
        if reason:
            raise UserError(
                f"{what}: was trained on another corpus ({fingerprint}, here it is {corpus.fingerprint}): {reason}; "
                f"train it on this corpus, or name its file, {path}, if you know better"
            )
