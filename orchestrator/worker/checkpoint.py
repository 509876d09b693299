"""A checkpoint: the trainable's state, every global random state, and the row of the epoch that it ends.

Files are replaced by one rename, and are synced before it, so that there is always a whole one; the one before it is
kept in case that the disk loses it all the same. They load with `weights_only`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from orchestrator.plugins.randomness import random_states
from orchestrator.state.paths import BEST, LAST, PREVIOUS
from orchestrator.storage import durable

VERSION = 1
"""Of what is in a file; one of another version is not read."""


class Unusable(Exception):
    """A checkpoint that can't be gone on from: cut short, or of another version."""


def save(folder: Path, state: Mapping[str, Any], row: Mapping[str, Any], *, best: bool, trial_id: str = "") -> None:
    """Replace the last checkpoint, and the best one too if this epoch is the best so far.

    Args:
        folder: where the trial's checkpoints are.
        state: the trainable's `state_dict()`.
        row: the outbox line of the epoch just ended, written after this.
        best: whether the epoch is the best so far; recorded, so that a kill between the two renames is made good.
        trial_id: tells the trial from any other that had its number.
    """
    durable.make_folder(folder)
    temporary = folder / "saving.tmp"
    # Through a file of Python's, whose error on a full disk says so; torch's own writer has several, and none does.
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
    """Give the last checkpoint a second name; both share one file on disk."""
    temporary = path.with_name("linking.tmp")
    temporary.unlink(missing_ok=True)
    os.link(path.with_name(LAST), temporary)
    os.replace(temporary, path)


def load(path: Path, device: str) -> dict[str, Any]:
    """A checkpoint, with its trainable's tensors on `device`.

    Raises:
        Unusable: it was cut short, or is of another version.
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


def load_newest(folder: Path, device: str, since: int, trial_id: str = "") -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that can be used, and what is wrong with newer ones, a line each.

    Args:
        folder: where the trial's checkpoints are.
        device: where its tensors go.
        since: the first attempt that counts; a checkpoint of one before it is none.
        trial_id: of the trial; a checkpoint of another one is not used.
    """
    wrong = []
    for name in (LAST, PREVIOUS, BEST):
        if (folder / name).exists():
            try:
                checkpoint = load(folder / name, device)
            except Unusable as error:
                wrong.append(str(error))
                continue
            if checkpoint.get("trial", "") != trial_id:
                wrong.append(f"{name} is of another trial of this number")
            elif checkpoint["row"]["attempt"] >= since:
                return checkpoint, wrong
    return None, wrong


def rows_kept(folder: Path, since: int, trial_id: str) -> list[dict[str, Any]]:
    """The outbox lines in a trial's checkpoints that can be used, in the order of their epochs."""
    rows: dict[int, dict[str, Any]] = {}
    for name in (BEST, PREVIOUS, LAST):
        with contextlib.suppress(Unusable):
            checkpoint = load(folder / name, "cpu") if (folder / name).exists() else {}
            if checkpoint.get("trial", "") == trial_id and checkpoint and checkpoint["row"]["attempt"] >= since:
                rows[checkpoint["row"]["epoch"]] = checkpoint["row"]
    return [rows[epoch] for epoch in sorted(rows)]
