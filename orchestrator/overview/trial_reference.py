"""Settings that name a trained model: `audio_init: losses/7` is the best checkpoint of that trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from orchestrator.errors import UserError
from orchestrator.overview.snapshot import Snapshot, find_trial
from orchestrator.plugins import loader
from orchestrator.search_space.reader import Sweep
from orchestrator.state.home import SEARCH_SPACE
from orchestrator.state.paths import BEST, CHECKPOINT, trial_folder

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

TRIAL_NAME = re.compile(r"[^/\\]+/\d+")
"""A sweep and the number of a trial: `losses/7`."""


def resolve_trained_models(
    sweep: Sweep, settings: Mapping[str, Any], home: Path, corpus: Corpus | None = None
) -> dict[str, Any]:
    """Return a trial's settings with the absolute path of a checkpoint for each reference to a trained model.

    Args:
        sweep: the sweep of the trial; relative paths are relative to its search space.
        settings: the settings of the trial.
        home: the folder of all sweeps.
        corpus: the corpus of the sweep; with it, a referenced trial must not have seen its held-out recordings.

    Raises:
        UserError: there is no such trial, it has no checkpoint, or it may have seen held-out recordings.
    """
    resolved_settings = dict(settings)
    for name in loader.trained_model_fields(sweep.declaration):
        reference = str(resolved_settings.get(name, ""))
        if TRIAL_NAME.fullmatch(reference):
            snapshot, path = _find_checkpoint(home, name, reference)
            if corpus is not None:
                _check_unseen(f"{name}: {reference}", sweep, corpus, snapshot, path)
            resolved_settings[name] = str(path)
        elif loader.is_path(reference):
            resolved_settings[name] = str((sweep.path.parent / Path(reference).expanduser()).resolve())
    return resolved_settings


def _find_checkpoint(home: Path, name: str, reference: str) -> tuple[Snapshot, Path]:
    """Return the sweep of a referenced trial, and the path of the trial's best checkpoint."""
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
    return snapshot, path


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
