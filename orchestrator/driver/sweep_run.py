"""One run of a sweep whose folder is locked: prepare what all trials share, let Ray execute the tasks, and close."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.driver import cluster, provenance
from orchestrator.driver.allocation import allocate, make_callbacks
from orchestrator.driver.judges import present_judges
from orchestrator.driver.signals import Interrupted, SignalHandler
from orchestrator.driver.stop_messages import StopMessages
from orchestrator.errors import SweepStopped, UserError
from orchestrator.machines.address import check_answers, cluster_address
from orchestrator.overview.trial_reference import keep_trained_models, resolve_trained_models
from orchestrator.plugins import additions, loader
from orchestrator.plugins.corpora import evict_features
from orchestrator.policy import trial_key
from orchestrator.policy.agenda import Agenda
from orchestrator.policy.reuse import ReusableTrials
from orchestrator.policy.warm_start import WarmStart
from orchestrator.state.budget import Budget
from orchestrator.state.events.drivers import Closed, Started
from orchestrator.state.home import SEARCH_SPACE
from orchestrator.state.ledger import Ledger
from orchestrator.state.lock_note import LockNote
from orchestrator.state.sweep_state import FINISHED
from orchestrator.tracking import sender
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.driver.controller import Engine
    from orchestrator.driver.restart import Takeover
    from orchestrator.driver.tasks import Tasks
    from orchestrator.exchange.driver_side import Exchange
    from orchestrator.machines.watch import Machines
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep
    from trainables.corpora.corpus import Corpus


class SweepRun:
    """One run of a sweep whose folder is locked."""

    def __init__(
        self,
        sweep: Sweep,
        home: Path,
        ledger: Ledger,
        screen: Screen,
        note: LockNote,
        signal_handler: SignalHandler,
        resume_arguments: Sequence[str],
        exchange: Exchange | None = None,
    ) -> None:
        """Keep what the run needs.

        Args:
            sweep: the search space.
            home: the folder of all sweeps.
            ledger: the state of the sweep, which holds its new events.
            screen: the display.
            note: the note next to the lock of the sweep's folder.
            signal_handler: remembers whether there was a signal.
            resume_arguments: the arguments of `orchestrate` that resume the sweep if Ray dies.
            exchange: brings files to machines that do not share the home; None if all do.
        """
        self.sweep = sweep
        self.home = home
        self.folder = home / sweep.name
        self.ledger = ledger
        self.screen = screen
        self.note = note
        self.signal_handler = signal_handler
        self.resume_arguments = resume_arguments
        self.exchange = exchange
        self.messages = StopMessages(sweep, home, ledger)

    def run(self) -> None:
        """Run what is left to do, and send what MLflow does not have yet."""
        files = loader.source_files(self.sweep.trainable, self.sweep.components)
        imported = loader.imported_files(self.sweep.trainable, self.sweep.components)
        code = provenance.code_fingerprint(files, imported)
        agenda = Agenda(self.sweep, self.ledger, evaluates=self.sweep.declaration.is_evaluated(), code=code)
        for remark in agenda.remarks:
            self.screen.say(remark)
        hours = Budget(self.sweep, self.ledger).hours
        seconds_left = None if hours is None else hours * 3600 - self.ledger.seconds_run()
        following = sender.run_sender(self.folder, self.screen.say, lambda: bool(self.signal_handler.reason))
        if agenda.is_done():
            self.ledger.release()
            if not self.ledger.is_finished:
                # The last driver was killed just before it wrote this event.
                self.ledger.write(Closed(outcome=FINISHED, reason="", late=True))
            self.screen.say(f"Sweep {self.sweep.name} is finished: nothing left to do.")
        elif seconds_left is not None and seconds_left <= 0:
            self.ledger.discard()
            self.screen.say(self.messages.hours_line)
        elif (limit_s := Budget(self.sweep, self.ledger).gpu_seconds) and self.ledger.gpu_seconds >= limit_s:
            self.ledger.discard()
            self.screen.say(self.messages.gpu_line)
        elif agenda.waits_for_votes():
            # Votes that have come, but not on all trials, stay in their file until the sweep continues.
            self.ledger.discard()
            self.screen.say(self.messages.ask_for_votes(agenda))
        else:
            loader.check_corpus(self.sweep.space.corpus)
            self._warm_start = WarmStart(self.sweep, self.home, self.ledger, code)
            sender.redirect(self.ledger, self.screen.say)
            with following as all_is_written:
                self._run(agenda, seconds_left, all_is_written)
            return
        # Nothing is left to run, but the home and MLflow may not have everything.
        if self.exchange is not None or sender.is_behind(self.folder):
            sender.redirect(self.ledger, self.screen.say)
            with following, self._follow():
                pass

    def _run(self, agenda: Agenda, seconds_left: float | None, all_is_written: Callable[[], None]) -> None:
        """Start Ray, run the tasks, and write how the sweep ended.

        Args:
            agenda: the tasks.
            seconds_left: the rest of `budget.hours`; None without a limit.
            all_is_written: is called after the last event, so that the process that sends to MLflow can end.

        Raises:
            SweepStopped: the sweep stopped before everything was done.
        """
        space = self.sweep.space
        if address := cluster_address():
            # Before the corpus, whose features may take minutes.
            check_answers(address)
        corpus = loader.open_corpus(space.corpus, self.home, self._progress) if space.corpus else None
        if corpus is not None:
            corpus = additions.add_to_corpus(corpus, self.sweep.judges, space.metrics)
        for line in corpus.skipped if corpus else ():
            self.screen.say(f"Skipped: {line}")
        outcome, reason = words.OUTCOME_FAILED, ""
        with cluster.start_ray(self.folder / "driver.log") as (scratch, wait_for_ray):
            self.note.update(scratch=str(scratch))
            prepared = self._prepare(corpus)
            evict_features(self.home, space.cache.max_gib, self.screen.say)
            # The first suggestion needs this import, which takes a second; meanwhile Ray starts in its thread.
            import orchestrator.policy.suggestions  # noqa: F401

            tasks, machines = allocate(
                self.sweep, self.home, self.screen, self.signal_handler, wait_for_ray, self.exchange, corpus
            )
            self._write_start(prepared, corpus)
            started_s = time.monotonic()
            try:
                with machines.watch(), self._follow():
                    reason = self._work(agenda, tasks, machines, seconds_left, scratch)
                outcome = words.OUTCOME_INTERRUPTED if reason else FINISHED
            except SweepStopped as stopped:
                outcome, reason = words.OUTCOME_INTERRUPTED, str(stopped)
                raise
            except BaseException as error:
                reason = str(error)
                raise
            finally:
                with contextlib.suppress(OSError):
                    ran_s = time.monotonic() - started_s
                    self.ledger.write(Closed(outcome=outcome, reason=reason, ran_s=round(ran_s, 3)))
                if self.exchange is not None:
                    self.exchange.close()
                # The rest is sent to MLflow while Ray shuts down.
                all_is_written()
        if reason and reason in (self.messages.hours_line, self.messages.gpu_line, self.messages.ask_for_votes(agenda)):
            self.screen.say(reason)
        elif reason:
            error_class = Interrupted if self.signal_handler.reason else SweepStopped
            raise error_class(f"{reason}\n{self.messages.resume_line}")

    def _follow(self) -> contextlib.AbstractContextManager[None]:
        """Bring what trials have written into the home until the end of a block, if they write it elsewhere."""
        if self.exchange is None:
            return contextlib.nullcontext()
        return self.exchange.run(lambda: bool(self.signal_handler.reason))

    def _progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of the preparation; a signal ends it here."""
        self.signal_handler.check()
        self.screen.progress(what, done, total)

    def _prepare(self, corpus: Corpus | None) -> loader.Prepared:
        """Prepare what all trials share, such as the judge.

        Raises:
            UserError: the trials of the sweep were evaluated by another judge.
        """
        keep_trained_models(self.sweep, self.home, corpus, has_begun=bool(self.ledger.trials))
        settings = [resolve_trained_models(self.sweep, params, self.home) for params in self.sweep.settings()]
        objective = self.sweep.space.objective.metric
        prepared = loader.prepare(self.sweep.trainable, settings, corpus, self._progress, objective)
        self._warm_start.check_comparable(self.sweep, prepared.judge, corpus.fingerprint if corpus else None)
        present_judges(self.sweep.name, prepared, self.ledger, self.screen.say)
        return prepared

    def _write_start(self, prepared: loader.Prepared, corpus: Corpus | None) -> None:
        """Write the held events and the start of this driver to the sweep log."""
        self.ledger.release()
        file = self.sweep.path.resolve()
        if file == self.folder / SEARCH_SPACE:
            # `resume` reads the copy in the sweep's folder; the record keeps the original file.
            file = Path(self.ledger.started.get("file", file))
        destination = sender.choose_destination(self.home, self.sweep.name, self.screen.say)
        budget = Budget(self.sweep, self.ledger)
        record = provenance.make_record(self.sweep, budget, prepared, corpus, file, self.ledger.read_events())
        self.ledger.write(Started(record={**record, **destination}))
        self._warm_start.write(self.ledger, self.screen.say)

    def _work(self, agenda: Agenda, tasks: Tasks, machines: Machines, seconds_left: float | None, scratch: Path) -> str:
        """Let Ray execute the tasks; return why the sweep stopped early, or an empty string."""
        from orchestrator.driver.controller import Engine
        from orchestrator.driver.gpu_meter import GpuMeter
        from orchestrator.driver.ray_watch import RayDaemons
        from orchestrator.driver.restart import Takeover
        from orchestrator.policy.pruning import Rungs
        from orchestrator.state.disk import Space

        daemons = RayDaemons()
        environment = trial_key.hash_environment(agenda.code, self.ledger.started)
        engine = Engine(
            agenda,
            self.ledger,
            Rungs(self.sweep, self.ledger, agenda.promotion),
            ReusableTrials.find(self.sweep, self.home, self.ledger, environment),
            Space(self.folder, self.sweep.space.disk.min_free_gib),
            make_callbacks(tasks, machines, daemons, environment, self.screen.say, self.note, self.exchange),
        )
        takeover = Takeover(
            self.ledger,
            self.screen,
            self.signal_handler,
            self.resume_arguments,
            self.messages.resume_line,
            scratch,
            self.note,
        )
        timer = threading.Timer(seconds_left or 0, engine.stop, [self.messages.hours_line])
        timer.daemon = True
        if seconds_left is not None:
            timer.start()
        meter = GpuMeter(
            self.ledger,
            Budget(self.sweep, self.ledger).gpu_seconds,
            lambda: tasks.count_gpus(task.trial for task in engine.live.values()),
            lambda: engine.stop(self.messages.gpu_line),
        )
        try:
            with (
                self.signal_handler.forward_to(engine.stop),
                self.screen.show_live(self.sweep, self.ledger, tasks.slots, self.folder),
                daemons.call_on_death(takeover),
            ):
                self._fit(engine, scratch, tasks, takeover, meter.look)
        finally:
            timer.cancel()
            meter.write()
        return self.messages.explain_stop(engine)

    def _fit(
        self, engine: Engine, scratch: Path, tasks: Tasks, takeover: Takeover, measure: Callable[[], None]
    ) -> None:
        """Run Ray Tune, and translate its errors.

        Raises:
            SweepStopped: Ray failed for an unknown reason.
            UserError: a sampler of the user's raised.
        """
        from orchestrator.driver.ray_tune import run_tasks

        try:
            run_tasks(engine, self.sweep.name, scratch, lambda: tasks.slots, measure)
        except Exception as error:
            logging.getLogger("ray").error("fit() raised\n%s", traceback.format_exc())
            if isinstance(error, UserError):
                raise
            if engine.stop_reason or not engine.callbacks.is_ray_alive():
                # If Ray has died, the thread of `call_on_death` is about to restart the driver.
                return
            last_line = str(error).strip().splitlines()[-1]
            if cluster.SHORT_OF_MEMORY not in str(error):
                raise SweepStopped(
                    f"Ray stopped: {last_line} (see {self.folder / 'driver.log'})\n{self.messages.resume_line}"
                ) from None
            engine.handle_ray_crash(f"Ray gave up: {last_line}")
            takeover(f"Ray gave up ({last_line})")
