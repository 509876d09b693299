"""Turn tasks into plain values for workers: the trial, its progress, and its resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.driver import grants
from orchestrator.machines.inventory import Capacity
from orchestrator.overview.model_copies import find_originals
from orchestrator.overview.trial_reference import resolve_trained_models
from orchestrator.plugins import loader
from orchestrator.policy import trial_key
from orchestrator.state.paths import trial_folder
from orchestrator.worker.spec import TrialSpec
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.exchange.driver_side import Exchange
    from orchestrator.machines.code_copy import CodeCopy
    from orchestrator.machines.watch import Machines
    from orchestrator.policy.agenda import Task
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.trial import Trial


def make_spec(sweep: Sweep, home: Path, trial: Trial, *, gpu: float, threads: int) -> TrialSpec:
    """Return a trial as plain values for a worker.

    Args:
        sweep: the sweep of the trial.
        home: the folder of all sweeps.
        trial: the trial.
        gpu: the number of GPUs that it gets, which may be a fraction.
        threads: the number of its threads.
    """
    space = sweep.space
    folder = home / sweep.name
    config = resolve_trained_models(sweep, loader.config_values(sweep.declaration, trial.params), home)
    return TrialSpec(
        number=trial.number,
        id=trial.id,
        origin_ids=trial.ids[1:],
        folder=str(trial_folder(folder, trial.number)),
        home=str(home),
        trainable=space.trainable_reference,
        trainable_folder=str(sweep.path.parent),
        components=tuple(map(str, sweep.components)),
        config=config,
        originals=find_originals(folder, config),
        corpus=dict(space.corpus) if space.corpus else None,
        judges=sweep.judges,
        metrics=space.metrics,
        seed=trial.seed,
        attempt=trial.attempts,
        since=trial.since,
        reported_epochs=trial.epochs,
        objective=space.objective.metric,
        mode=space.objective.mode,
        constraints=space.objective.plain_constraints(),
        clips=space.media.clips,
        media_epochs=tuple(epoch for epoch in space.media.epochs if isinstance(epoch, int)),
        gpu=gpu,
        threads=threads,
        minutes_per_epoch=space.limits.minutes_per_epoch,
        seconds_after_sigterm=space.limits.seconds_after_sigterm,
        blowup=space.limits.blowup,
        collapsed_epochs=space.limits.collapsed_epochs,
    )


class Tasks:
    """Turns tasks into plain values, with the resources of each arm on this cluster.

    Attributes:
        notes: a line for each arm that gets fewer resources than it requests.
    """

    def __init__(
        self,
        sweep: Sweep,
        home: Path,
        capacity: Capacity,
        token: str = "",
        versions: Mapping[str, str] | None = None,
        machines: Machines | None = None,
        code: CodeCopy | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        """Fit the requested resources to the cluster.

        Args:
            sweep: the sweep of the tasks.
            home: the folder of all sweeps.
            capacity: the machines of the cluster at the start.
            token: the content of a file by which a worker checks that it sees the home; empty for no check.
            versions: the driver's, which those of workers have to be; None for no check.
            machines: the machines as they come and go; None if they stay.
            code: the copy of the sweep's own code that trials run; None if they run it where it is.
            exchange: brings files to machines that do not share the home; None if all do.

        Raises:
            UserError: a GPU is required where there is none, or more are requested than there are.
        """
        self._sweep = sweep
        self._home = home
        self._first_capacity = capacity
        self._token = token
        self._versions = versions or {}
        self._machines = machines
        self._code = code
        self._exchange = exchange
        self._grants, self.notes = grants.grant_resources(sweep, capacity)

    @property
    def _capacity(self) -> Capacity:
        return self._machines.capacity if self._machines else self._first_capacity

    @property
    def slots(self) -> int:
        """The number of trials that can run at once; at least 1, which waits while no machine has room."""
        return max(1, grants.count_slots(self._grants, self._capacity))

    def can_grow(self, trial: Trial) -> bool:
        """Return whether the cluster can give a trial more resources than it has."""
        grant = self._grants[trial.arm]
        return grant.scale(2 * trial.share, self._capacity) != grant.scale(trial.share, self._capacity)

    def count_gpus(self, trials: Iterable[Trial]) -> float:
        """Return the number of GPUs that trials hold; some of them may still wait for theirs."""
        capacity = self._capacity
        held = sum(self._grants[trial.arm].scale(trial.share, capacity).gpus for trial in trials)
        return min(held, capacity.gpus)

    def make_key(self, task: Task, environment: str) -> str:
        """Return what the training of a task depends on; see `policy.trial_key`."""
        trial = task.trial
        gpus, threads = self._scale_grant(trial).gpus, self._grants[trial.arm].threads
        spec = make_spec(self._sweep, self._home, trial, gpu=gpus, threads=threads)
        return trial_key.make_key(replace(spec, max_epochs=task.max_epochs), self._sweep.declaration, environment)

    def _scale_grant(self, trial: Trial) -> grants.Grant:
        """Return the resources of a trial, which may have grown."""
        return self._grants[trial.arm].scale(trial.share, self._capacity)

    def _find_stored_epochs(self, task: Task) -> tuple[int, ...]:
        """Return the epochs with which a trial may end, if no evaluation follows that could train a lost one again."""
        if self._sweep.declaration.is_evaluated() or task.max_epochs is None:
            return ()
        pruning = self._sweep.space.pruning if task.trial.stage == words.STAGE_SEARCH else None
        epochs = range(1, task.max_epochs + 1)
        return tuple(epoch for epoch in epochs if epoch == task.max_epochs or (pruning and pruning.is_rung(epoch)))

    def share_files(self, task: Task) -> None:
        """Write what only this task needs to the store, where machines do not share the home; before `make_config`.

        Raises:
            StoreError: the store could not be written.
            OSError: the disk of the store is full.
        """
        if self._exchange is not None:
            trial = task.trial
            config = loader.config_values(self._sweep.declaration, trial.params)
            models = resolve_trained_models(self._sweep, config, self._home)
            self._exchange.share_files_of(trial, models.values())

    def make_config(self, task: Task) -> dict[str, Any]:
        """Return a task as the configuration for a worker: `kind`, `spec`, `resources`, and `labels` of a machine."""
        trial, space = task.trial, self._sweep.space
        grant = self._scale_grant(trial)
        # The threads are those of the arm, not of a trial that has grown: their number changes the order in which
        # floats are summed, and with it the results.
        spec = make_spec(self._sweep, self._home, trial, gpu=grant.gpus, threads=self._grants[trial.arm].threads)
        # Trials of `budget.seeds` were not selected by validation metrics, so that the test split may evaluate all.
        is_final = space.budget.seeds is not None and trial.outcome == words.OUTCOME_COMPLETED
        spec = replace(spec, token=self._token, versions=self._versions, max_epochs=task.max_epochs)
        if task.kind == "evaluate" and (is_final or trial.stage == words.STAGE_CONFIRM):
            spec = replace(spec, splits=("test",))
        if task.kind == "evaluate" and trial.outcome == words.OUTCOME_COMPLETED:
            spec = replace(spec, renderings=tuple(self._sweep.renderings))
        if self._machines is not None:
            spec = replace(spec, looked_at=self._machines.looked_at, files=self._machines.required_files)
        if self._code is not None:
            spec = replace(
                spec,
                trainable=self._code.move_trainable(spec.trainable),
                trainable_folder=self._code.move(spec.trainable_folder),
                components=tuple(map(self._code.move, spec.components)),
                judges=tuple(map(self._code.move_judge, spec.judges)),
            )
        if self._exchange is not None:
            spec = replace(
                spec,
                storage=self._exchange.fields(is_evaluation=task.kind == "evaluate"),
                prepared=self._exchange.prepared,
                last_row=self._exchange.read_last_row(trial),
                stored_epochs=self._find_stored_epochs(task),
            )
        labels = self._machines.selector() if self._machines else {}
        return {"kind": task.kind, "spec": asdict(spec), "resources": grant.as_bundle(), "labels": labels}
