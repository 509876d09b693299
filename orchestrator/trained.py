"""Settings that name a trained model: `audio_init: losses/7` is the best checkpoint of that trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import loader
from orchestrator.errors import UserError
from orchestrator.search_space import Sweep
from orchestrator.standing import find_trial
from orchestrator.trial import BEST, CHECKPOINT, trial_folder

TRIAL_NAME = re.compile(r"[^/\\]+/\d+")


def located(sweep: Sweep, settings: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """The settings of a trial with the files that they name; a relative path is relative to the search space.

    Raises:
        UserError: there is no such trial, or it has no checkpoint.
    """
    found = dict(settings)
    for name in loader.trained_models(sweep.trainable):
        given = str(found.get(name, ""))
        if TRIAL_NAME.fullmatch(given):
            found[name] = str(_checkpoint(home, name, given))
        elif loader.is_path(given):
            found[name] = str((sweep.path.parent / Path(given).expanduser()).resolve())
    return found


def _checkpoint(home: Path, name: str, given: str) -> Path:
    try:
        standing, trial = find_trial(home, given)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    path = trial_folder(standing.ledger.folder, trial.number) / CHECKPOINT / BEST
    if not path.exists():
        raise UserError(
            f"{name}: {given}: it has no checkpoint (deleted, or no epoch yet); name another trial of {standing.name}"
        )
    return path
