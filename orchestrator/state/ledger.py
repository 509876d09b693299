"""The only writer of a sweep log: the state of the sweep, and the events that change it.

Every change is written to the sweep log before it is acted on. Opening a ledger rebuilds the state from the files
alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.state import event_lines
from orchestrator.state.curve import Objective, select_valid
from orchestrator.state.events.base import Event
from orchestrator.state.events.interruptions import Died, Displaced
from orchestrator.state.events.reopenings import Lost, Retried
from orchestrator.state.events.sweep import Granted, Redirected
from orchestrator.state.events.trials import Asked, Attempted, Decided, Ended, Evaluated, Linked
from orchestrator.state.origin import Origin
from orchestrator.state.orphaned_folders import set_foreign_folders_aside
from orchestrator.state.paths import OUTBOX, SWEEP_LOG, trial_folder
from orchestrator.state.sweep_state import Grant, SweepState
from orchestrator.state.trial import Rendering, Trial
from orchestrator.storage import durable, json_lines
from reports import vocabulary as words


class Ledger(SweepState):
    """The state of one sweep, rebuilt from its folder; the only writer of its log.

    Attributes:
        remarks: messages for the user about the folder, one line each.
    """

    def __init__(self, folder: Path, objective: Objective | None = None, *, read_only: bool = False) -> None:
        """Read the sweep log and the outboxes.

        Args:
            folder: the sweep's folder.
            objective: orders the trials; by default that of the last start.
            read_only: whether the log is only read, which is also possible while a driver writes it.
        """
        super().__init__(folder, objective)
        self.remarks: list[str] = []
        self._held: list[Event] | None = None
        self._log = None if read_only else json_lines.Log(folder / SWEEP_LOG)
        with json_lines.pause_collector():
            self._rebuild()

    def _rebuild(self) -> None:
        path = self.folder / SWEEP_LOG
        lines = self._log.take_lines() if self._log else json_lines.read(path)[0]
        for event in event_lines.parse_all(lines, path):
            event.apply(self)
        if self._log:
            ids = {trial.number: trial.id for trial in self.trials.values()}
            self.remarks += set_foreign_folders_aside(self.folder, ids)
        for trial in self.trials.values():
            self.take_rows(trial, json_lines.read(self._outbox(trial))[0])

    def _outbox(self, trial: Trial) -> Path:
        return trial_folder(self.folder, trial.number) / OUTBOX

    def hold(self) -> None:
        """Keep events in memory from now on, until `release` writes them or `discard` drops them."""
        self._held = []

    def release(self) -> None:
        """Write the events that were kept in memory."""
        held, self._held = self._held or [], None
        for event in held:
            self._append(event, sync=event is held[-1])

    def discard(self) -> None:
        """Drop the events that were kept in memory.

        The state keeps their effects, so that the ledger may only be read from now on.
        """
        self._held = None

    def _append(self, event: Event, *, sync: bool = True) -> None:
        assert self._log is not None, "opened read-only"
        self._log.append(event_lines.to_line(event), sync=sync)

    def write(self, event: Event, *, sync: bool = True) -> None:
        """Append an event to the log, then let it change the state."""
        if self._held is None:
            self._append(event, sync=sync)
        else:
            self._held.append(event)
        event.apply(self)

    def ask(self, **fields: Any) -> Trial:
        """Record a new trial with the next number; the fields are those of `Asked`."""
        number = len(self.trials) + 1
        # The event of its first attempt comes next, and syncs this line too, before anything is done with the trial.
        self.write(Asked(trial=number, id=uuid.uuid4().hex[:12], **fields), sync=False)
        return self.trials[number]

    def attempt(self, trial: Trial, code: str, key: str = "") -> None:
        """Record that a worker is about to continue a trial, on code with this fingerprint; `Attempted` has the key."""
        durable.make_folder(trial_folder(self.folder, trial.number))
        attempt = trial.attempts + 1
        self.write(Attempted(trial=trial.number, attempt=attempt, code=code, share=trial.share, key=key))

    def link(self, trial: Trial, origin: Origin, code: str, key: str) -> None:
        """Record that a trial has the epochs of another one, which are in its folder, and read them."""
        self.write(
            Linked(
                trial=trial.number,
                sweep=origin.sweep,
                number=origin.number,
                ids=list(origin.ids),
                run=origin.run,
                epochs=origin.epochs,
                code=code,
                key=key,
            )
        )
        self.take_rows(trial, json_lines.read(self._outbox(trial))[0])

    def report(self, trial: Trial, row: json_lines.Line) -> None:
        """Add an epoch that the worker has written to its outbox."""
        self.take_rows(trial, [row])

    def decide(self, trial: Trial, epoch: int) -> None:
        """Record that a trial may continue after this epoch."""
        self.write(Decided(trial=trial.number, epochs=epoch))

    def record_death(self, trial: Trial, cause: str, reason: str) -> None:
        """Record that the worker's process ended without an error of its own."""
        self.write(Died(trial=trial.number, epochs=trial.epochs, cause=cause, reason=reason))

    def displace(self, trial: Trial, reason: str) -> None:
        """Record that a trial has lost its machine or its process, by nothing that it did."""
        self.write(Displaced(trial=trial.number, epochs=trial.epochs, reason=reason))

    def end(
        self, trial: Trial, outcome: str, cause: str = words.CAUSE_NONE, reason: str = "", *, alike: str = ""
    ) -> None:
        """Record that a trial has ended; `alike` distinguishes the place of an error from others."""
        self.write(
            Ended(trial=trial.number, outcome=outcome, cause=cause, reason=reason, epochs=trial.epochs, alike=alike)
        )

    def lose(self, trial: Trial) -> None:
        """Record that the outbox has lost decided epochs: the trial continues after the newest one that is left."""
        self.write(Lost(trial=trial.number, epochs=trial.epochs))

    def retry(self, trial: Trial, reason: str, *, share: float | None = None, from_scratch: bool = False) -> None:
        """Record that a trial waits for another attempt, with `share` times its arm's resources."""
        share = trial.share if share is None else share
        self.write(Retried(trial=trial.number, reason=reason, share=share, from_scratch=from_scratch))

    def grant(self, arm: str, *, trials: int = 0, epochs: int = 0, hours: float = 0) -> None:
        """Record the budget of an arm (or, for hours, of the sweep: `""`) in all; it never shrinks."""
        before = self.granted.get(arm, Grant())
        self.write(
            Granted(
                arm=arm,
                trials=max(trials, before.trials),
                epochs=max(epochs, before.epochs),
                hours=max(hours, before.hours),
            )
        )

    def redirect(self, destination: Mapping[str, str | None]) -> None:
        """Record another MLflow for the sweep, by its `tracking_uri` and `artifact_root`.

        It is written at once, also while events are held: the process that sends to MLflow reads it at its start.
        """
        uri, root = destination["tracking_uri"], destination["artifact_root"]
        event = Redirected(tracking_uri=str(uri), artifact_root=root)
        self._append(event)
        event.apply(self)

    def evaluate(
        self,
        trial: Trial,
        metrics: Mapping[str, float],
        renderings: Sequence[Rendering] = (),
        error: str | None = None,
    ) -> None:
        """Record what the evaluation of a trial's best checkpoint measured, or the error that ended it."""
        self.write(Evaluated(trial=trial.number, metrics=dict(metrics), renderings=list(renderings), error=error))

    @property
    def destination(self) -> dict[str, Any]:
        """The MLflow that the sweep is sent to, as `tracking_uri` and `artifact_root`; empty before the first start."""
        keys = ("tracking_uri", "artifact_root") if self.started else ()
        return {key: self.started.get(key) for key in keys}

    def read_events(self) -> list[Event]:
        """Read every event of the sweep log from the disk."""
        return event_lines.read_events(self.folder / SWEEP_LOG)

    def read_rows(self, trial: Trial) -> list[json_lines.Line]:
        """Read every epoch of a trial, with all of its metrics, from the disk."""
        lines = json_lines.read(self._outbox(trial))[0]
        return [row for row in select_valid(lines, trial.since) if "diverged" not in row]
