"""Recovery of epochs that a trial's outbox has lost, from the trial's checkpoints."""

from __future__ import annotations

from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import CHECKPOINT, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker import outbox


def restore_rows(ledger: Ledger, trial: Trial) -> None:
    """Append epochs that only the checkpoints have to a trial's outbox and report them to the ledger.

    It stops at the first gap: an epoch whose row is in no checkpoint has to be trained again, and so do later ones.

    Args:
        ledger: the state of the sweep.
        trial: the trial whose outbox has lost lines.
    """
    folder = trial_folder(ledger.folder, trial.number)
    if not (folder / CHECKPOINT).is_dir():
        return
    # It imports torch, which takes long and is not needed where nothing was lost.
    from orchestrator.worker.checkpoint import load_rows

    with outbox.lock_trial(folder, trial.number):
        writer = outbox.Outbox(folder, trial.number, trial.id, trial.since)
        for row in load_rows(folder / CHECKPOINT, trial.since, trial.ids):
            if row["epoch"] == writer.epochs + 1:
                writer.append(row)
                ledger.report(trial, row)
        writer.close()
