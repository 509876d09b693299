"""One attempt at a trial, without Ray: seed, restore, step, guard, checkpoint, outbox."""

from __future__ import annotations

import fcntl
import math
import time
from pathlib import Path

import torch
from ruamel.yaml import YAML

from orchestrator import checkpoint, guard, loader, log, media
from orchestrator.errors import OrchestratorError
from orchestrator.ledger import Objective, now_ms
from orchestrator.trial_spec import TrialSpec
from reports import vocabulary as words

LOCK_PATIENCE_S = 30
"""A worker outlives its driver by a few seconds, and its node's Ray by up to 15; so long may it hold its outbox."""


def device_of(spec: TrialSpec) -> str:
    """`cuda` for a trial that was given a share of a card, else `cpu`."""
    return "cuda" if spec.gpu > 0 and torch.cuda.is_available() else "cpu"


def build(spec: TrialSpec, device: str) -> loader.Trainable:
    """The trainable at its start."""
    torch.set_num_threads(spec.threads)
    if device == "cuda" and spec.gpu < 1:
        torch.cuda.set_per_process_memory_fraction(spec.gpu)
    loader.load_components([Path(path) for path in spec.components])
    trainable_class = loader.load_trainable(spec.trainable, Path(spec.trainable_folder))
    corpus = loader.open_corpus(spec.corpus, Path(spec.home)) if spec.corpus else None
    checkpoint.seed_everything(spec.seed)
    config = trainable_class.Config(**spec.config)
    return trainable_class(config, corpus, device=device, seed=spec.seed)


def write_config(path: Path, spec: TrialSpec) -> None:
    """Every setting of a trial, the defaults that its search space doesn't name included."""
    config = loader.load_trainable(spec.trainable, Path(spec.trainable_folder)).Config(**spec.config)
    settings = {"trainable": spec.trainable, "seed": spec.seed, **config.model_dump(mode="json")}
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(settings, file)


class TrialRun:
    """The only writer of a trial's outbox and checkpoints while it lives.

    A step counts once: the checkpoint that contains the epoch's row is renamed into place, then the row goes into the
    outbox, then it is reported. A row that a kill kept out of the outbox is appended from the checkpoint here.
    """

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self.folder = Path(spec.folder)
        self.objective = Objective(spec.objective, "max" if spec.mode == "max" else "min")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / "outbox.lock", "w")
        self._take_lock()
        self.outbox = log.Log(self.folder / "outbox.jsonl")
        self.device = device_of(spec)
        self.trainable = build(spec, self.device)
        self.best: float | None = None
        write_config(self.folder / words.ARTIFACT_CONFIG, spec)
        self._restore()

    def _take_lock(self) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OrchestratorError(
                        f"another process still trains trial {self.spec.number} in {self.folder}; stop it and run again"
                    ) from None
                time.sleep(0.2)

    def _restore(self) -> None:
        folder = self.folder / "checkpoint"
        if (folder / checkpoint.LAST).exists():
            saved = checkpoint.load(folder / checkpoint.LAST, self.device)
            self.trainable.load_state_dict(saved["state"])
            checkpoint.restore_random_states({**saved["random"], "torch": saved["random"]["torch"].cpu()})
            if saved["best"]:
                checkpoint.keep_as_best(folder)
            if saved["row"]["epoch"] > self.epoch:
                self.outbox.append(saved["row"])
        for row in self.outbox.events:
            value = row["metrics"].get(self.objective.metric, math.nan)
            self.best = value if self.objective.better(value, self.best) else self.best

    @property
    def epoch(self) -> int:
        """Epochs in the outbox."""
        return int(self.outbox.events[-1]["epoch"]) if self.outbox.events else 0

    def step(self) -> log.Event:
        """Train one epoch and return its row."""
        started = time.monotonic()
        metrics = {name: float(value) for name, value in self.trainable.step().items()}
        metrics["time/epoch_s"] = time.monotonic() - started
        epoch = self.epoch + 1
        row: log.Event = {"epoch": epoch, "ts": now_ms(), "attempt": self.spec.attempt, "metrics": metrics}
        diverged = guard.divergence(metrics, self.objective.metric)
        if diverged:
            row["diverged"] = {**diverged, "reason": f"epoch {epoch}: {diverged['reason']}"}
        value = metrics.get(self.objective.metric, math.nan)
        best = not diverged and self.objective.better(value, self.best)
        if epoch in self.spec.media_epochs and not diverged:
            self._render(epoch)
        checkpoint.save(self.folder / "checkpoint", self.trainable.state_dict(), row, best=best)
        self.outbox.append(row)
        self.best = value if best else self.best
        return row

    def _render(self, epoch: int) -> None:
        # Listening must not change the training: whatever randomness it uses is put back.
        states = checkpoint.random_states()
        made = render(self.trainable, self.spec)
        checkpoint.restore_random_states(states)
        if made is not None:
            media.write(self.folder / "media" / f"epoch_{epoch:02d}", made, epoch=epoch)

    def close(self) -> None:
        """Let another process have the outbox."""
        self.outbox.close()
        self._lock.close()


def render(trainable: loader.Trainable, spec: TrialSpec) -> loader.Media | None:
    """What the probe clips sound like now, if the trainable has something to show."""
    corpus = loader.open_corpus(spec.corpus, Path(spec.home)) if spec.corpus else None
    return trainable.render(corpus.probes(spec.clips)) if corpus is not None and spec.clips else None
