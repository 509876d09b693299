"""The driver's side of a sweep whose machines do not share the home: it brings what trials write into the home.

The rows of trials come with their reports, so that the home has every row that was judged before anything is done
because of it. All other files are fetched from the store, most of them by a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.exchange.follower import HURRIED_S, Follower
from orchestrator.exchange.home_outboxes import HomeOutboxes
from orchestrator.exchange.no_exchange import SharedHome
from orchestrator.exchange.shared import LIST, publish, travels
from orchestrator.exchange.snapshots import Damaged, GivenUp
from orchestrator.exchange.sweep_files import SweepFiles, token_key
from orchestrator.exchange.trial_fetcher import TrialFetcher
from orchestrator.exchange.writers import driver_prefix
from orchestrator.plugins.corpora import share_corpus
from orchestrator.state.paths import TRAINED_MODELS, TRIAL_LOG, trial_folder
from orchestrator.storage import durable
from orchestrator.storage.json_lines import Line
from orchestrator.storage.objects import ObjectStore, StoreError

if TYPE_CHECKING:
    from orchestrator.state.ledger import Ledger
    from orchestrator.state.trial import Trial
    from trainables.corpora.corpus import Corpus

DRIVER_PATIENCE_S = 30.0
"""How long the driver waits for the store at a time: meanwhile it decides nothing."""
ReadLogs = Callable[[str, str, int], str]
"""Returns the longest log that any machine has of a trial: of a store, a sweep, and a number."""


class Exchange(SharedHome):
    """The files of the trials of one sweep, and of what they share.

    Attributes:
        uri: the address of the store.
        driver: the name under which this home writes.
        shared: the hash of the list of files that trials share; empty before they were published.
        prepared: the file in the home by which trials open the corpus; empty without one.
    """

    is_shared = False

    def __init__(self, ledger: Ledger, uri: str, driver: str, say: Callable[[str], None], read_logs: ReadLogs) -> None:
        """Touch nothing yet.

        Args:
            ledger: the state of the sweep.
            uri: the address of the store.
            driver: the name under which this home writes.
            say: prints a line.
            read_logs: reads the logs of trials on the machines of the cluster.
        """
        self.driver = driver
        self.uri = uri
        self.shared = ""
        self.prepared = ""
        self._ledger = ledger
        self._folder = ledger.folder
        self._home = ledger.folder.parent
        self._read_logs = read_logs
        self._is_hurried: Callable[[], bool] = lambda: False
        self._store = ObjectStore(uri, self._hurry, DRIVER_PATIENCE_S)
        self._files = SweepFiles(self._store, self._folder, driver)
        self._outboxes = HomeOutboxes(self._folder)
        self._paths: set[Path] = set()
        self._fetcher = TrialFetcher(self._store, self._folder, driver, lambda: self._is_hurried())
        self._follower = Follower(self._fetch_rest, say)

    def _hurry(self, line: str) -> None:
        """Let the store be waited for no longer, once the user wants to stop; it is called before each new try."""
        if self._is_hurried():
            self._store.patience_s = HURRIED_S

    def write_token(self, token: str) -> None:
        """Write what machines have to find in the store, to know that it is the driver's.

        Raises:
            StoreError: the store could not be written.
        """
        self._store.put(token_key(self._folder.name), token.encode())

    def share(self, corpus: Corpus | None, code: Path | None, progress: Callable[[str, int, int], None]) -> None:
        """Write what all trials share to the store.

        Args:
            corpus: the prepared corpus; None without one.
            code: the copy of the sweep's own code in the home; None if every machine sees the code itself.
            progress: is called with what is done, how much of it, and of how much.

        Raises:
            StoreError: the store could not be written.
            OSError: the disk of the store is full.
        """
        paths: list[Path] = []
        if corpus is not None:
            description, paths = share_corpus(corpus)
            self.prepared = str(description)
        if code is not None:
            paths += [path for path in code.rglob("*") if path.is_file()]
        self._publish([*paths, *(self._folder / TRAINED_MODELS).rglob("*.pt")], progress)

    def _publish(self, paths: Iterable[Path], progress: Callable[[str, int, int], None]) -> None:
        """Write files of the home to the store, for the trials of this sweep; those of earlier calls stay.

        Raises:
            StoreError: the store could not be written.
            OSError: the disk of the store is full.
        """
        self._paths.update(paths)
        key = f"{driver_prefix(self._folder.name, self.driver)}/{LIST}"
        self.shared = publish(
            self._store,
            key,
            self._home,
            self._paths,
            self._folder / LIST,
            lambda done, total: progress("writing what trials share to the store", done, total),
        )

    def fields(self, *, is_evaluation: bool) -> dict[str, str | int]:
        """Return the fields of the `Storage` of a task, or of an evaluation, which gets a new number."""
        number = self._files.number_evaluation() if is_evaluation else 0
        fields: dict[str, str | int] = {"uri": self.uri, "sweep": self._folder.name, "driver": self.driver}
        return fields | {"shared": self.shared, "evaluation": number}

    def share_files_of(self, trial: Trial, values: Collection[object]) -> None:
        """Write what only some trials need to the store, if it is not there.

        Args:
            trial: a trial that is about to be trained or evaluated.
            values: its settings, some of which may be paths of trained models in the home.

        Raises:
            StoreError: the store could not be written.
        """
        texts = [value for value in values if isinstance(value, str) and value.startswith(f"{self._home}/")]
        models = {Path(text) for text in texts if travels(text[len(str(self._home)) + 1 :]) and Path(text).is_file()}
        if models - self._paths:
            self._publish(models, lambda what, done, total: None)
        if trial.origin is not None:
            # Its first epochs were taken over from a trial in the home.
            self._fetcher.push_taken_over(trial)

    def read_last_row(self, trial: Trial) -> Line:
        """Return the row of the last epoch that was reported, which the next attempt may have to train again."""
        rows = self._ledger.read_rows(trial) if trial.epochs else []
        return rows[-1] if rows else {}

    def record(self, trial: Trial, row: Line) -> None:
        """Append a row to the outbox in the home, as the worker has to the one on its machine."""
        self._outboxes.append(trial, row)

    def follow(self, trial: Trial) -> None:
        """Let the thread fetch what a trial has written."""
        self._follower.put(trial.number)

    def leave(self, trial: Trial) -> None:
        """Close the outbox in the home, and let the thread fetch the rest."""
        self._outboxes.close(trial)
        self.follow(trial)

    def settle(self, trial: Trial, *, keeps_checkpoints: bool) -> None:
        """Keep the checkpoints of a pruned trial in the store only if it keeps them in the home."""
        self._fetcher.settle(trial, keeps_checkpoints=keeps_checkpoints)
        if not self._fetcher.has_fetched(trial):
            self.follow(trial)

    def fetch(self, trial: Trial) -> None:
        """Fetch what a trial has written: all but its checkpoints, and these too once it has ended.

        What the store has lost of it is looked for again by the thread, and said there.

        Raises:
            StoreError: the store could not be read.
            OSError: the disk is full.
        """
        with contextlib.suppress(Damaged):
            try:
                self._fetcher.fetch(trial)
            except GivenUp:
                # Without the other files an evaluation would have to be repeated.
                self._fetcher.fetch(trial, leaves_checkpoints=True)

    def _fetch_rest(self, number: int, is_last: bool) -> bool:
        return self._fetcher.fetch_rest(self._ledger.trials[number], is_last=is_last)

    def fetch_log(self, trial: Trial) -> None:
        """Fetch the log from the store, or from the machine on which the process has died if that still answers."""
        path = trial_folder(self._folder, trial.number) / TRIAL_LOG
        with contextlib.suppress(StoreError):
            self.fetch(trial)
        text = self._read_logs(self.uri, self._folder.name, trial.number)
        if text and text != (path.read_text(errors="replace") if path.exists() else ""):
            with self._fetcher.lock(trial):
                durable.make_folder(path.parent)
                durable.write_whole(path, text)

    @contextlib.contextmanager
    def run(self, is_hurried: Callable[[], bool]) -> Iterator[None]:
        """Fetch and send in a thread during the block, and the rest at its end.

        Args:
            is_hurried: returns whether the user wants to stop soon; the rest is then fetched at the next start.

        Raises:
            StoreError: the sweep's log could not be sent before the block.
        """
        self._is_hurried = is_hurried
        self._files.send()
        for trial in self._ledger.trials.values():
            if (trial.attempts or trial.origin is not None) and not self._fetcher.has_fetched(trial):
                self.follow(trial)
        with self._follower.run(self._files.send_sometimes, is_hurried):
            yield

    def close(self) -> None:
        """Send the end of the sweep's log."""
        self._follower.attempt("send", self._files.send_rest)
