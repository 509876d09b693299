"""Connect the engine to Ray Tune: its searcher returns tasks, its scheduler passes reports on."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.stopper import Stopper

from orchestrator.driver.controller import Engine
from orchestrator.machines.address import cluster_address
from orchestrator.machines.metrics import SweepMetrics
from orchestrator.worker.actor import Worker

TURN_S = 1
"""The length of a turn of Tune's loop while the sweep pauses."""


class TaskSearcher(Searcher):  # type: ignore[misc]
    """A searcher whose suggestions are the engine's tasks; a trial of Ray is one task."""

    def __init__(self, engine: Engine) -> None:
        """Suggest the tasks of an engine."""
        super().__init__()
        self.engine = engine

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next task, None if there is none now, or `FINISHED` if there will be none."""
        suggestion = self.engine.suggest(trial_id)
        if suggestion is None and not self.engine.live and not self.engine.is_waiting():
            # While no task runs, no report can bring a new one, and Tune would wait forever.
            return str(Searcher.FINISHED)
        return suggestion

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Forget a task that Ray has ended, after an error too."""
        self.engine.forget_task(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the sweep log has the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the sweep log has the state."""


class ReportScheduler(FIFOScheduler):  # type: ignore[misc]
    """A scheduler that passes reports to the engine and stops the tasks that are over."""

    def __init__(self, engine: Engine) -> None:
        """Pass reports to an engine."""
        super().__init__()
        self.engine = engine

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Return whether Ray stops or continues a task after its report."""
        is_over = self.engine.handle_report(trial.trial_id, result)
        # Tune keeps one actor for a task that may update_each_turn, which would hold its GPU while the sweep pauses.
        # The argument is a wrapper, on which an attribute would be set without an effect.
        tune_controller._tune_controller._reuse_actors = not self.engine.is_waiting()
        return str(TrialScheduler.STOP if is_over else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> None:
        """Drop Ray's statistics of a task that has ended."""
        _drop_statistics(trial)

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """Pass the error of a task to the engine."""
        self.engine.handle_failure(trial.trial_id, _read_error(trial))
        _drop_statistics(trial)


def _drop_statistics(trial: RayTrial) -> None:
    """Drop mean, minimum and maximum of all that a task reported: Ray keeps 12 kB of them for each task."""
    trial.metric_analysis.clear()
    trial.metric_n_steps.clear()


def _read_error(trial: RayTrial) -> BaseException | None:
    """Return the exception that ended a task; None if its process died without one."""
    # Ray's own reader looks in the storage folder, where the file arrives only after this call.
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return None
    error: BaseException = pickle.loads(Path(path).read_bytes())
    return error


class EngineStopper(Stopper):  # type: ignore[misc]
    """A stopper that ends the experiment when the engine has stopped; Tune asks it in each turn of its loop."""

    def __init__(self, engine: Engine, in_each_turn: Callable[[], None]) -> None:
        """Stop together with an engine.

        Args:
            engine: the engine.
            in_each_turn: is called in each turn before the engine is asked.
        """
        self.engine = engine
        self.in_each_turn = in_each_turn

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: the scheduler stops single tasks."""
        return False

    def stop_all(self) -> bool:
        """Return whether the experiment ends now."""
        self.in_each_turn()
        return self.engine.is_over()

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles it into a snapshot that nothing reads.
        return {}


@functools.cache
def _request(labels: tuple[tuple[str, str], ...], **resources: float) -> tune.PlacementGroupFactory:
    """Return the request of a task for resources; the same object for equal ones, because each takes 5 kB.

    Args:
        labels: labels that the machine has to have.
        resources: amounts by name.
    """
    options = {"bundle_label_selector": [dict(labels)]} if labels else {}
    return tune.PlacementGroupFactory([resources], **options)


def use_started_workers() -> None:
    """Let Tune's first actors use the idle processes that Ray has started while the driver was busy.

    Tune sets environment variables of its own for its actors, and Ray starts another process for everything that has
    some. A cluster's processes need them; those of a Ray that this process started inherit `cluster.ENVIRONMENT`.
    """
    if cluster_address() is None:
        class_cache.DEFAULT_ENV_VARS = {}
        class_cache.ENV_VARS_TO_PROPAGATE = set()


def run_tasks(
    engine: Engine, name: str, scratch: Path, count_slots: Callable[[], int], measure: Callable[[], None]
) -> None:
    """Let Ray Tune execute the engine's tasks until there are no more.

    Ray retries nothing and restores nothing: the engine decides both.

    Args:
        engine: returns tasks and takes reports.
        name: the name of the sweep.
        scratch: a temporary folder for Ray's own files.
        count_slots: returns the number of tasks that run at once; it follows machines that come and go.
        measure: is called in each turn of Tune's loop.
    """
    metrics = SweepMetrics(engine.ledger, count_slots, lambda: len(engine.live), engine.is_waiting)

    def update_each_turn() -> None:
        searcher.set_max_concurrency(count_slots())
        measure()
        metrics.look()

    use_started_workers()
    # The default of `timeout`, which has no setting: while no task runs, Tune blocks for this long and ends no actor.
    TuneController._update_trial_queue.__defaults__ = (False, TURN_S)
    searcher = ConcurrencyLimiter(TaskSearcher(engine), max_concurrent=count_slots())
    tune.Tuner(
        tune.with_resources(Worker, lambda config: _request(tuple(config["labels"].items()), **config["resources"])),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=ReportScheduler(engine),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(scratch / "tune"),
            failure_config=tune.FailureConfig(max_failures=0),
            # Workers write checkpoints themselves; Ray would count an actor without `save_checkpoint` as failed.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            stop=EngineStopper(engine, update_each_turn),
            verbose=0,
        ),
    ).fit()
