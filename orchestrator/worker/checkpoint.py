"""Checkpoints: the trainable's state, every global random state, and the outbox row of the epoch.

A file is synced and then replaces the old one by a rename, so that there is always a complete one. The one before it is
kept in case the disk loses the newest. Files load with `weights_only`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from orchestrator.plugins.randomness import random_states
from orchestrator.state.paths import BEST, LAST, PREVIOUS
from orchestrator.storage import durable

VERSION = 1
"""The version of the file format; a file of another version is not read."""


class Unusable(Exception):
    """A checkpoint that can't be loaded: cut short, or of another version."""


def save(folder: Path, state: Mapping[str, Any], row: Mapping[str, Any], *, best: bool, trial_id: str = "") -> None:
    """Replace the last checkpoint, and the best one too if this epoch is the best so far.

    Args:
        folder: the folder of the trial's checkpoints.
        state: the trainable's `state_dict()`.
        row: the outbox line of the epoch, which is written after this.
        best: whether the epoch is the best so far. The checkpoint contains it too: after a kill between the two
            renames, the next attempt replaces the best checkpoint.
        trial_id: distinguishes the trial from any other that had its number.

    Raises:
        OSError: the disk is full.
    """
    durable.make_folder(folder)
    temporary = folder / "saving.tmp"
    # Into a file object, because its error says that the disk is full; the errors of torch's own writer do not.
    with temporary.open("wb") as file:
        saved = {"version": VERSION, "state": dict(state), "random": random_states(), "row": dict(row), "best": best}
        torch.save(saved | {"trial": trial_id}, file)
        file.flush()
        os.fsync(file.fileno())
    if (folder / LAST).exists():
        _keep_last_as(folder / PREVIOUS)
    os.replace(temporary, folder / LAST)
    if best:
        keep_as_best(folder)
    durable.sync_folder(folder)


def keep_as_best(folder: Path) -> None:
    """Make the last checkpoint the best one."""
    _keep_last_as(folder / BEST)


def _keep_last_as(path: Path) -> None:
    """Make a hard link to the last checkpoint, which replaces the file at `path`."""
    temporary = path.with_name("linking.tmp")
    temporary.unlink(missing_ok=True)
    os.link(path.with_name(LAST), temporary)
    os.replace(temporary, path)


def load(path: Path, device: str) -> dict[str, Any]:
    """Return a checkpoint as a dict, with its tensors on `device`.

    Raises:
        Unusable: the file is cut short, or of another version.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        version = checkpoint.get("version")
    except Exception as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unusable(f"{path.name} can't be read ({what})") from error
    if version != VERSION:
        raise Unusable(f"{path.name} is of version {version}, this program reads {VERSION}")
    return checkpoint


def load_newest(
    folder: Path, device: str, since: int, trial_ids: Collection[str]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Load the newest checkpoint that can be used.

    Args:
        folder: the folder of the trial's checkpoints.
        device: the device of the loaded tensors.
        since: the first attempt that counts; a checkpoint of an earlier one is ignored.
        trial_ids: the ids that the trial's checkpoints may contain; a checkpoint of another trial is not used.

    Returns:
        The checkpoint, or None if none can be used; and a message about each newer one that can't be used.
    """
    wrong = []
    for name in (LAST, PREVIOUS, BEST):
        if (folder / name).exists():
            try:
                checkpoint = load(folder / name, device)
            except Unusable as error:
                wrong.append(str(error))
                continue
            if checkpoint.get("trial", "") not in trial_ids:
                wrong.append(f"{name} is of another trial of this number")
            elif checkpoint["row"]["attempt"] >= since:
                return checkpoint, wrong
    return None, wrong


def load_rows(folder: Path, since: int, trial_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the outbox rows in a trial's usable checkpoints, sorted by epoch.

    Args:
        folder: the folder of the trial's checkpoints.
        since: the first attempt that counts; checkpoints of earlier ones are ignored.
        trial_ids: the ids that the trial's checkpoints may contain; checkpoints of another trial are ignored.
    """
    rows: dict[int, dict[str, Any]] = {}
    for path in (folder / BEST, folder / PREVIOUS, folder / LAST):
        if not path.exists():
            continue
        with contextlib.suppress(Unusable):
            checkpoint = load(path, "cpu")
            if checkpoint.get("trial", "") in trial_ids and checkpoint["row"]["attempt"] >= since:
                rows[checkpoint["row"]["epoch"]] = checkpoint["row"]
    return [rows[epoch] for epoch in sorted(rows)]
