"""Folders of trials that the sweep log does not know: they are set aside, so that no trial adopts them.

They are left where a log was put back from a backup, or lost its end in a power cut, and trials were asked for anew
under the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.state.events import now_ms
from orchestrator.state.paths import OUTBOX
from orchestrator.storage import durable, json_lines

SET_ASIDE = "set_aside"
"""In a sweep's folder: what belongs to none of its trials."""


def identity_line(trial_id: str, number: int) -> json_lines.Line:
    """The first line of an outbox: whose it is."""
    return {"trial": number, "id": trial_id}


def identity_in(lines: list[json_lines.Line]) -> str | None:
    """The id of the trial whose outbox this is, `""` of one before trials had ids; None of an empty one."""
    if not lines:
        return None
    return str(lines[0]["id"]) if "epoch" not in lines[0] else ""


def set_foreign_folders_aside(sweep_folder: Path, ids: Mapping[int, str]) -> list[str]:
    """Move the folders that belong to no trial of the log out of the way.

    Args:
        sweep_folder: whose only driver this process is.
        ids: of its trials, by number.

    Returns:
        What was moved, and why, a line each.
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
    number = int(folder.name)
    if number not in ids:
        return "the sweep log has no such trial" if any(folder.iterdir()) else ""
    identity = identity_in(json_lines.read_first(folder / OUTBOX))
    if identity is None or identity == ids[number]:
        return ""
    return f"it is of another trial {number} than the one in the sweep log"
