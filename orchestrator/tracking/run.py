"""One MLflow run: what it has to show, what it has been sent, and the few calls in between."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.state.curve import counted
from orchestrator.storage import json_lines
from orchestrator.tracking import batches
from orchestrator.tracking.client import Gone, Refused, Store
from reports import vocabulary as words

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
        left_out: what MLflow did not take, such as `metric val/x`, each with the reason.
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
    left_out: dict[str, str] = field(default_factory=dict)


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
                texts, _ = batches.cut({("tag", name): text for name, text in wanted.tags.items()})
                tags = {name: text for (_, name), text in texts.items()}
                name = wanted.name[: batches.MAX_NAME]
                run = self._store.client.create_run(experiment_id, wanted.start_ms, tags, name)
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
        """Send what is new: epochs, scores, params and tags in one call, the status in another.

        What MLflow refuses is left out and named in a tag of the run: the rest and the status always arrive.
        """
        lines, offset = json_lines.read(outbox, self.sent.offset) if outbox else ([], 0)
        # What was executed again is counted once, and an epoch that went wrong may yet be tried again.
        rows = [row for row in counted(lines, wanted.since) if row["epoch"] > self.sent.epoch and "diverged" not in row]
        all_tags = {**wanted.tags, **self.sent.announced}
        tags = {key: value for key, value in all_tags.items() if self.sent.tags.get(key) != value}
        params = {key: value for key, value in wanted.params.items() if key not in self.sent.params}
        scores = {key: list(score) for key, score in wanted.scores.items() if self.sent.scores.get(key) != list(score)}
        end = [wanted.status, wanted.end_ms]
        try:
            if lines or tags or params or scores:
                self._log(_batch(rows, scores, params, tags))
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

    def _log(self, batch: batches.Batch) -> None:
        """Send a batch, and note on the run what had to be left out of it.

        Raises:
            Gone: the run has been deleted.
            Unreachable: MLflow did not answer.
        """
        # A metric that was refused once is refused at each epoch.
        batch = batch.only(key for key in batch.keys if key[0] != "metric" or _label(key) not in self.sent.left_out)
        batch, reasons = batches.take_out_unfit(batch)
        batch.texts, shortened = batches.cut(batch.texts)
        reasons |= shortened | batches.send(batch, self._call)
        fresh = {_label(key): reason for key, reason in reasons.items()}
        if fresh and fresh.items() - self.sent.left_out.items():
            self.sent.left_out |= fresh
            text = "; ".join(f"{name}: {reason}" for name, reason in self.sent.left_out.items())
            texts, _ = batches.cut({("tag", words.TAG_LEFT_OUT): text})
            batches.send(batches.Batch(texts=texts), self._call)

    def _call(self, batch: batches.Batch) -> None:
        from mlflow.entities import Metric, Param, RunTag

        texts = batch.texts.items()
        with self._called() as run_id:
            # A point with the same step, time and value is the same point to MLflow: sending it again changes nothing.
            self._store.client.log_batch(
                run_id,
                metrics=[Metric(name, *point) for name, points in batch.points.items() for point in points],
                params=[Param(name, text) for (kind, name), text in texts if kind == "param"],
                tags=[RunTag(name, text) for (kind, name), text in texts if kind == "tag"],
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


def _batch(
    rows: Sequence[json_lines.Line],
    scores: Mapping[str, Sequence[Any]],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> batches.Batch:
    """Return all of it under the names that MLflow has for it."""
    batch = batches.Batch()
    for row in rows:
        for name, value in row["metrics"].items():
            batch.points.setdefault(words.to_mlflow(name), []).append((value, row["ts"], row["epoch"]))
    for name, (value, ts, step) in scores.items():
        batch.points.setdefault(words.to_mlflow(name), []).append((value, ts, step))
    batch.texts = {("param", words.to_mlflow(name)): text for name, text in params.items()}
    batch.texts |= {("tag", name): text for name, text in tags.items()}
    return batch


def _label(key: batches.Key) -> str:
    """Return what people read of a metric, param or tag: `metric val/acc@5`."""
    return f"{key[0]} {words.from_mlflow(key[1])}"
