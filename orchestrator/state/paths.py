"""The names of the files in a sweep's folder.

The truth is in `SWEEP_LOG`, and in the `OUTBOX` and the `CHECKPOINT` of each trial: no result needs another file.
"""

from __future__ import annotations

from pathlib import Path

SWEEP_LOG = "sweep.jsonl"
"""The events of the sweep, in the order in which they happened."""
OUTBOX = "outbox.jsonl"
"""In a trial's folder: one line per epoch, written by its worker."""
TRIAL_LOG = "log.txt"
"""In a trial's folder: what its worker printed."""
TRY_NEXT = "try_next.jsonl"
"""In a sweep's folder: the configurations that `orchestrate try-next` has asked for."""
PREFERENCES = "preferences.json"
"""Strengths of trials from the votes of listeners, for the driver, which writes them to the log."""
REQUESTS = "requests.jsonl"
"""Requests of people to the driver, which it has not read yet."""
CONTROLS = "controls.json"
"""What requests have set for the sweep, written by the driver."""
NOTICES = "notices.jsonl"
"""In a sweep's folder: the notices to be sent, being sent, and those that have arrived. No address is in it."""
MEDIA = "media"
"""In a trial's folder: its sounds and pictures, a folder for each epoch that was rendered."""
CHECKPOINT = "checkpoint"
"""In a trial's folder: its checkpoints."""
RUN_FILE = "mlflow.json"
"""In the folder of a trial or a sweep: what MLflow has acknowledged of its run."""
TRAINABLE_FOLDER = "trainable"
"""In a trial's folder: files of the trainable's own."""
TRIALS = "trials"
"""In a sweep's folder: a folder for each trial."""
TRAINED_MODELS = "trained_models"
"""In a sweep's folder: its copies of trained models, named by sweep, trial and content: `losses/7-3fa9c1d2e4f5.pt`."""
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
"""The files in a trial's checkpoint folder."""


def trial_folder(sweep_folder: Path, number: int) -> Path:
    """Return the folder of a trial's outbox, checkpoints and media."""
    return sweep_folder / TRIALS / f"{number:04d}"
