"""Folders that belong to no trial of the sweep log: they are moved away, so that no trial continues from them.

They exist where a log was restored from a backup or lost its end in a power cut. New trials then get the numbers of the
lost ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.state.paths import OUTBOX
from orchestrator.state.timekeeper import now_ms
from orchestrator.storage import durable, json_lines

SET_ASIDE = "set_aside"
"""In a sweep's folder: the folder to which they are moved."""


def identity_line(trial_id: str, number: int) -> json_lines.Line:
    """Return the first line of an outbox, which identifies its trial."""
    return {"trial": number, "id": trial_id}


def identity_in(lines: list[json_lines.Line]) -> str | None:
    """Return the id of the trial that an outbox belongs to.

    Args:
        lines: the outbox, or its first line.

    Returns:
        None for an empty outbox; "" for one that was written before trials had ids.
    """
    if not lines:
        return None
    return str(lines[0]["id"]) if "epoch" not in lines[0] else ""


def set_foreign_folders_aside(sweep_folder: Path, ids: Mapping[int, str]) -> list[str]:
    """Move the folders that belong to no trial of the log to `SET_ASIDE`.

    Args:
        sweep_folder: the sweep's folder; this process has to hold its lock.
        ids: the id of each trial of the log, by number.

    Returns:
        A message for each folder that was moved, with the reason.
    """
    trials = sweep_folder / "trials"
    if not trials.is_dir():
        return []
    remarks = []
    for folder in sorted(trials.iterdir()):
        if not folder.name.isdecimal():
            continue
        why = _why_foreign(folder, ids)
        if why:
            target = sweep_folder / SET_ASIDE / f"{folder.name}-{now_ms()}"
            durable.make_folder(target.parent)
            folder.rename(target)
            durable.sync_folder(trials)
            remarks.append(f"{folder}: {why}; it was set aside as {target} and is not used.")
    return remarks


def _why_foreign(folder: Path, ids: Mapping[int, str]) -> str:
    """Return why a folder belongs to no trial of the log; "" if it belongs to one or is empty."""
    number = int(folder.name)
    if number not in ids:
        return "the sweep log has no such trial" if any(folder.iterdir()) else ""
    identity = identity_in(json_lines.read_first(folder / OUTBOX))
    if identity is None or identity == ids[number]:
        return ""
    return f"it is of another trial {number} than the one in the sweep log"
