"""A sweep in MLflow: its experiment, its own run with the page of sounds, and a run for each trial and rendering."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.state.history import History
from orchestrator.state.paths import RUN_FILE
from orchestrator.state.trial import Rendering, Trial
from orchestrator.storage import json_lines
from orchestrator.tracking import artifacts
from orchestrator.tracking.best_renderings import Column, find_best_pictures, make_columns
from orchestrator.tracking.client import Gone, Refused, Store
from orchestrator.tracking.description import (
    describe_rendering,
    describe_sweep,
    describe_trial,
)
from orchestrator.tracking.links import LISTEN, SweepPages, run_page
from orchestrator.tracking.notes import find_places
from orchestrator.tracking.run import Run
from orchestrator.tracking.sweep_views import BY_ARM, COMPARE, CURVES, PARAMETERS, TOP, Seen, find_rendered_settings
from reports import vocabulary as words


class Mirror:
    """A copy of a sweep's history in MLflow; `open` has to be called first, and again after every failure.

    Attributes:
        pages: the pages of the sweep; None unless it is open.
        remark: a message for the user, in one line.
        left_out: for each run the reasons of what MLflow refused, by name.
    """

    def __init__(self, history: History) -> None:
        """Connect to nothing yet.

        Args:
            history: the state of the sweep, which has been started.
        """
        self._history = history
        self._store = Store(history.started["tracking_uri"], history.started["artifact_root"])
        self._sweep_run = Run(self._store, history.folder / RUN_FILE)
        self._trial_runs: dict[int, Run] = {}
        self._rendering_runs: dict[tuple[int, str], Run] = {}
        self._views: dict[str, str] = {}
        self._places: dict[int, str] | None = None
        self._origin_pages: dict[str, str] = {}
        self._sent_columns: list[Column] = []
        self._sent_record: json_lines.Line = {}
        self.pages: SweepPages | None = None
        self.remark: str | None = None
        self.left_out: dict[str, dict[str, str]] = {}

    def open(self) -> None:
        """Connect, and find or make the experiment and the sweep's run."""
        self._store.open()
        runs = {str(number): self._run(trial) for number, trial in self._history.trials.items()}
        for number, trial in self._history.trials.items():
            for rendering in trial.renderings:
                runs[f"{number} {rendering['name']}"] = self._rendering_run(trial, rendering)
        sweep_run = runs[""] = self._sweep_run
        experiment_id = sweep_run.run_id and self._store.experiment_of(sweep_run.run_id)
        if not experiment_id:
            if sweep_run.run_id:
                sweep_run.forget()
                self.remark = "the sweep's MLflow run had been deleted; it is made again"
            experiment_id = self._store.get_or_create_experiment(self._history.started["search_space"])
        known_ids = {run.run_id for run in runs.values()}
        run_ids = self._store.find_runs(experiment_id, self._history.sweep_id, known_ids, self._history.ids())
        for key, run_id in run_ids.items():
            if key in runs and runs[key].run_id is None:
                runs[key].forget(run_id)
        sweep_run.create(experiment_id, describe_sweep(self._history, None))
        assert sweep_run.run_id is not None
        self._views = {}
        self.pages = SweepPages(self._history.name, experiment_id, sweep_run.run_id)

    def close(self) -> None:
        """Note a failure: `open` has to look again at what is in MLflow."""
        self.pages = None

    def send_trial(self, trial: Trial) -> bool:
        """Send what is new about a trial.

        Returns:
            False if its run was deleted, so that it has to be sent again.

        Raises:
            Unreachable: MLflow did not answer.
            Refused: the sweep's own run was deleted.
        """
        assert self.pages is not None, "open() comes first"
        if not trial.attempts and trial.outcome is None:
            return True
        run = self._run(trial)
        page = self._find_origin_page(trial)
        wanted = describe_trial(self._history, trial, self.pages.run_id, self._place(trial), page)
        try:
            if run.run_id and run.sent.since != trial.since:
                # The trial was started over, and MLflow can't delete the old points of its metrics.
                for old_run in (run, *self._rendering_runs_of(trial)):
                    self._store.delete_run(old_run.run_id or "")
                    old_run.forget()
                self._rendering_runs.clear()
            run.create(self.pages.experiment_id, wanted)
            files = self._history.files[trial.number]
            self._send_files(run, files.folder, files.made_ns, trial.asked_ms)
            run.update(wanted, files.outbox)
            self._note_left_out(f"trial {trial.number}", run.sent.left_out)
            return self._send_renderings(trial, run)
        except Gone:
            # The run was deleted, or the id is that of another server, and this one has another run of the trial.
            run_id_by_key = self._store.find_runs(
                self.pages.experiment_id, self._history.sweep_id, (), self._history.ids()
            )
            run.forget(run_id_by_key.get(str(trial.number)))
            if run.run_id is None:
                self.remark = f"the MLflow run of trial {trial.number} had been deleted; it is made again"
            return False
        except Refused as error:
            if self._store.experiment_of(self.pages.run_id) is None:
                raise
            self._note_left_out(f"trial {trial.number}", {"something": str(error)})
        return True

    def _find_origin_page(self, trial: Trial) -> str:
        """Return the link to the run of the trial from which a trial has its epochs; empty if there is none here."""
        run_id = trial.origin.run if trial.origin else None
        if run_id is None:
            return ""
        if run_id not in self._origin_pages:
            experiment_id = self._store.experiment_of(run_id)
            self._origin_pages[run_id] = run_page(experiment_id, run_id) if experiment_id else ""
        return self._origin_pages[run_id]

    def _place(self, trial: Trial) -> str | None:
        """Return the place of a trial at the end of the sweep as text; None before that.

        The places are computed once: to do so for every trial that ends would take a loop over all trials each time.
        """
        if not self._history.is_finished:
            self._places = None
            return None
        if self._places is None:
            self._places = find_places(self._history)
        return self._places.get(trial.number)

    def _send_renderings(self, trial: Trial, parent: Run) -> bool:
        """Send each rendering as a run whose parent is the trial's; return False if one of these runs was deleted."""
        assert self.pages is not None and parent.run_id is not None
        for rendering in trial.renderings:
            run = self._rendering_run(trial, rendering)
            wanted = describe_rendering(self._history, trial, rendering, parent.run_id)
            trial_folder = self._history.files[trial.number].folder
            folder = trial_folder / rendering["folder"]
            files = {rendering["folder"]: folder.stat().st_mtime_ns} if folder.exists() else {}
            try:
                run.create(self.pages.experiment_id, wanted)
                self._send_files(run, trial_folder, files, trial.asked_ms)
                run.update(wanted)
                self._note_left_out(f"trial {trial.number} {rendering['name']}", run.sent.left_out)
            except Gone:
                run.forget()
                return False
        return True

    def _rendering_run(self, trial: Trial, rendering: Rendering) -> Run:
        """Return the run of a rendering."""
        key = trial.number, str(rendering["name"])
        if key not in self._rendering_runs:
            path = self._history.files[trial.number].folder / f"{rendering['folder']}.{RUN_FILE}"
            self._rendering_runs[key] = Run(self._store, path)
        return self._rendering_runs[key]

    def _rendering_runs_of(self, trial: Trial) -> list[Run]:
        """Return the runs of all renderings of a trial that were ever sent."""
        folder = self._history.files[trial.number].folder
        return [Run(self._store, path) for path in folder.glob(f"renderings/*.{RUN_FILE}")]

    def send_sweep(self) -> None:
        """Send what is new about the sweep: its page of sounds, its record, its saved views and its own run."""
        assert self.pages is not None, "open() comes first"
        history, run = self._history, self._sweep_run
        self._send_files(run, history.folder, history.sweep_files(), history.first_ms)
        columns = make_columns(self._history)
        if columns and columns != self._sent_columns:
            with tempfile.TemporaryDirectory() as target, contextlib.suppress(FileNotFoundError):
                # It imports scipy and matplotlib, for which a sweep that has no renderings yet need not wait.
                from orchestrator.tracking import sounds_page

                sounds_page.write_page(
                    Path(target) / words.ARTIFACT_LISTEN, f"Sweep {history.name}", columns, history.objective
                )
                run.upload(Path(target), {}, {})
                self._sent_columns = columns
        if history.started != self._sent_record:
            with tempfile.TemporaryDirectory() as target:
                (Path(target) / words.ARTIFACT_SWEEP).write_text(json.dumps(history.record()))
                run.upload(Path(target), {}, {})
                self._sent_record = history.started
        pictures = find_best_pictures([history.files[best.number] for best in history.best_trials()])
        contents = Seen.of_sweep(history, self.pages.run_id, self._best_runs(), pictures)
        views = self.pages.make_view_tags(contents, history.first_ms)
        if views != self._views:
            self._store.tag_experiment(self.pages.experiment_id, views)
            self._views = views
        run.update(describe_sweep(history, self.pages))
        self._note_left_out("the sweep", run.sent.left_out)

    def _note_left_out(self, run: str, names: dict[str, str]) -> None:
        if names:
            self.left_out[run] = names
        else:
            self.left_out.pop(run, None)

    def links(self) -> dict[str, str]:
        """Return the links to the pages that have contents, by purpose, the most useful ones first."""
        if self.pages is None:
            return {}
        pages, run_ids = self.pages, self._best_runs()
        has_media = bool(self._history.with_media)
        links: dict[str, str] = {}
        if has_media:
            links[LISTEN] = pages.listen()
        if self._history.is_finished:
            links["report"] = pages.report()
        links["trials"] = pages.trials()
        if self._history.objective.beside:
            links["front"] = pages.front()
        for purpose in (CURVES, BY_ARM, PARAMETERS):
            links[purpose] = pages.charts(purpose)
        if run_ids:
            links[TOP] = pages.charts(TOP)
        if find_rendered_settings(self._history):
            links["renderings"] = pages.renderings()
        if has_media and run_ids:
            links["spectrograms"] = pages.spectrograms()
        if len(run_ids) > 1:
            links[COMPARE] = pages.charts(COMPARE)
        return links

    def _best_runs(self) -> list[str]:
        """Return the ids of the runs of each arm's best trial."""
        return [run_id for best in self._history.best_trials() if (run_id := self._run(best).run_id)]

    def backlog(self, numbers: Iterable[int]) -> int:
        """Return how many lines of some trials' outboxes MLflow has not acknowledged."""
        lines = 0
        for number in numbers:
            files, offset = self._history.files[number], self._run(self._history.trials[number]).sent.offset
            if files.size > offset:
                with files.outbox.open("rb") as file:
                    file.seek(offset)
                    lines += file.read().count(b"\n")
        return lines

    def _run(self, trial: Trial) -> Run:
        """Return the run of a trial."""
        if trial.number not in self._trial_runs:
            self._trial_runs[trial.number] = Run(self._store, self._history.files[trial.number].folder / RUN_FILE)
        return self._trial_runs[trial.number]

    def _send_files(self, run: Run, folder: Path, files: Mapping[str, int], made_ms: int) -> None:
        """Send the folders and files that are new or newer than when they were sent.

        Args:
            run: the run.
            folder: the folder of the trial or the sweep.
            files: names in the folder, each with the time of its making in nanoseconds.
            made_ms: a time that becomes a part of file names.
        """
        new = {name: made_ns for name, made_ns in files.items() if run.sent.files.get(name) != made_ns}
        if not new:
            return
        announced: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as target, contextlib.suppress(FileNotFoundError):
            # A rendering that a worker replaces at this moment is missing; the next look finds the new one.
            for name in new:
                if (folder / name).is_dir():
                    announced |= artifacts.lay_out(folder / name, Path(target), made_ms)
                else:
                    (Path(target) / name).symlink_to(folder / name)
            run.upload(Path(target), new, announced)
