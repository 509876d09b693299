"""Ray Tune with everything of its own, through the same kinds of kills: `Tuner.restore`, OptunaSearch, ASHA and the
MLflow callback. Run as a script it is one driver: `python ray_restore.py FOLDER CORPUS TRIALS MLFLOW_URI`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.chaos_rig import MLFLOW_DOWN_S, Server, fill, tell

EPOCHS = 9
FULL_S = 10.0
HANG_S = 120.0
"""So long without an epoch, and it is killed and restored."""
MAX_FAILURES = 4
"""Restores in a row without an epoch after which it counts as lost."""


def drive(folder: Path, corpus: Path, trials: int, uri: str) -> None:
    """Begin or restore, run to the end, and write down what Tune thinks of it."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    class Peer(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            import torch

            from tests.benchmarks.counted import Counted
            from trainables.corpora.opening import open_corpus

            torch.set_num_threads(1)
            home = folder / "home"
            opened = open_corpus({"name": "folder", "root": str(corpus)}, home)
            settings = {"spectrogram": "48x128", "width": 32, "latent_dim": 16, "batch_size": 2}
            given = Counted.Config(**settings, **config, executed=str(folder / "executed.txt"))
            torch.manual_seed(0)
            self.trainable = Counted(given, opened, device="cpu", seed=0)

        def step(self) -> dict[str, float]:
            return self.trainable.step()

        def save_checkpoint(self, path: str) -> None:
            import torch

            torch.save(self.trainable.state_dict(), Path(path) / "state.pt")

        def load_checkpoint(self, path: str) -> None:
            import torch

            self.trainable.load_state_dict(torch.load(Path(path) / "state.pt", weights_only=True))

    scheduler = ASHAScheduler(time_attr="training_iteration", max_t=EPOCHS, grace_period=1, reduction_factor=3)
    resources = tune.with_resources(Peer, {"cpu": (os.cpu_count() or 1) / 2})
    path = folder / "ray" / "peer"
    if tune.Tuner.can_restore(str(path)):
        tuner = tune.Tuner.restore(str(path), resources, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            resources,
            param_space={"loss": tune.choice(["l1", "vae"]), "lr": tune.loguniform(1e-4, 1e-2)},
            tune_config=tune.TuneConfig(
                metric="val/fvu",
                mode="min",
                search_alg=OptunaSearch(seed=3),
                scheduler=scheduler,
                num_samples=trials,
                max_concurrent_trials=2,
            ),
            run_config=tune.RunConfig(
                name="peer",
                storage_path=str(folder / "ray"),
                callbacks=[MLflowLoggerCallback(tracking_uri=uri, experiment_name="peer")],
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
                stop={"training_iteration": EPOCHS},
                verbose=0,
            ),
        )
    results = tuner.fit()
    told = [
        {
            "config": result.config,
            "epochs": (result.metrics or {}).get("training_iteration", 0),
            "error": bool(result.error),
        }
        for result in results
    ]
    (folder / "results.json").write_text(json.dumps(told))


def run_peer(folder: Path, corpus: Path, kinds: list[str], trials: int) -> dict[str, Any]:
    """Through the kills, and what is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    server, began = Server(folder / "mlflow"), time.monotonic()
    server.start()
    executed, rng = folder / "executed.txt", random.Random(0)
    driver: subprocess.Popen[bytes] | None = None
    server_back_s = float("inf")
    restores = failures = hangs = done = 0
    seen = (0, time.monotonic())

    def epochs() -> int:
        return executed.read_text().count("\n") if executed.exists() else 0

    while failures < MAX_FAILURES:
        if time.monotonic() > server_back_s:
            server.start()
            server_back_s = float("inf")
        if driver is None:
            with (folder / "output.txt").open("ab") as output:
                driver = subprocess.Popen(
                    [sys.executable, __file__, str(folder), str(corpus), str(trials), server.uri],
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            at_start, seen = epochs(), (epochs(), time.monotonic())
            strike_at = at_start + rng.randint(1, 6)
        code = driver.poll()
        if code is not None:
            is_idle = epochs() == at_start
            if code == 0 and is_idle and done >= len(kinds):
                # Restored once more, it found nothing left to do.
                break
            failures = failures + 1 if is_idle else 0
            restores, driver = restores + 1, None
            continue
        if epochs() > seen[0]:
            seen = (epochs(), time.monotonic())
        if time.monotonic() - seen[1] > HANG_S:
            hangs += 1
            driver.kill()
        elif done < len(kinds) and epochs() >= strike_at:
            tell(sys.stderr, f"Tuner.restore, epoch {epochs()}: {kinds[done]}")
            server_back_s = min(server_back_s, _strike(kinds[done], folder, driver, server))
            done, strike_at = done + 1, epochs() + rng.randint(1, 6)
        time.sleep(0.1)
    if driver is not None and driver.poll() is None:
        driver.kill()
        driver.wait()
    if server_back_s != float("inf"):
        server.start()
    figures = {"kills": done, "minutes": round((time.monotonic() - began) / 60, 1)}
    figures |= _figures(folder, server.database, trials, epochs(), gave_up=failures >= MAX_FAILURES)
    server.kill()
    return figures | {"restores": restores, "hangs": hangs}


def _strike(kind: str, folder: Path, driver: subprocess.Popen[bytes], server: Server) -> float:
    """Let one thing happen; when the server comes back."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(driver.pid).children(recursive=True)
        match kind:
            # Its files are replaced, not appended to: there is no line to tear.
            case "driver killed" | "killed in an outbox line" | "killed in the sweep log":
                driver.kill()
            case "trial killed" | "killed in a checkpoint":
                workers = [each for each in children if " ".join(each.cmdline()).startswith("ray::Peer")]
                if workers:
                    random.Random(driver.pid).choice(workers).kill()
            case "raylet killed":
                for each in children:
                    if each.name() == "raylet":
                        each.kill()
            case "SIGINT" | "SIGTERM" | "SIGHUP":
                driver.send_signal(signal.Signals[kind])
            case "disk full":
                _fill_disk(folder, driver)
            case "MLflow killed for 60 s":
                server.kill()
                return time.monotonic() + MLFLOW_DOWN_S
    return float("inf")


def _fill_disk(folder: Path, driver: subprocess.Popen[bytes]) -> None:
    ballast = folder / "ballast"
    fill(ballast)
    deadline = time.monotonic() + FULL_S
    while time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.1)
    ballast.unlink()


def _figures(folder: Path, database: Path, trials: int, begun: int, *, gave_up: bool) -> dict[str, Any]:
    try:
        told = json.loads((folder / "results.json").read_text())
    except FileNotFoundError:
        told = []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        runs = connection.execute("SELECT run_uuid, status FROM runs").fetchall()
        values = connection.execute("SELECT run_uuid, key, value FROM params WHERE key IN ('lr', 'loss')").fetchall()
        points = connection.execute("SELECT run_uuid, step FROM metrics WHERE key = 'train/loss'").fetchall()
    configs: dict[str, dict[str, str]] = {}
    for run, key, value in values:
        configs.setdefault(run, {})[key] = value
    of_trial = {run: (each.get("loss"), each.get("lr")) for run, each in configs.items()}
    present = Counter((of_trial.get(run), step) for run, step in points)
    wanted = {
        ((each["config"]["loss"], str(each["config"]["lr"])), e + 1) for each in told for e in range(each["epochs"])
    }
    finished = [each for each in told if not each["error"]]
    folders = [path for path in (folder / "ray" / "peer").glob("*") if path.is_dir()]
    return {
        "trials lost": trials - len(finished),
        "trials duplicated": max(0, len(folders) - trials),
        "MLflow runs per trial": f"{len(runs)} for {trials}",
        "runs left RUNNING": sum(status == "RUNNING" for _, status in runs),
        "points missing": len(wanted - present.keys()),
        "points duplicated": sum(count - 1 for count in present.values()),
        "epochs recorded": sum(each["epochs"] for each in told),
        "epochs executed again": begun - sum(each["epochs"] for each in told),
        "gave up": "yes" if gave_up else "no",
    }


if __name__ == "__main__":
    drive(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
