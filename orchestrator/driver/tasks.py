"""A task as a worker needs it: what the trial is, where it stands, and what it gets of the machine."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.driver import cluster
from orchestrator.overview.trial_reference import resolve_trained_models
from orchestrator.plugins import loader
from orchestrator.state.paths import trial_folder
from orchestrator.worker.spec import TrialSpec
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.policy.agenda import Task
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.trial import Trial


def spec_of(sweep: Sweep, home: Path, trial: Trial, *, gpu: float, threads: int) -> TrialSpec:
    """A trial as plain values, with its share of a graphics card and its threads."""
    space = sweep.space
    return TrialSpec(
        number=trial.number,
        id=trial.id,
        folder=str(trial_folder(home / sweep.name, trial.number)),
        home=str(home),
        trainable=space.trainable,
        trainable_folder=str(sweep.path.parent),
        components=tuple(map(str, space.components)),
        config=resolve_trained_models(sweep, loader.config_values(sweep.trainable, trial.params), home),
        corpus=dict(space.corpus) if space.corpus else None,
        seed=trial.seed,
        attempt=trial.attempts,
        since=trial.since,
        known=trial.epochs,
        objective=space.objective.metric,
        mode=space.objective.mode,
        clips=space.media.clips,
        media_epochs=tuple(epoch for epoch in space.media.epochs if isinstance(epoch, int)),
        gpu=gpu,
        threads=threads,
        minutes_per_epoch=space.limits.minutes_per_epoch,
        blowup=space.limits.blowup,
        collapsed_epochs=space.limits.collapsed_epochs,
    )


class Tasks:
    """Turns tasks into plain values, with what the cluster can give each arm."""

    def __init__(self, sweep: Sweep, home: Path, capacity: cluster.Capacity, token: str = "") -> None:
        """Args:
        sweep: whose tasks they are.
        home: the folder of all sweeps.
        capacity: what the cluster has.
        token: by which a worker knows that it sees the home; empty where that is certain.

        Raises:
        UserError: a GPU is required where there is none, or more are asked for than there are.
        """
        self._sweep = sweep
        self._home = home
        self._capacity = capacity
        self._token = token
        self._grants, self.notes = cluster.grants(sweep, capacity)

    @property
    def slots(self) -> int:
        """How many can run at once."""
        return cluster.slots(self._grants, self._capacity)

    def can_grow(self, trial: Trial) -> bool:
        """Whether there is more for a trial than it has."""
        now, grown = (
            self._grants[trial.arm].times(factor, self._capacity) for factor in (trial.share, 2 * trial.share)
        )
        return grown != now

    def config_of(self, task: Task) -> dict[str, Any]:
        """A task as Ray carries it to a worker."""
        trial, space = task.trial, self._sweep.space
        grant = self._grants[trial.arm].times(trial.share, self._capacity)
        # Of the arm, not of the trial: with other threads sums would be taken in another order.
        spec = spec_of(self._sweep, self._home, trial, gpu=grant.gpus, threads=self._grants[trial.arm].threads)
        # Where nothing is searched, nothing was chosen by what validation said: every trial counts as confirmed.
        is_final = space.budget.seeds is not None and trial.outcome == words.OUTCOME_COMPLETED
        spec = replace(spec, token=self._token)
        if task.kind == "evaluate" and (is_final or trial.stage == words.STAGE_CONFIRM):
            spec = replace(spec, splits=("test",))
        if task.kind == "evaluate" and trial.outcome == words.OUTCOME_COMPLETED:
            spec = replace(spec, renderings=tuple(self._sweep.renderings))
        return {"kind": task.kind, "spec": asdict(spec), "resources": {"CPU": grant.cpus, "GPU": grant.gpus}}
