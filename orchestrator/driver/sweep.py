"""Run a sweep: lock its folder, prepare what trials share, let Ray work through the agenda, close."""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import processor
from orchestrator.command_line import typed
from orchestrator.driver import cluster, provenance
from orchestrator.driver.signals import Interrupted, OnSignal, signals_kept
from orchestrator.errors import SweepStopped, UserError
from orchestrator.overview.trial_reference import resolve_trained_models
from orchestrator.plugins import loader
from orchestrator.policy.agenda import Agenda
from orchestrator.state import events
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.disk import check_free
from orchestrator.state.home import SEARCH_SPACE, home_option, keep_search_space, locked, open_home
from orchestrator.state.ledger import Ledger
from orchestrator.state.lock_note import LockNote
from orchestrator.state.paths import STOP_FILE, trial_folder
from orchestrator.state.sweep_state import FINISHED
from orchestrator.tracking import sender
from orchestrator.tracking.places import check_place
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.driver.controller import Engine
    from orchestrator.driver.restart import Takeover
    from orchestrator.driver.tasks import Tasks
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep
    from trainables.corpora.corpus import Corpus


SHORT_OF_MEMORY = "running low on memory"
"""What Ray says when a cluster's memory monitor, which only a Ray of our own has switched off, has killed a worker: it
ends everything for one trial, of which it does not say the name."""


def run_sweep(
    sweep: Sweep,
    home: Path,
    screen: Screen,
    *,
    resume_arguments: Sequence[str] | None = None,
    before: Callable[[Ledger], None] | None = None,
) -> Ledger:
    """Run a sweep to its end, or go on with it; a finished one is left as it is.

    Args:
        sweep: what is run.
        home: the folder of all sweeps.
        screen: where it is shown.
        resume_arguments: the arguments of `orchestrate` that go on with it once Ray has died; `resume NAME` by default,
            which does not read a file that somebody may have edited since.
        before: changes what is recorded, once nobody else can.

    Raises:
        UserError: the home, the corpus, the resources or the name can't be used.
        SweepStopped: it was interrupted, its disk is full, or Ray died; the same command goes on.
    """
    sender.check_tracking_uri(home)
    open_home(home)
    check_place(home)
    folder = home / sweep.name
    with locked(folder) as note:
        keep_search_space(folder, sweep)
        objective = sweep.space.objective
        ledger = Ledger(folder, Objective(objective.metric, objective.mode))
        for remark in ledger.remarks:
            screen.say(remark)
        if not ledger.is_restart:
            check_free(home, sweep.space.disk.min_free_gib)
            forget_stops(ledger)
        # Nothing counts before the sweep really goes on: what is refused can be asked for again.
        ledger.hold()
        if before:
            before(ledger)
        resume_arguments = resume_arguments or ["resume", sweep.name, "--home", str(home)]
        with signals_kept() as on_signal:
            _Driver(sweep, home, ledger, screen, note, on_signal, resume_arguments).run()
    return ledger


def forget_stops(ledger: Ledger) -> None:
    """Whoever goes on with a sweep goes on with the trials, too, that somebody had asked the last driver to stop."""
    for number in ledger.trials:
        (trial_folder(ledger.folder, number) / STOP_FILE).unlink(missing_ok=True)


class _Driver:
    def __init__(
        self,
        sweep: Sweep,
        home: Path,
        ledger: Ledger,
        screen: Screen,
        note: LockNote,
        on_signal: OnSignal,
        resume_arguments: Sequence[str],
    ) -> None:
        self.sweep = sweep
        self.home = home
        self.folder = home / sweep.name
        self.ledger = ledger
        self.screen = screen
        self.note = note
        self.on_signal = on_signal
        self.again = resume_arguments

    def run(self) -> None:
        files = loader.source_files(self.sweep.trainable, self.sweep.space.components)
        imported = loader.imported_files(self.sweep.trainable, self.sweep.space.components)
        code = provenance.code_fingerprint(files, imported)
        agenda = Agenda(self.sweep, self.ledger, evaluates=loader.can_be_evaluated(self.sweep.trainable), code=code)
        for remark in agenda.remarks:
            self.screen.say(remark)
        hours = Budget(self.sweep, self.ledger).hours
        seconds_left = None if hours is None else hours * 3600 - self.ledger.seconds_run()
        following = sender.following(self.folder, self.screen.say, lambda: bool(self.on_signal.reason))
        if agenda.done():
            self.ledger.release()
            if not self.ledger.is_finished:
                # Its driver was killed just before it wrote that down.
                self.ledger.write(events.Closed(outcome=FINISHED, reason="", late=True))
            self.screen.say(f"Sweep {self.sweep.name} is finished: nothing left to do.")
        elif seconds_left is not None and seconds_left <= 0:
            self.ledger.discard()
            self.screen.say(self._hours_line())
        else:
            loader.check_corpus(self.sweep.space.corpus)
            with following as all_is_written:
                self._run(agenda, seconds_left, all_is_written)
            return
        if sender.is_behind(self.folder):
            destination = sender.destination(self.home)
            if self.ledger.destination["tracking_uri"] != destination["tracking_uri"]:
                self.ledger.redirect(destination)
            with following:
                pass

    def _run(self, agenda: Agenda, seconds_left: float | None, all_is_written: Callable[[], None]) -> None:
        space = self.sweep.space
        corpus = loader.open_corpus(space.corpus, self.home, self._progress) if space.corpus else None
        for line in corpus.skipped if corpus else ():
            self.screen.say(f"Skipped: {line}")
        outcome, reason = words.OUTCOME_FAILED, ""
        with cluster.starting(self.folder / "driver.log") as (scratch, started):
            self.note.update(scratch=str(scratch))
            prepared = self._prepare(corpus)
            # What the first question needs takes a second to import, which Ray's start has to spare.
            import orchestrator.policy.suggestions  # noqa: F401

            tasks = self._start(started)
            self._write_start(prepared, corpus)
            try:
                reason = self._work(agenda, tasks, seconds_left, scratch)
                outcome = words.OUTCOME_INTERRUPTED if reason else FINISHED
            except SweepStopped as stopped:
                outcome, reason = words.OUTCOME_INTERRUPTED, str(stopped)
                raise
            except BaseException as error:
                reason = str(error)
                raise
            finally:
                with contextlib.suppress(OSError):
                    self.ledger.write(events.Closed(outcome=outcome, reason=reason))
                # While Ray shuts down, what is left goes to MLflow.
                all_is_written()
        if reason == self._hours_line():
            self.screen.say(reason)
        elif reason:
            raise (Interrupted if self.on_signal.reason else SweepStopped)(f"{reason}\n{self._resume_line()}")

    def _progress(self, what: str, done: int, total: int) -> None:
        """Show how far the preparation is, and let a signal end it."""
        self.on_signal.check()
        self.screen.progress(what, done, total)

    def _prepare(self, corpus: Corpus | None) -> loader.Prepared:
        """Prepare what trials share.

        Raises:
            UserError: the sweep's trials were judged by another judge.
        """
        # A sweep that has begun can't name other models any more: it may be finished.
        unseen_by = None if self.ledger.trials else corpus
        settings = [
            resolve_trained_models(self.sweep, trial_settings, self.home, unseen_by)
            for trial_settings in self.sweep.settings()
        ]
        prepared = loader.prepare(self.sweep.trainable, settings, corpus, self._progress)
        before = self.ledger.started.get("judge")
        if self.ledger.trials and before != prepared.judge:
            raise UserError(
                f"sweep {self.sweep.name} was judged by {before}, the judge is now {prepared.judge} (the corpus or "
                "orchestrate is another one): their values can't be compared; start another sweep with --name"
            )
        return prepared

    def _start(self, started: Callable[[], cluster.Capacity]) -> Tasks:
        """Wait for Ray, and see what trials can be given there.

        Raises:
            UserError: it has not what they need, or one of its machines does not see the home.
        """
        from orchestrator.driver.tasks import Tasks
        from orchestrator.worker.shared_home import check_home_is_shared

        self.screen.progress("starting Ray", 0, 1)
        capacity = started()
        self.on_signal.install()
        self.on_signal.check()
        token = check_home_is_shared(self.folder)
        self.screen.progress("starting Ray", 1, 1)
        tasks = Tasks(self.sweep, self.home, capacity, token)
        for line in (*tasks.notes, *(cluster.busy_gpus() if capacity.gpus else ())):
            self.screen.say(line)
        has_own_code = self.sweep.space.components or not self.sweep.trainable.__module__.startswith("trainables.")
        if has_own_code and (problem := processor.known_problem()):
            self.screen.say(problem)
        return tasks

    def _write_start(self, prepared: loader.Prepared, corpus: Corpus | None) -> None:
        """Write down that the sweep goes on, with what was added to it, and what it runs on."""
        self.ledger.release()
        path = self.sweep.path.resolve()
        file = path if path != self.folder / SEARCH_SPACE else Path(self.ledger.started.get("file", path))
        budget, destination = Budget(self.sweep, self.ledger), sender.destination(self.home)
        record = provenance.record(self.sweep, budget, prepared, corpus, file, self.ledger.read_events())
        self.ledger.write(events.Started(record={**record, **destination}))

    def _work(self, agenda: Agenda, tasks: Tasks, seconds_left: float | None, scratch: Path) -> str:
        """Let Ray work through the agenda; why it stopped early, or nothing."""
        from orchestrator.driver.controller import Engine, Surroundings
        from orchestrator.driver.ray_watch import RayDaemons
        from orchestrator.driver.restart import Takeover
        from orchestrator.policy.pruning import Rungs
        from orchestrator.state.disk import Space

        daemons = RayDaemons()
        engine = Engine(
            agenda,
            self.ledger,
            Rungs(self.sweep, self.ledger),
            Space(self.folder, self.sweep.space.disk.min_free_gib),
            Surroundings(
                tasks.config_of,
                tasks.can_grow,
                daemons.are_alive,
                daemons.end_workers,
                self.screen.say,
                self.note.update,
            ),
        )
        takeover = Takeover(
            self.ledger, self.screen, self.on_signal, self.again, self._resume_line(), scratch, self.note
        )
        timer = threading.Timer(seconds_left or 0, engine.stop, [self._hours_line()])
        timer.daemon = True
        if seconds_left is not None:
            timer.start()
        try:
            with (
                self.on_signal.told_to(engine.stop),
                self.screen.show_live(self.sweep, self.ledger, tasks.slots, self.folder),
                daemons.watched(takeover),
            ):
                self._fit(engine, scratch, tasks.slots, takeover)
        finally:
            timer.cancel()
        return self._ending(engine)

    def _fit(self, engine: Engine, scratch: Path, slots: int, takeover: Takeover) -> None:
        from orchestrator.driver.ray_tune import fit

        try:
            fit(engine, self.sweep.name, scratch, slots)
        except Exception as error:
            logging.getLogger("ray").error("fit() raised\n%s", traceback.format_exc())
            if engine.stop_reason or not engine.around.is_alive():
                # If Ray has died, the watch over it is about to take over.
                return
            last = str(error).strip().splitlines()[-1]
            if SHORT_OF_MEMORY not in str(error):
                raise SweepStopped(
                    f"Ray stopped: {last} (see {self.folder / 'driver.log'})\n{self._resume_line()}"
                ) from None
            engine.crashed(f"Ray gave up: {last}")
            takeover(f"Ray gave up ({last})")

    def _ending(self, engine: Engine) -> str:
        """Why nothing more is done although not everything is, or nothing."""
        agenda = engine.agenda
        if agenda.done():
            return ""
        if engine.stop_reason:
            return engine.stop_reason
        lines = [f"Trial {trial.number} was stopped by hand." for trial in agenda.held()]
        for arm, trial in agenda.paused().items():
            times = self.sweep.space.limits.max_same_errors
            lines.append(
                f"{arm} is paused: its last {times} trials failed alike, {trial.reason}. Mend the code and go on, or "
                f"try them again as they are: {self._resume('--retry-failed')}"
            )
        return "\n".join(lines) or f"Ray ended before the sweep did; see {self.folder / 'driver.log'}"

    def _hours_line(self) -> str:
        hours = Budget(self.sweep, self.ledger).hours or 0
        more = self._resume("--hours", "+1")
        return f"Sweep {self.sweep.name} has spent its budget.hours of {hours:g}; {more} gives it one more."

    def _resume_line(self) -> str:
        return f"Nothing that was recorded is lost. Go on with: {self._resume()}"

    def _resume(self, *more: str) -> str:
        return typed("resume", self.sweep.name, *more, *home_option(self.home))
