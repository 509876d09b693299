"""The outboxes in the home of trials that run elsewhere: the driver appends each row that is reported."""

from __future__ import annotations

from pathlib import Path

from orchestrator.state.orphaned_folders import identity_line
from orchestrator.state.paths import OUTBOX, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.storage import json_lines
from orchestrator.storage.json_lines import Line


class HomeOutboxes:
    """Keeps the outbox of each trial open while it runs, because opening one reads all of it."""

    def __init__(self, folder: Path) -> None:
        """Open none yet.

        Args:
            folder: the sweep's folder.
        """
        self._folder = folder
        self._logs: dict[int, json_lines.Log] = {}

    def append(self, trial: Trial, row: Line) -> None:
        """Append a row to the outbox in the home, as the worker has to the one on its machine."""
        log = self._logs.get(trial.number)
        if log is None:
            log = self._logs[trial.number] = json_lines.Log(trial_folder(self._folder, trial.number) / OUTBOX)
            if not log.take_lines() and trial.id:
                log.append(identity_line(trial.id, trial.number), sync=False)
        log.append(row)

    def close(self, trial: Trial) -> None:
        """Close the outbox of a trial that does not run any more."""
        if (log := self._logs.pop(trial.number, None)) is not None:
            log.close()
