"""One attempt at a trial, without Ray: seed, restore, step, guard, checkpoint, outbox."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ruamel.yaml import YAML

from orchestrator.plugins import additions, corpora, loader, randomness
from orchestrator.state.curve import Objective
from orchestrator.state.paths import CHECKPOINT, TRAINABLE_FOLDER
from orchestrator.state.timekeeper import now_ms
from orchestrator.storage import json_lines
from orchestrator.worker import checkpoint, media, outbox
from orchestrator.worker.guard import Guard
from orchestrator.worker.spec import TrialSpec
from reports import vocabulary as words

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def device_of(spec: TrialSpec) -> str:
    """Return `cuda` for a trial that has a share of a GPU, else `cpu`."""
    return "cuda" if spec.gpu > 0 and torch.cuda.is_available() else "cpu"


def build(spec: TrialSpec, device: str) -> loader.Trainable:
    """Return a trial's trainable, untrained, on `device`.

    It also sets the number of threads, the limit of GPU memory, and the seed of every global random generator.
    """
    torch.set_num_threads(spec.threads)
    if device == "cuda" and spec.gpu < 1:
        torch.cuda.set_per_process_memory_fraction(spec.gpu)
    loader.load_components([Path(path) for path in spec.components])
    trainable_class = loader.load_trainable(spec.trainable, Path(spec.trainable_folder))
    corpus = open_corpus(spec)
    randomness.seed_everything(spec.seed)
    config = trainable_class.Config(**spec.config)
    return trainable_class(config, corpus, device=device, seed=spec.seed)


def open_corpus(spec: TrialSpec) -> Corpus | None:
    """Return a trial's corpus, with the judges and metrics that its search space adds; None if it has none."""
    if spec.corpus is None:
        return None
    home = Path(spec.home)
    if spec.prepared:
        corpus = corpora.open_prepared(spec.corpus, Path(spec.prepared), home)
    else:
        corpus = loader.open_corpus(spec.corpus, home)
    return additions.add_to_corpus(corpus, spec.judges, spec.metrics)


def write_config(path: Path, spec: TrialSpec) -> None:
    """Write every setting of a trial as YAML, including the defaults that its search space does not name."""
    config = loader.load_trainable(spec.trainable, Path(spec.trainable_folder)).Config(**spec.config)
    settings = {"trainable": spec.trainable, "seed": spec.seed, **config.model_dump(mode="json")}
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(settings, file)


class TrialRun:
    """One attempt at a trial: the only writer of its outbox and checkpoints.

    Each epoch counts once: first the checkpoint, which contains the epoch's row, is renamed into place; then the row is
    appended to the outbox; then it is reported. If a kill came before the second step, the next attempt appends the row
    from the checkpoint.

    Attributes:
        remarks: messages about unusable checkpoints, one line each.
        epoch: the epoch of the trainable's weights, 0 before the first; the outbox may be one ahead of it.
        upload_s: the seconds that training has waited for uploads to the store since the last row, for the next one;
            None without a store.
    """

    def __init__(self, spec: TrialSpec) -> None:
        """Lock and open the outbox, build the trainable, and restore the newest checkpoint.

        Write the trial's settings; delete old renderings if the trial starts from scratch. After an error, the trial is
        not locked.

        Args:
            spec: the trial.

        Raises:
            InUse: another process still trains the trial.
            NotItsFolder: the folder belongs to another trial.
        """
        self.spec = spec
        self.folder = Path(spec.folder)
        self.upload_s: float | None = None
        self.objective = Objective(spec.objective, "max" if spec.mode == "max" else "min", spec.constraints)
        self.guard = Guard(spec.objective, spec.blowup, spec.collapsed_epochs)
        with contextlib.ExitStack() as cleanup:
            cleanup.enter_context(outbox.lock_trial(self.folder, spec.number))
            self.outbox = outbox.Outbox(self.folder, spec.number, spec.id, spec.since)
            cleanup.callback(self.outbox.close)
            if spec.last_row and spec.last_row["epoch"] == self.epochs + 1:
                # The machine of the last attempt is gone, and had reported the epoch before the store had it.
                self.outbox.append(dict(spec.last_row))
            self.device = device_of(spec)
            self.trainable = build(spec, self.device)
            cleanup.callback(self.trainable.close)
            if spec.max_epochs is not None:
                # Before the checkpoint is restored, and not in `build`: an evaluation or an export has no epochs.
                self.trainable.place(self.folder / TRAINABLE_FOLDER, spec.max_epochs)
            self.remarks: list[str] = []
            write_config(self.folder / words.ARTIFACT_CONFIG, spec)
            self.epoch = self._restore()
            if not self.epoch:
                self._delete_stale_renderings()
            best = self.objective.best_of(self.outbox.rows)
            self._best = None if best is None else float(best["metrics"][spec.objective])
            self._best_epoch = None if best is None else int(best["epoch"])
            self._unreported = [row for row in self.outbox.rows if row["epoch"] > spec.reported_epochs]
            # After an error above, the end of the block cleans up, so that the next attempt need not wait for this
            # process to end. Otherwise `close` does.
            self._cleanup = cleanup.pop_all()

    def _delete_stale_renderings(self) -> None:
        """Delete the renderings of discarded attempts."""
        for stale_folder in (self.folder / "media", *(self.folder / "renderings").glob("*/")):
            shutil.rmtree(stale_folder, ignore_errors=True)

    def _restore(self) -> int:
        """Restore the newest checkpoint, and return the number of its epoch; 0 if there is none."""
        folder = self.folder / CHECKPOINT
        saved, self.remarks = checkpoint.load_newest(
            folder, self.device, self.spec.since, (self.spec.id, *self.spec.origin_ids)
        )
        epoch = saved["row"]["epoch"] if saved else 0
        if self.remarks or epoch < self.epochs:
            self.remarks.append(
                f"trial {self.spec.number} resumes from epoch {epoch}, although it had reached epoch {self.epochs}"
            )
        if saved is None:
            return 0
        self.trainable.load_state_dict(saved["state"])
        randomness.restore_random_states(saved["random"])
        if epoch > self.epochs:
            self.outbox.append(saved["row"])
        if saved["best"] and not self.remarks:
            checkpoint.keep_as_best(folder)
        return int(epoch)

    @property
    def epochs(self) -> int:
        """The number of epochs in the outbox."""
        return self.outbox.epochs

    def step(self) -> json_lines.Line:
        """Train one epoch and return its row; first return the recorded rows that were not reported, one in each call.

        An epoch that is in the outbox but whose checkpoint was lost is trained again without another row.

        Raises:
            TrainingOver: there is no further epoch.
        """
        if self._unreported:
            return self._unreported.pop(0)
        started = time.monotonic()
        metrics = {name: float(value) for name, value in self.trainable.step().items()}
        metrics["time/epoch_s"] = time.monotonic() - started
        if (waited_s := self.trainable.waited_s) is not None:
            metrics["time/wait_s"] = waited_s
        if self.upload_s is not None:
            metrics["time/upload_s"] = self.upload_s
        self.epoch += 1
        row: json_lines.Line = {"epoch": self.epoch, "ts": now_ms(), "attempt": self.spec.attempt, "metrics": metrics}
        state = self.trainable.state_dict()
        before = [earlier for earlier in self.outbox.rows if earlier["epoch"] < self.epoch]
        diverged = self.guard.divergence(metrics, before, state)
        if diverged:
            # It gets no checkpoint: the last one is from before the divergence, and a retry can start from it.
            row["diverged"] = {**diverged, "reason": f"epoch {self.epoch}: {diverged['reason']}"}
            self.outbox.append(row)
            return row
        if self.epoch in self.spec.media_epochs:
            self._render(self.epoch)
        self._save(state, row)
        return row

    def _save(self, state: Mapping[str, Any], row: json_lines.Line) -> None:
        """Write the checkpoint of an epoch, then its row unless the outbox has it."""
        value = self.objective.value_in(row)
        is_repeated = row["epoch"] <= self.epochs
        best = row["epoch"] == self._best_epoch if is_repeated else self.objective.is_better(value, self._best)
        checkpoint.save(self.folder / CHECKPOINT, state, row, best=best, trial_id=self.spec.id)
        if not is_repeated:
            self.outbox.append(row)
            if best:
                self._best, self._best_epoch = value, row["epoch"]

    def _render(self, epoch: int) -> None:
        # Rendering must not change the training, so the random states are restored after it.
        states = randomness.random_states()
        rendered_media = render(self.trainable, self.spec)
        randomness.restore_random_states(states)
        if rendered_media is not None:
            media.write(self.folder / "media" / f"epoch_{epoch:02d}", rendered_media, epoch=epoch)

    def close(self) -> None:
        """Close the trainable, then the outbox, and release its lock."""
        self._cleanup.close()


def render(trainable: loader.Trainable, spec: TrialSpec) -> loader.Media | None:
    """Return the sounds and pictures that a trainable makes of the probe clips; None if it renders nothing."""
    corpus = open_corpus(spec)
    return trainable.render(corpus.probes(spec.clips)) if corpus is not None and spec.clips else None
