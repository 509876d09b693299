"""Settings that name a trained model: `audio_init: losses/7` is the best checkpoint of that trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from orchestrator.errors import UserError
from orchestrator.overview.snapshot import Standing, find_trial
from orchestrator.plugins import loader
from orchestrator.search_space.reader import Sweep
from orchestrator.state.home import SEARCH_SPACE
from orchestrator.state.paths import BEST, CHECKPOINT, trial_folder

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

TRIAL_NAME = re.compile(r"[^/\\]+/\d+")


def located(sweep: Sweep, settings: Mapping[str, Any], home: Path, corpus: Corpus | None = None) -> dict[str, Any]:
    """The settings of a trial with the files that they name; a relative path is relative to the search space.

    Args:
        sweep: whose settings they are.
        settings: of one trial.
        home: the folder of all sweeps.
        corpus: of the sweep, to check that no trial that is named has learnt from what it holds out.

    Raises:
        UserError: there is no such trial, it has no checkpoint, or it may have seen held-out recordings.
    """
    located_settings = dict(settings)
    for name in loader.trained_models(sweep.trainable):
        reference = str(located_settings.get(name, ""))
        if TRIAL_NAME.fullmatch(reference):
            standing, path = _checkpoint(home, name, reference)
            if corpus is not None:
                _check_unseen(f"{name}: {reference}", sweep, corpus, standing, path)
            located_settings[name] = str(path)
        elif loader.is_path(reference):
            located_settings[name] = str((sweep.path.parent / Path(reference).expanduser()).resolve())
    return located_settings


def _checkpoint(home: Path, name: str, reference: str) -> tuple[Standing, Path]:
    try:
        standing, trial = find_trial(home, reference)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    path = trial_folder(standing.ledger.folder, trial.number) / CHECKPOINT / BEST
    if not path.exists():
        raise UserError(
            f"{name}: {reference}: it has no checkpoint (deleted, or no epoch yet); "
            f"name another trial of {standing.name}"
        )
    return standing, path


def _check_unseen(what: str, sweep: Sweep, corpus: Corpus, standing: Standing, path: Path) -> None:
    """Check that a trial of another sweep was neither trained nor selected on what this sweep's corpus holds out."""
    folder = standing.ledger.folder
    other: dict[str, Any] = YAML(typ="safe", pure=True).load((folder / SEARCH_SPACE).read_text()) or {}
    corpora = (start.record.get("corpus") for start in standing.ledger.starts)
    for fingerprint in dict.fromkeys(corpus["fingerprint"] for corpus in corpora if corpus):
        reason = loader.describe_leak(sweep.space.corpus or {}, corpus, folder.parent, other["corpus"], fingerprint)
        if reason:
            raise UserError(
                f"{what}: was trained on another corpus ({fingerprint}, here it is {corpus.fingerprint}): {reason}; "
                f"train it on this corpus, or name its file, {path}, if you know better"
            )
