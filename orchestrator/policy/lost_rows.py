"""Epochs that a trial's outbox has lost, found again in its checkpoints."""

from __future__ import annotations

from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import CHECKPOINT, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker import outbox


def restore_rows(ledger: Ledger, trial: Trial) -> None:
    """Append the epochs to the outbox that follow its last one and that a checkpoint holds.

    Only without a gap: an epoch whose row is nowhere has to be trained again.
    """
    folder = trial_folder(ledger.folder, trial.number)
    if not (folder / CHECKPOINT).is_dir():
        return
    # It imports torch, which a driver that has lost nothing does not need for this.
    from orchestrator.worker.checkpoint import rows_kept

    with outbox.locked(folder, trial.number):
        lines = outbox.Outbox(folder, trial.number, trial.id, trial.since)
        for row in rows_kept(folder / CHECKPOINT, trial.since, trial.id):
            if row["epoch"] == lines.epochs + 1:
                lines.append(row)
                ledger.report(trial, row)
        lines.close()
