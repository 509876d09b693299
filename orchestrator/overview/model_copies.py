"""Copies of the trained models from which a sweep's trials begin: other sweeps may then change or delete theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.paths import BEST, CHECKPOINT, TRAINED_MODELS, trial_folder
from orchestrator.storage import durable
from orchestrator.storage.copies import link_file

DIGITS = 12
"""The digits of the content's digest in a file's name."""


def find_copy(folder: Path, reference: str) -> Path | None:
    """Return the copy that a sweep has of a referenced trial's best checkpoint; None if it has none.

    Args:
        folder: the sweep's folder.
        reference: the trial, such as `losses/7`.
    """
    name, number = _split(reference)
    return next((folder / TRAINED_MODELS / name).glob(f"{number}-*.pt"), None)


def copy_model(folder: Path, reference: str, checkpoint: Path) -> None:
    """Give a sweep its copy of a checkpoint: a second name for the file, which takes no space where the disk allows it.

    Args:
        folder: the sweep's folder.
        reference: the trial that has the checkpoint.
        checkpoint: the file; a process that saves another one replaces it, and does not write into it.
    """
    name, number = _split(reference)
    copies = folder / TRAINED_MODELS / name
    durable.make_folder(copies)
    temporary = copies / f"{number}.tmp"
    temporary.unlink(missing_ok=True)
    link_file(checkpoint, temporary)
    durable.sync_file(temporary)
    # The digest is that of the second name: the first one may be another file by now.
    temporary.rename(copies / f"{number}-{_digest(temporary)}.pt")
    durable.sync_folder(copies)


def check_copy(copy: Path) -> None:
    """Check that a copy still has the content that its name says.

    Raises:
        UserError: it was changed.
    """
    if _digest(copy) != copy.stem.partition("-")[2]:
        raise UserError(
            f"{copy}: has changed since trials of this sweep were initialized from it; put the file back, or start "
            "another sweep with --name"
        )


def find_originals(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of the original of each copied checkpoint in the settings of a trial, by the copy's path.

    Args:
        folder: the sweep's folder.
        settings: the settings, with copies as absolute paths.
    """
    originals = {}
    for value in settings.values():
        if isinstance(value, str) and Path(value).is_relative_to(folder / TRAINED_MODELS):
            number = int(Path(value).name.partition("-")[0])
            trial = trial_folder(folder.parent / Path(value).parent.name, number)
            originals[value] = str(trial / CHECKPOINT / BEST)
    return originals


def _split(reference: str) -> tuple[str, int]:
    name, _, number = reference.rpartition("/")
    return name, int(number)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
