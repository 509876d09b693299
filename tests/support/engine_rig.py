"""An engine, and hands that do what Ray would; everything else is real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.driver.callbacks import Callbacks
from orchestrator.driver.controller import Engine
from orchestrator.driver.tasks import make_spec
from orchestrator.exchange.driver_side import Exchange
from orchestrator.exchange.no_exchange import SharedHome
from orchestrator.policy.agenda import Agenda, Task
from orchestrator.policy.pruning import Rungs
from orchestrator.policy.reuse import ReusableTrials
from orchestrator.policy.trial_key import make_key
from orchestrator.search_space.reader import Sweep
from orchestrator.state.disk import Space
from orchestrator.state.trial import Trial
from orchestrator.worker.failure import TrialFailure
from tests.support.driving import ledger_of, put_row

ENVIRONMENT = "environment"
"""That of every rig."""


class Wrapped(Exception):
    """As Ray hands on what a worker raised."""

    def __init__(self, cause: TrialFailure) -> None:
        self.cause = cause


class EngineRig:
    """An engine of a sweep in a folder."""

    def __init__(
        self,
        sweep: Sweep,
        folder: Path,
        *,
        code: str = "code",
        is_alive: bool = True,
        grows: bool = True,
        storage: str = "",
    ):
        self.folder = folder
        self.sweep = sweep
        self.said: list[str] = []
        self.notes: dict[str, Any] = {}
        self.ledger = ledger_of(sweep, folder)
        self.agenda = Agenda(sweep, self.ledger, evaluates=False, code=code)
        self.ended_workers = 0
        self.tasks: dict[int, str] = {}
        self.left_out: dict[str, str] = {}
        self.gone: set[str] = set()
        self.leaving: set[str] = set()
        files = self._open_files(storage)
        callbacks = Callbacks(
            make_key=self._make_key,
            make_config=lambda task: {"trial": task.trial.number, "share": task.trial.share},
            can_grow=lambda trial: grows,
            is_ray_alive=lambda: is_alive,
            end_workers=self._end_workers,
            say=self.said.append,
            update_note=self.notes.update,
            explain_loss=lambda machine: f"its machine {machine} is gone" if machine in self.gone else "",
            leave_out=self._leave_out,
            is_leaving=lambda machine: machine in self.leaving,
            files=files,
            share_files=lambda task: self._share(files, task),
        )
        self.space = Space(folder, 0)
        links = ReusableTrials.find(sweep, folder.parent, self.ledger, ENVIRONMENT)
        self.engine = Engine(self.agenda, self.ledger, Rungs(sweep, self.ledger), links, self.space, callbacks)

    def _open_files(self, storage: str) -> SharedHome:
        if not storage:
            return SharedHome()
        return Exchange(self.ledger, storage, "0001-abcd", self.said.append, lambda *place: "")

    def _share(self, files: SharedHome, task: Task) -> None:
        if isinstance(files, Exchange):
            files.share_files_of(task.trial, task.trial.params.values())

    def _make_key(self, task: Task) -> str:
        spec = make_spec(self.sweep, self.folder.parent, task.trial, gpu=0, threads=1)
        return make_key(replace(spec, max_epochs=task.max_epochs), self.sweep.declaration, ENVIRONMENT)

    def _leave_out(self, machine: str, reason: str) -> bool:
        self.left_out[machine] = reason
        return bool(machine)

    def _end_workers(self) -> None:
        self.ended_workers += 1

    def hand_out(self) -> Trial | None:
        """The next trial that is to be trained."""
        name = f"task {len(self.ledger.read_events())}"
        config = self.engine.suggest(name)
        if config is None:
            return None
        self.name = name
        trial = self.ledger.trials[config["trial"]]
        self.tasks[trial.number] = name
        return trial

    def epoch(self, trial: Trial, score: float | tuple[float, float] = 0.5, machine: str = "") -> bool:
        """A worker reports an epoch; whether its task is over."""
        row = put_row(self.folder, trial, score)
        task = self.tasks[trial.number]
        over = self.engine.handle_report(task, {"row": json.dumps(row), "remarks": "[]", "machine": machine})
        if over:
            self.engine.forget_task(task)
        return over

    def fails(self, failure: Exception | None) -> None:
        self.engine.handle_failure(self.name, failure)
        self.engine.forget_task(self.name)
