"""What the driver fetches of a trial from the store, and what it deletes there once nobody needs it any more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.exchange.folder_writer import FolderWriter, settle_files
from orchestrator.exchange.snapshots import (
    Damaged,
    drop_folders,
    fetch,
    find_base,
    list_writers,
    read_epochs,
    read_snapshot,
)
from orchestrator.exchange.trial_files import FETCHED, is_of_home, is_of_training
from orchestrator.exchange.writers import Writer, trial_prefix
from orchestrator.state.curve import TAKEN_OVER
from orchestrator.state.paths import OUTBOX, trial_folder
from orchestrator.storage import durable
from orchestrator.storage.objects import Content, ObjectStore
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.state.trial import Trial


class TrialFetcher:
    """Fetches trials, each in one thread at a time."""

    def __init__(self, store: ObjectStore, folder: Path, driver: str, is_hurried: Callable[[], bool]) -> None:
        """Fetch nothing yet.

        Args:
            store: the store.
            folder: the folder of the sweep in the home.
            driver: the name under which this home writes.
            is_hurried: returns whether the user wants to stop soon; then no further object is read.
        """
        self._store = store
        self._folder = folder
        self._driver = driver
        self._is_hurried = is_hurried
        self._present: dict[int, dict[str, Content]] = {}
        self._settled: dict[int, bool] = {}
        self._whole: dict[int, int] = {}
        self._locks: dict[int, threading.RLock] = {}

    def lock(self, trial: Trial) -> threading.RLock:
        """Return the lock of a trial's folder in the home."""
        return self._locks.setdefault(trial.number, threading.RLock())

    def settle(self, trial: Trial, *, keeps_checkpoints: bool) -> None:
        """Keep the checkpoints of a pruned trial in the store only if it keeps them in the home."""
        self._settled[trial.number] = keeps_checkpoints

    def has_fetched(self, trial: Trial) -> bool:
        """Return whether the home has everything of a trial that has ended; an evaluation may still follow."""
        try:
            text = (trial_folder(self._folder, trial.number) / FETCHED).read_text()
        except FileNotFoundError:
            return False
        return trial.outcome is not None and json.loads(text) == {"attempt": trial.attempts}

    def push_taken_over(self, trial: Trial) -> None:
        """Write a trial that was taken over from another sweep to the store, if that has nothing of it.

        If it was trained further, the store has more than this home: another one may have been lost with what it had
        fetched.

        Raises:
            StoreError: the store could not be written.
            OSError: the disk of the store is full.
        """
        prefix, folder = self._place(trial)
        with self.lock(trial):
            if self._find_base(trial, trial.attempts, list_writers(self._store, prefix)) is None:
                first = Writer(self._driver, TAKEN_OVER)
                FolderWriter(self._store, f"{prefix}/{first}", folder, trial.id).push()

    def fetch(self, trial: Trial, *, is_last: bool = False, leaves_checkpoints: bool = False) -> bool:
        """Fetch what a trial has written: all but its checkpoints, and these too once it has ended.

        Args:
            trial: the trial.
            is_last: whether nobody writes any more.
            leaves_checkpoints: whether the checkpoints are left to the next start; the rest is then not given up.

        Returns:
            Whether that is all.

        Raises:
            Damaged: the store has lost a part of it; the home has the rest.
            GivenUp: the user wants to stop.
            StoreError: the store could not be read.
            OSError: the disk is full.
        """
        with self.lock(trial):
            return self._fetch(trial, is_last, leaves_checkpoints)

    def fetch_rest(self, trial: Trial, *, is_last: bool) -> bool:
        """Fetch a trial, unless everything was fetched after its end and its evaluation; see `fetch`."""
        if trial.outcome is not None and self._whole.get(trial.number) == trial.attempts:
            return True
        return self.fetch(trial, is_last=is_last)

    def _place(self, trial: Trial) -> tuple[str, Path]:
        """Return the prefix of a trial in the store, and its folder in the home."""
        return trial_prefix(self._folder.name, trial.number), trial_folder(self._folder, trial.number)

    def _find_base(self, trial: Trial, attempts: int, writers: Iterable[Writer]) -> Writer | None:
        """Return the attempt with which a trial's next one would begin."""
        following = Writer(self._driver, attempts + 1)
        return find_base(self._store, self._place(trial)[0], writers, following, trial.id)

    def _fetch(self, trial: Trial, is_last: bool, leaves_checkpoints: bool) -> bool:
        # What the other thread changes meanwhile is left to the next time.
        attempts, outcome, keeps_checkpoints = trial.attempts, trial.outcome, self._settled.get(trial.number)
        prefix, folder = self._place(trial)
        writers = list_writers(self._store, prefix)
        base = self._find_base(trial, attempts, writers)
        if base is None:
            if trial.origin is not None and not attempts:
                self.push_taken_over(trial)
                durable.write_whole(folder / FETCHED, json.dumps({"attempt": attempts}))
            return True
        # The attempt may be one of an earlier home, and its evaluation of this one.
        evaluations = [writer for writer in writers if writer.evaluation and writer.follows(base)]
        evaluated = read_snapshot(self._store, f"{prefix}/{evaluations[-1]}") if evaluations else None
        later = evaluated.files if evaluated else {}
        # An evaluation with an outbox has trained the last epoch again.
        sources = (base, *(evaluations[-1:] if OUTBOX in later else []))
        done = [each for each in sources if is_last or outcome is None or self._has_all(trial, each)]
        is_pruned = outcome == words.OUTCOME_PRUNED
        has_ended = bool(outcome and done) and not (is_pruned and keeps_checkpoints is None) and not leaves_checkpoints
        with_checkpoints = has_ended and (not is_pruned or bool(keeps_checkpoints))
        present = self._present.setdefault(trial.number, {})

        def is_wanted(name: str) -> bool:
            return not is_of_home(name) and (with_checkpoints or not is_of_training(name))

        def is_of_base(name: str) -> bool:
            return is_wanted(name) and name not in later

        def is_given_up() -> bool:
            return self._is_hurried() and not leaves_checkpoints

        fetched = [fetch(self._store, f"{prefix}/{base}", folder, is_of_base, present, is_given_up)]
        if evaluations:
            newest = f"{prefix}/{evaluations[-1]}"
            fetched.append(fetch(self._store, newest, folder, is_wanted, present, is_given_up))
        # An attempt from which the newest one did not go on may have left more.
        drop_folders(folder, [name for each in fetched if each for name in each.snapshot.files], present)
        if lost := sorted({name for each in fetched if each for name in each.lost}):
            raise Damaged(f"{self._store.uri}: {', '.join(lost)} of trial {trial.number}: missing or damaged")
        # What went before the newest attempt is not read any more: it began with a copy of that.
        for writer in writers:
            if base.follows(writer) or writer in evaluations[:-1]:
                self._store.delete_below(f"{prefix}/{writer}")
        if has_ended:
            for writer in done:
                settle_files(
                    self._store, f"{prefix}/{writer}", lambda name: is_of_training(name) and not with_checkpoints
                )
            durable.write_whole(folder / FETCHED, json.dumps({"attempt": attempts}))
            if keeps_checkpoints is not None or outcome == words.OUTCOME_FAILED:
                # Nothing of it follows any more.
                self._whole[trial.number] = attempts
                del self._present[trial.number]
        return bool(done)

    def _has_all(self, trial: Trial, writer: Writer) -> bool:
        """Return whether a writer has written all reported epochs; after its trial's end it writes no more."""
        try:
            prefix = f"{self._place(trial)[0]}/{writer}"
            return read_epochs(self._store, prefix, trial.since) >= trial.epochs
        except Damaged:
            # The home has these rows; the checkpoints are fetched when nobody writes any more.
            return False
