"""Who writes the files of a trial, and who reads them, where machines do not share the home."""

from __future__ import annotations

from orchestrator.state.paths import CHECKPOINT, OUTBOX, RUN_FILE, TRAINABLE_FOLDER

FETCHED = "fetched.json"
"""In a trial's folder in the home: the attempt of which everything was fetched after its end."""


def is_of_training(name: str) -> bool:
    """Return whether a file of a trial is needed to continue it, but not to look at it."""
    return name.split("/")[0] in (CHECKPOINT, TRAINABLE_FOLDER)


def is_of_home(name: str) -> bool:
    """Return whether the driver's machine itself writes a file of a trial."""
    return name in (OUTBOX, FETCHED) or name.endswith(RUN_FILE)
