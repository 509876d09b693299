"""A sweep's folder as a driver and its workers would write it, and MLflow read back."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from matplotlib.image import imsave
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.search_space.combinations import rendering_name
from orchestrator.tracking.__main__ import follow

Fill = Callable[["SweepFolder"], None]
"""Writes the trials of a sweep."""
METRICS = ("train/loss", "val/loss", "val/judge_probability", "val/judge_accuracy", "val/fvu", "val/lsd_db")


class SweepFolder:
    """Writes the files that tracking follows; time goes on by a second with every line."""

    def __init__(self, home: Path, name: str = "vae", uri: str = "", artifact_root: str | None = "") -> None:
        self.home = home
        self.path = home / name
        self.name = name
        self.uri = uri or f"sqlite:///{home / 'mlflow.db'}"
        self.artifact_root = str(home / "artifacts") if artifact_root == "" else artifact_root
        self.ts = 1_795_000_000_000
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "search_space.yaml").exists():
            (self.path / "search_space.yaml").write_text(f"name: {name}\n")

    def _append(self, path: Path, line: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def trial(self, number: int) -> Path:
        return self.path / "trials" / f"{number:04d}"

    def event(self, event: str, **fields: Any) -> None:
        self.ts += 1000
        self._append(self.path / "sweep.jsonl", {"event": event, "ts": self.ts, **fields})

    def start(self, **changes: Any) -> None:
        given: dict[str, Any] = {
            "sweep": self.name,
            "search_space": "vae",
            "objective": {"metric": "val/judge_probability", "mode": "max"},
            "tracking_uri": self.uri,
            "artifact_root": self.artifact_root,
            "compare": ["loss"],
            "git": {"commit": "0004459abc", "dirty": True},
            "versions": {"torch": "2.14.1"},
            "corpus": {"name": "demo", "fingerprint": "ab12"},
            "judge": "judge-a",
            "references": [{"reference": "real clips", "size": None, "val/judge_accuracy": 0.97}],
            "seed": 0,
            "host": "here",
            "pid": 1,
            "command": "orchestrate sweep search_spaces/vae.yaml",
        }
        self.event("started", **given | changes)

    def ask(
        self,
        trial: int,
        loss: str = "vae",
        *,
        lr: float = 3e-4,
        of: int | None = None,
        compared: Mapping[str, Any] | None = None,
        searched: Mapping[str, Any] | None = None,
    ) -> None:
        """Ask for a trial, and begin its first attempt; what is compared or searched may be something else."""
        compared, searched = compared or {"loss": loss}, searched or {"lr": lr}
        self.event(
            "asked",
            trial=trial,
            arm=rendering_name(compared),
            index=trial - 1,
            stage="search" if of is None else "confirm",
            source="tpe" if of is None else "confirm",
            of=of,
            seed=100 + trial,
            compared=compared,
            searched=searched,
            params={**compared, "latent_dim": 128, "warm_up": True, **searched},
        )
        self.attempt(trial)

    def attempt(self, trial: int, number: int = 1) -> None:
        self.event("attempt", trial=trial, attempt=number, code="c0de")

    def report(self, trial: int, epoch: int, **values: float) -> None:
        """An epoch; the objective rises with it unless it is given as `judge_probability`."""
        self.ts += 1000
        given = {f"val/{name}": value for name, value in values.items()}
        metrics = {name: 1 - 1 / (epoch + trial) for name in METRICS} | given
        line = {"epoch": epoch, "ts": self.ts, "attempt": 1, "metrics": metrics}
        self._append(self.trial(trial) / "outbox.jsonl", line)

    def end(
        self, trial: int, outcome: str = "completed", cause: str = "none", reason: str = "", epochs: int = 2
    ) -> None:
        self.event("ended", trial=trial, outcome=outcome, cause=cause, reason=reason, epochs=epochs)

    def close(self, outcome: str = "finished", reason: str = "") -> None:
        self.event("closed", outcome=outcome, reason=reason)

    def whole_trial(
        self, trial: int, loss: str = "vae", epochs: int = 2, searched: Mapping[str, Any] | None = None
    ) -> None:
        self.ask(trial, loss, searched=searched)
        for epoch in range(1, epochs + 1):
            self.report(trial, epoch)
        self.end(trial, epochs=epochs)

    def render(
        self,
        trial: int,
        folder: str,
        epoch: int,
        *,
        level: float = 0.5,
        picture: str = "spectrogram",
        ends: str = "",
        seconds: float = 0.1,
        alone: bool = False,
    ) -> None:
        """Sounds and pictures of two probe clips; `picture` is the column that names those, `ends` the one sound.

        With `alone` the original, which is black, and the reconstruction have a picture each, too.
        """
        target = self.trial(trial) / "media" / folder
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        sound = level * np.sin(2 * np.pi * 440 * np.arange(int(22050 * seconds)) / 22050)
        for clip in ("dog_1", "rain_2"):
            for kind in (ends,) if ends else ("original", "reconstruction"):
                soundfile.write(target / f"{clip}_{kind}.wav", sound, 22050, subtype="PCM_16")
            imsave(target / f"{clip}.png", np.full((8, 16, 3), int(255 * level), np.uint8))
        rows = [
            {"clip": clip, "class": clip[:-2], "judge_probability": level, picture: clip}
            for clip in ("dog_1", "rain_2")
        ]
        for row in rows if alone else []:
            for kind, shade in (("original", 0), ("reconstruction", int(255 * level))):
                row[kind] = f"{row['clip']}_{kind}"
                imsave(target / f"{row[kind]}.png", np.full((8, 12, 3), shade, np.uint8))
        (target / "clips.json").write_text(json.dumps({"epoch": epoch, "clips": rows}))

    @contextlib.contextmanager
    def driven(self) -> Iterator[None]:
        """A driver is alive meanwhile."""
        with open(self.path / "driver.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "tracking.json").read_text())
        return found

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def runs(self, experiment: str = "vae") -> dict[str, Run]:
        """MLflow's runs by name, each of which must be there once."""
        found = self.client.get_experiment_by_name(experiment)
        runs = self.client.search_runs([found.experiment_id]) if found else []
        assert len({run.info.run_name for run in runs}) == len(runs)
        return {run.info.run_name: run for run in runs}

    def run(self, trial: int, experiment: str = "vae") -> Run:
        return next(run for name, run in self.runs(experiment).items() if name.startswith(f"t{trial:02d}"))

    def steps(self, trial: int, metric: str = "val/loss", experiment: str = "vae") -> list[int]:
        """The steps of a metric's points in MLflow, in the order in which they arrived."""
        run_id = self.run(trial, experiment).info.run_id
        return [point.step for point in self.client.get_metric_history(run_id, metric)]

    def clips(self, trial: int) -> pd.DataFrame:
        """The table of clips."""
        return pd.read_json(self.download(self.run(trial), "clips.json"), orient="split")

    def download(self, run: Run, path: str) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, path))

    def artifacts(self, trial: int, folder: str | None = None) -> set[str]:
        return {file.path for file in self.client.list_artifacts(self.run(trial).info.run_id, folder)}


def record_sweep(home: Path, empty_database: Path, fill: Fill) -> SweepFolder:
    """Return a sweep in a home of its own whose runs are in MLflow, to be read only.

    Args:
        home: an empty folder.
        empty_database: a database of MLflow without runs, which is copied because making one takes seconds.
        fill: writes the trials.
    """
    shutil.copy(empty_database, home / "mlflow.db")
    sweep = SweepFolder(home)
    fill(sweep)
    follow(sweep.path, once=True)
    return sweep
