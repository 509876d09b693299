"""One MLflow run: its wanted contents, what MLflow has acknowledged of them, and the calls that send the rest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.state.curve import select_valid
from orchestrator.storage import json_lines
from orchestrator.tracking import batches
from orchestrator.tracking.client import Gone, Refused, Store
from reports import vocabulary as words

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

RUNNING = "RUNNING"
DATASET_CONTEXT = "mlflow.data.context"
"""The tag of an input by which MLflow's pages say what a dataset was used for."""


@dataclass(frozen=True)
class Wanted:
    """The contents that a run should have.

    Attributes:
        name: the name of the run.
        status: MLflow's status.
        start_ms: its start, in milliseconds since 1970.
        end_ms: its end; None while it runs.
        tags: its tags.
        params: its params.
        scores: metrics with one value, not one for each epoch: (value, time in ms, step), where the step is the number
            of earlier values.
        since: the first attempt whose epochs count.
        corpus: the corpus, as the driver described it; None without one.
    """

    name: str
    status: str
    start_ms: int
    end_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, int, int]] = field(default_factory=dict)
    since: int = 1
    corpus: Mapping[str, Any] | None = None


@dataclass
class Sent:
    """The contents of a run that MLflow has acknowledged, as stored in `mlflow.json`.

    Attributes:
        run_id: MLflow's id of the run; None before it is made.
        offset: the number of bytes of the outbox.
        epoch: the last epoch.
        since: the first attempt whose epochs were sent.
        end: status and end time.
        tags, params, scores: as in `Wanted`.
        files: the time of making of each folder and file, in nanoseconds.
        announced: tags that make MLflow's pages show the files.
        left_out: the reason of each name that MLflow refused, such as `metric val/x`.
        corpus: the fingerprint of the corpus among the run's inputs.
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
    corpus: str = ""


def read_sent(path: Path) -> Sent:
    """Read an `mlflow.json`; return an empty `Sent` if it is missing or damaged.

    In that case the run is found by its tags, and MLflow ignores what is sent a second time.
    """
    try:
        return Sent(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Sent()


class Run:
    """A run in the MLflow `store`; `sent`, what was acknowledged, is stored in the file `path`."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self.sent = read_sent(path)

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before it is made."""
        return self.sent.run_id

    def forget(self, run_id: str | None = None) -> None:
        """Forget what was sent, and continue with the run `run_id`, or with a new one."""
        self.sent = Sent(run_id=run_id)
        self._save()

    def create(self, experiment_id: str, wanted: Wanted) -> None:
        """Make the run, unless there is one.

        The id is stored by the next `update`; if this process dies before, the run is found by its tags.
        """
        if self.sent.run_id is None:
            with self._translate_refusal():
                texts, _ = batches.shorten({("tag", name): text for name, text in wanted.tags.items()})
                tags = {name: text for (_, name), text in texts.items()}
                name = wanted.name[: batches.MAX_NAME]
                run = self._store.client.create_run(experiment_id, wanted.start_ms, tags, name)
                self.sent = Sent(run.info.run_id, since=wanted.since, end=[RUNNING, None], tags=dict(wanted.tags))

    def upload(self, folder: Path, files: Mapping[str, int], announced: Mapping[str, str]) -> None:
        """Send the files of a folder to the run's artifacts, and replace those of the same path.

        Args:
            folder: the folder.
            files: the sources of these files, each with the time of its making in nanoseconds.
            announced: tags that make MLflow's pages show the files; `update` sends them.
        """
        with self._translate_refusal() as run_id:
            self._store.put_files(run_id, folder)
            self.sent.files |= files
            self.sent.announced |= announced
        self._save()

    def update(self, wanted: Wanted, outbox: Path | None = None) -> None:
        """Send what is new: epochs, scores, params and tags in one call, the status in another.

        Names that MLflow refuses are left out, and listed in a tag of the run.

        Args:
            wanted: the contents that the run should have.
            outbox: the file with the trial's epochs, if it is the run of a trial.
        """
        lines, offset = json_lines.read(outbox, self.sent.offset) if outbox else ([], 0)
        # An epoch that was executed twice counts once, and one that diverged may yet be tried again.
        valid_rows = select_valid(lines, wanted.since)
        rows = [row for row in valid_rows if row["epoch"] > self.sent.epoch and "diverged" not in row]
        all_tags = {**wanted.tags, **self.sent.announced}
        tags = {key: value for key, value in all_tags.items() if self.sent.tags.get(key) != value}
        params = {key: value for key, value in wanted.params.items() if key not in self.sent.params}
        scores = {key: list(score) for key, score in wanted.scores.items() if self.sent.scores.get(key) != list(score)}
        end = [wanted.status, wanted.end_ms]
        try:
            if wanted.corpus and self.sent.corpus != wanted.corpus["fingerprint"]:
                self._log_corpus(wanted.corpus)
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

    def _log_corpus(self, corpus: Mapping[str, Any]) -> None:
        """Add the corpus to the run's inputs; an MLflow that is too old for them goes without."""
        with contextlib.suppress(Refused), self._translate_refusal() as run_id:
            self._store.client.log_inputs(run_id, [_make_dataset(corpus)])
        self.sent.corpus = corpus["fingerprint"]

    def _end(self, wanted: Wanted) -> None:
        """Send the status and the end time."""
        with self._translate_refusal() as run_id:
            if wanted.status == RUNNING:
                self._store.client.update_run(run_id, status=RUNNING)
            else:
                self._store.client.set_terminated(run_id, wanted.status, wanted.end_ms)
            self.sent.end = [wanted.status, wanted.end_ms]

    def _log(self, batch: batches.Batch) -> None:
        """Send a batch, and list what had to be left out of it in a tag of the run.

        Raises:
            Gone: the run was deleted.
            Unreachable: MLflow did not answer.
        """
        # A metric that was refused once would be refused at each epoch.
        batch = batch.select(key for key in batch.keys if key[0] != "metric" or _label(key) not in self.sent.left_out)
        batch, reasons = batches.split_unfit(batch)
        batch.texts, shortened = batches.shorten(batch.texts)
        reasons |= shortened | batches.send(batch, self._call)
        fresh = {_label(key): reason for key, reason in reasons.items()}
        if fresh and fresh.items() - self.sent.left_out.items():
            self.sent.left_out |= fresh
            text = "; ".join(f"{name}: {reason}" for name, reason in self.sent.left_out.items())
            texts, _ = batches.shorten({("tag", words.TAG_LEFT_OUT): text})
            batches.send(batches.Batch(texts=texts), self._call)

    def _call(self, batch: batches.Batch) -> None:
        """Send a batch in one call of MLflow."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, *point) for name, points in batch.points.items() for point in points]
        params = [Param(name, text) for (kind, name), text in batch.texts.items() if kind == "param"]
        tags = [RunTag(name, text) for (kind, name), text in batch.texts.items() if kind == "tag"]
        with self._translate_refusal() as run_id:
            # MLflow ignores a point with the same step, time and value as one that it has.
            self._store.client.log_batch(run_id, metrics=metrics, params=params, tags=tags)

    @contextlib.contextmanager
    def _translate_refusal(self) -> Iterator[str]:
        """Yield the id of the run for a call in the block, and raise its errors as ours.

        Raises:
            Gone: the run was deleted.
            Refused: MLflow refused the call for another reason.
            Unreachable: MLflow did not answer.
        """
        run_id = self.sent.run_id or ""
        try:
            with self._store.translate_errors():
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
    """Return rows of an outbox, scores, params and tags as a batch, with their names in MLflow."""
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
    """Return the text for a metric, param or tag in messages: `metric val/acc@5`."""
    return f"{key[0]} {words.from_mlflow(key[1])}"


def _make_dataset(corpus: Mapping[str, Any]) -> DatasetInput:
    """Return a corpus as an input of a run: its name, fingerprint and source, and its numbers of recordings and clips.

    Args:
        corpus: the corpus, as the driver described it; logs of earlier versions lack the source.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # The name of a source is that of the corpus and, if there is one, the path of its folder.
    name, _, where = str(corpus.get("source") or corpus["name"]).partition(" ")
    if where.startswith("/"):
        source_type, source = "local", json.dumps({"uri": where})
    else:
        source_type, source = "code", json.dumps({"tags": {"corpus": " ".join(filter(None, (name, where)))}})
    counts = {key: corpus[key] for key in ("classes", "splits") if key in corpus}
    dataset = Dataset(
        name=corpus["name"],
        digest=corpus["fingerprint"],
        source_type=source_type,
        source=source,
        profile=json.dumps(counts),
    )
    return DatasetInput(dataset, [InputTag(DATASET_CONTEXT, "training")])
