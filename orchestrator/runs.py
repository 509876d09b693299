"""One MLflow run: what it has to show, what it has been sent, and the few calls in between."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import log
from orchestrator.store import Gone, Refused, Store
from orchestrator.trial import counted

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Wanted:
    """What MLflow has to show of a run.

    Attributes:
        status: MLflow's word.
        end_ms: when it ended; None while it runs.
        scores: metrics that are no curves, each with its value, time and step: how often it was there before.
        since: the first attempt whose epochs count.
    """

    name: str
    status: str
    start_ms: int
    end_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, int, int]] = field(default_factory=dict)
    since: int = 1


@dataclass
class Sent:
    """What MLflow has acknowledged of a run; kept in `mlflow.json`.

    Attributes:
        offset: bytes of the outbox.
        epoch: the last one.
        since: the first attempt whose epochs were sent.
        end: status and end time.
        files: folders and files, each with the time of its making in nanoseconds.
        announced: tags that tell MLflow's pages what is in them.
    """

    run_id: str | None = None
    offset: int = 0
    epoch: int = 0
    since: int = 1
    end: list[Any] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    scores: dict[str, list[Any]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    announced: dict[str, str] = field(default_factory=dict)


def acknowledged(path: Path) -> Sent:
    """What was kept; nothing, where that is no use: the run is then found by its tags, and nothing is sent twice."""
    try:
        return Sent(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Sent()


class Run:
    """A run, made when it is first needed. What was acknowledged is remembered, also by the next process."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self.sent = acknowledged(path)

    @property
    def run_id(self) -> str | None:
        return self.sent.run_id

    def forget(self, run_id: str | None = None) -> None:
        """Go on with this run, to which nothing is known to have been sent; with none, a new one."""
        self.sent = Sent(run_id=run_id)
        self._save()

    def create(self, experiment_id: str, wanted: Wanted) -> None:
        """Make the run, unless there is one. (Should this be forgotten, the run is found by its tags.)"""
        if self.sent.run_id is None:
            with self._called():
                run = self._store.client.create_run(
                    experiment_id, start_time=wanted.start_ms, tags=dict(wanted.tags), run_name=wanted.name
                )
                self.sent = Sent(run.info.run_id, since=wanted.since, end=[RUNNING, None], tags=dict(wanted.tags))

    def upload(self, folder: Path, files: Mapping[str, int], announced: Mapping[str, str]) -> None:
        """Send what is in a folder to the run's root, where files of the same path are replaced.

        Args:
            folder: what is sent.
            files: what it was made from, each with the time of its making in nanoseconds.
            announced: tags that tell MLflow's pages about it; `update` sends them.
        """
        with self._called() as run_id:
            self._store.put_files(run_id, folder)
            self.sent.files |= files
            self.sent.announced |= announced
        self._save()

    def update(self, wanted: Wanted, outbox: Path | None = None) -> None:
        """Send what is new: epochs, scores, params and tags in one call, the status in another."""
        lines, offset = log.read(outbox, self.sent.offset) if outbox else ([], 0)
        # What was executed again is counted once, and an epoch that went wrong may yet be tried again.
        rows = [row for row in counted(lines, wanted.since) if row["epoch"] > self.sent.epoch and "diverged" not in row]
        all_tags = {**wanted.tags, **self.sent.announced}
        tags = {key: value for key, value in all_tags.items() if self.sent.tags.get(key) != value}
        params = {key: value for key, value in wanted.params.items() if key not in self.sent.params}
        scores = {key: list(score) for key, score in wanted.scores.items() if self.sent.scores.get(key) != list(score)}
        end = [wanted.status, wanted.end_ms]
        try:
            if lines or tags or params or scores:
                with self._called() as run_id:
                    self._log(run_id, rows, scores, params, tags)
                    self.sent.offset = offset
                    self.sent.epoch = rows[-1]["epoch"] if rows else self.sent.epoch
                    self.sent.tags |= tags
                    self.sent.params |= params
                    self.sent.scores |= scores
            if end != self.sent.end:
                self._end(wanted)
        finally:
            self._save()

    def _end(self, wanted: Wanted) -> None:
        with self._called() as run_id:
            if wanted.status == RUNNING:
                self._store.client.update_run(run_id, status=RUNNING)
            else:
                self._store.client.set_terminated(run_id, wanted.status, wanted.end_ms)
            self.sent.end = [wanted.status, wanted.end_ms]

    def _log(
        self,
        run_id: str,
        rows: Sequence[log.Event],
        scores: Mapping[str, Sequence[Any]],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        # A point with the same step, time and value is the same point to MLflow: sending it again changes nothing.
        curves = [Metric(key, value, row["ts"], row["epoch"]) for row in rows for key, value in row["metrics"].items()]
        self._store.client.log_batch(
            run_id,
            metrics=[*curves, *(Metric(key, *score) for key, score in scores.items())],
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    @contextlib.contextmanager
    def _called(self) -> Iterator[str]:
        """Make a call about the run.

        Raises:
            Gone: the run has been deleted.
        """
        run_id = self.sent.run_id or ""
        try:
            with self._store.told():
                yield run_id
        except Refused:
            if run_id and self._store.experiment_of(run_id) is None:
                raise Gone("the run has been deleted") from None
            raise

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self.sent)))
        temporary.replace(self._path)
