"""Run a sweep: lock its folder, prepare what trials share, let Ray work through the agenda, close."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import cluster, follower, loader, provenance
from orchestrator.agenda import Agenda, Task
from orchestrator.errors import SweepStopped
from orchestrator.home import keep_search_space, locked, open_home
from orchestrator.ledger import Ledger, trial_folder
from orchestrator.signals import Interrupted, OnSignal, signals_raise
from orchestrator.trial_spec import TrialSpec
from orchestrator.typed import typed
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.console import Screen
    from orchestrator.search import Engine
    from orchestrator.search_space import Sweep
    from trainables.corpora.corpus import Corpus


def run_sweep(sweep: Sweep, home: Path, screen: Screen) -> Ledger:
    """Run a sweep to its end, or go on with it; a finished one is left as it is.

    Raises:
        UserError: the home, the corpus, the resources or the name can't be used.
        SweepStopped: it was interrupted, its disk is full, or Ray died; the same command goes on.
    """
    follower.check_tracking_uri(home)
    open_home(home)
    folder = home / sweep.name
    with locked(folder) as note:
        keep_search_space(folder, sweep)
        ledger = Ledger(folder)
        with signals_raise() as on_signal:
            _Driver(sweep, home, ledger, screen, note, on_signal).run()
    return ledger


class _Driver:
    def __init__(
        self, sweep: Sweep, home: Path, ledger: Ledger, screen: Screen, note: dict[str, Any], on_signal: OnSignal
    ) -> None:
        self.sweep = sweep
        self.home = home
        self.folder = home / sweep.name
        self.ledger = ledger
        self.screen = screen
        self.note = note
        self.on_signal = on_signal
        self.grants: dict[str, cluster.Grant] = {}

    def run(self) -> None:
        renders = self.sweep.trainable.render is not loader.Trainable.render
        agenda = Agenda(self.sweep, self.ledger, evaluates=renders)
        hours = self.sweep.space.budget.hours
        seconds_left = None if hours is None else hours * 3600 - self.ledger.seconds_run()
        following = follower.following(self.folder, self.screen.say)
        if agenda.done():
            self.screen.say(f"Sweep {self.sweep.name} is finished: nothing left to do.")
        elif seconds_left is not None and seconds_left <= 0:
            self.screen.say(self._hours_line())
        else:
            with following:
                self._run(agenda, seconds_left)
            return
        if follower.status(self.folder).get("backlog"):
            destination = follower.destination(self.home)
            told = next(event for event in reversed(self.ledger.log.events) if "tracking_uri" in event)
            if told["tracking_uri"] != destination["tracking_uri"]:
                self.ledger.write("redirected", **destination)
            with following:
                pass

    def _run(self, agenda: Agenda, seconds_left: float | None) -> None:
        space = self.sweep.space
        corpus = loader.open_corpus(space.corpus, self.home, self.screen.progress) if space.corpus else None
        for line in corpus.skipped if corpus else ():
            self.screen.say(f"Skipped: {line}")
        outcome, reason = words.OUTCOME_FAILED, ""
        with cluster.starting(self.folder / "driver.log") as (scratch, started):
            self.note.update(scratch=str(scratch))
            self._prepare(corpus)
            try:
                reason = self._work(agenda, seconds_left, scratch, started)
                outcome = words.OUTCOME_INTERRUPTED if reason else "finished"
            except SweepStopped as stopped:
                outcome, reason = words.OUTCOME_INTERRUPTED, str(stopped)
                raise
            except BaseException as error:
                reason = str(error)
                raise
            finally:
                with contextlib.suppress(OSError):
                    self.ledger.write("closed", outcome=outcome, reason=reason)
        if reason == self._hours_line():
            self.screen.say(reason)
        elif reason:
            raise (Interrupted if self.on_signal.seen else SweepStopped)(f"{reason}\n{self._resume_line()}")

    def _prepare(self, corpus: Corpus | None) -> None:
        """Prepare what trials share, and write down what this sweep runs on."""
        space = self.sweep.space
        prepared = loader.prepare(self.sweep.trainable, self.sweep.settings(), corpus, self.screen.progress)
        self.ledger.write(
            "started",
            sweep=self.sweep.name,
            search_space=space.name,
            objective={"metric": space.objective.metric, "mode": space.objective.mode},
            **follower.destination(self.home),
            compare=list(space.compare),
            git=provenance.git_state(self.sweep.path.parent),
            versions=provenance.versions(),
            corpus=corpus and {"name": corpus.name, "fingerprint": corpus.fingerprint},
            judge=prepared.judge,
            references=prepared.references,
            seed=space.seed,
            host=socket.gethostname(),
            pid=os.getpid(),
            command=typed(*sys.argv[1:]),
        )

    def _work(
        self, agenda: Agenda, seconds_left: float | None, scratch: Path, started: Callable[[], cluster.Capacity]
    ) -> str:
        """Let Ray work through the agenda; why it stopped early, or nothing."""
        # What the first question needs takes a second to import, which Ray's start has to spare.
        import orchestrator.studies  # noqa: F401

        self.screen.progress("starting Ray", 0, 1)
        capacity = started()
        self.on_signal.install()
        from orchestrator.pruning import Rungs
        from orchestrator.search import Engine

        self.screen.progress("starting Ray", 1, 1)
        self.grants, notes = cluster.grants(self.sweep, capacity)
        for line in (*notes, *(cluster.busy_gpus() if capacity.gpus else ())):
            self.screen.say(line)
        code = provenance.code_fingerprint(loader.source_files(self.sweep.trainable, self.sweep.space.components))
        engine = Engine(agenda, self.ledger, Rungs(self.sweep, self.ledger), self._config_of, code)
        self.on_signal.call = engine.stop
        timer = threading.Timer(seconds_left or 0, engine.stop, [self._hours_line()])
        timer.daemon = True
        if seconds_left is not None:
            timer.start()
        slots = cluster.slots(self.grants, capacity)
        try:
            with self.screen.live(self.sweep, self.ledger, slots, self.folder):
                self._fit(engine, scratch, slots)
        finally:
            timer.cancel()
            self.on_signal.call = None
        if engine.stopping.is_set():
            return engine.stop_reason
        if not agenda.done():
            raise SweepStopped(
                f"Ray ended before the sweep did; see {self.folder / 'driver.log'}\n{self._resume_line()}"
            )
        return ""

    def _fit(self, engine: Engine, scratch: Path, slots: int) -> None:
        from ray import tune

        from orchestrator.search import ReportScheduler, StopWhenAsked, TaskSearcher
        from orchestrator.worker import Worker

        tuner = tune.Tuner(
            tune.with_resources(Worker, lambda config: tune.PlacementGroupFactory([config["resources"]])),
            tune_config=tune.TuneConfig(
                search_alg=TaskSearcher(engine),
                scheduler=ReportScheduler(engine),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=self.sweep.name,
                storage_path=str(scratch / "tune"),
                failure_config=tune.FailureConfig(max_failures=0),
                # Trials save themselves, and an actor without `save_checkpoint` counts as failed at its end.
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                stop=StopWhenAsked(engine),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except Exception as error:
            logging.getLogger("ray").error("fit() raised\n%s", traceback.format_exc())
            if not engine.stopping.is_set():
                last = str(error).strip().splitlines()[-1]
                raise SweepStopped(
                    f"Ray stopped: {last} (see {self.folder / 'driver.log'})\n{self._resume_line()}"
                ) from None

    def _config_of(self, task: Task) -> dict[str, Any]:
        """A task as plain values for a worker."""
        trial, space, grant = task.trial, self.sweep.space, self.grants[task.trial.arm]
        spec = TrialSpec(
            number=trial.number,
            folder=str(trial_folder(self.folder, trial.number)),
            home=str(self.home),
            trainable=space.trainable,
            trainable_folder=str(self.sweep.path.parent),
            components=tuple(map(str, space.components)),
            config=loader.config_values(self.sweep.trainable, trial.params),
            corpus=dict(space.corpus) if space.corpus else None,
            seed=trial.seed,
            attempt=trial.attempts,
            objective=space.objective.metric,
            mode=space.objective.mode,
            clips=space.media.clips,
            media_epochs=tuple(epoch for epoch in space.media.epochs if isinstance(epoch, int)),
            gpu=grant.gpus,
            threads=grant.threads,
            minutes_per_epoch=space.limits.minutes_per_epoch,
        )
        if task.kind == "evaluate" and trial.stage == words.STAGE_CONFIRM:
            spec = replace(spec, splits=("test",))
        return {"kind": task.kind, "spec": asdict(spec), "resources": {"CPU": grant.cpus, "GPU": grant.gpus}}

    def _hours_line(self) -> str:
        return (
            f"Sweep {self.sweep.name} has spent its budget.hours of {self.sweep.space.budget.hours or 0:g}; "
            "--set budget.hours=… gives it more."
        )

    def _resume_line(self) -> str:
        return f"Nothing that was recorded is lost. Go on with: {typed(*sys.argv[1:])}"
