"""Ray's view of the engine: a Searcher that hands out tasks and a scheduler that takes reports."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from orchestrator.driver.controller import Engine
from orchestrator.worker.actor import Worker


class TaskSearcher(Searcher):  # type: ignore[misc]
    """Hands out the agenda's tasks."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        suggestion = self.engine.suggest(trial_id)
        if suggestion is None and not self.engine.live and not self.engine.is_waiting():
            # With nothing live nothing will ever change, and Tune would wait for ever.
            return str(Searcher.FINISHED)
        return suggestion

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.engine.over(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the sweep log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the sweep log is the state."""


class ReportScheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes each report on, and stops what has ended."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        over = self.engine.report(trial.trial_id, result)
        return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        self.engine.failed(trial.trial_id, _error_of(trial))


def _error_of(trial: RayTrial) -> BaseException | None:
    # Ray's own reader looks in the storage folder, where the file arrives later than this call.
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return None
    error: BaseException = pickle.loads(Path(path).read_bytes())
    return error


class StopWhenAsked(Stopper):  # type: ignore[misc]
    """Ends the experiment when the engine is stopping."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.engine.is_over()


def fit(engine: Engine, name: str, scratch: Path, slots: int) -> None:
    """Let Ray Tune work through what the engine hands out; it retries nothing and remembers nothing."""
    tune.Tuner(
        tune.with_resources(Worker, lambda config: tune.PlacementGroupFactory([config["resources"]])),
        tune_config=tune.TuneConfig(
            search_alg=TaskSearcher(engine),
            scheduler=ReportScheduler(engine),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(scratch / "tune"),
            failure_config=tune.FailureConfig(max_failures=0),
            # Trials save themselves, and an actor without `save_checkpoint` counts as failed at its end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            stop=StopWhenAsked(engine),
            verbose=0,
        ),
    ).fit()
