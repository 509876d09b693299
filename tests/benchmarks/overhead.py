"""What the machinery costs a trial: ours against bare Ray Tune, Ray's MLflow callback and Optuna with MLflow inline.

    python tests/benchmarks/overhead.py [--trials 300] [--rounds 1]

Every contender runs the same trials, three reports of sixteen metrics each, in a process of its own, one after
the other, with an MLflow sqlite database that exists already. `ms per trial` is the time from the first report to the
moment at which the last value is recorded (for ours: has arrived in MLflow), divided by the trials after the first;
`first report` counts from the start of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NUM_REPORTS = 3
NUM_METRICS = 16
CONTENDERS = ("ours", "bare Ray Tune", "Ray Tune + its MLflow callback", "Optuna + MLflow inline")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


def metrics_at(x: float, epoch: int) -> dict[str, float]:
    """The values of `noop.Noop`, for the contenders that can't run it."""
    score = 1 - abs(x - 0.3) - 0.5**epoch
    rest = {f"train/metric_{index}": score * index for index in range(2, NUM_METRICS)}
    return {"val/score": score, "val/error": -score} | rest


def run_ours(home: Path, trials: int) -> dict[str, float]:
    """`orchestrate sweep` on one arm without pruning."""
    space = home / "noop.yaml"
    space.write_text(
        f"name: noop\ntrainable: {HERE / 'noop.py'}\nobjective: {{metric: val/score, mode: max}}\n"
        "params: {x: {uniform: [0, 1]}}\npruning: none\n"
        f"budget: {{trials_per_arm: {trials}, max_epochs: {NUM_REPORTS}}}\nresources: {{cpu: 1}}\n"
    )
    started = time.time()
    command = [
        sys.executable,
        "-c",
        "from orchestrator.cli import main; main()",
        "sweep",
        str(space),
        "--home",
        str(home),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    folder = home / "noop"
    rows = [json.loads(line)["ts"] / 1000 for path in folder.glob("trials/*/outbox.jsonl") for line in path.open()]
    sent = max(path.stat().st_mtime for path in folder.glob("trials/*/mlflow.json"))
    assert len(rows) == trials * NUM_REPORTS, f"{len(rows)} rows"
    return {"first": min(rows) - started, "per_trial": (sent - min(rows)) / (trials - 1)}


def run_ray(home: Path, trials: int, *, with_mlflow: bool) -> dict[str, float]:
    """Ray Tune with `reuse_actors` and random search, in this process."""
    os.environ.update(QUIET)
    started = time.time()
    import ray
    from ray import tune

    first: list[float] = []

    class Clock(tune.Callback):
        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
        ) -> None:
            first.append(time.time()) if not first else None

    callbacks: list[tune.Callback] = [Clock()]
    if with_mlflow:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        callbacks.append(MLflowLoggerCallback(tracking_uri=f"sqlite:///{home / 'mlflow.db'}", experiment_name="ray"))

    def noop(config: dict[str, float]) -> None:
        # As the trials of a real search do, and as ours do in any case.
        import torch

        assert torch.get_num_threads()
        for epoch in range(1, NUM_REPORTS + 1):
            tune.report(metrics_at(config["x"], epoch))

    ray.init(address="local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    tuner = tune.Tuner(
        noop,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=os.cpu_count(), reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(home / "ray"), callbacks=callbacks, verbose=0),
    )
    results = tuner.fit()
    ended = time.time()
    assert len(results) == trials
    ray.shutdown()
    return {"first": first[0] - started, "per_trial": (ended - first[0]) / (trials - 1)}


def run_optuna(home: Path, trials: int) -> dict[str, float]:
    """`study.optimize` with TPE, each trial a run, each report one `log_metrics`, in this process."""
    os.environ.update(QUIET)
    started = time.time()
    import mlflow
    import optuna

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    mlflow.set_experiment("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        score = 0.0
        with mlflow.start_run(run_name=f"t{trial.number}"):
            mlflow.log_params(trial.params)
            for epoch in range(1, NUM_REPORTS + 1):
                metrics = metrics_at(x, epoch)
                mlflow.log_metrics(metrics, step=epoch)
                first.append(time.time()) if not first else None
                score = metrics["val/score"]
        return score

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=trials)
    return {"first": first[0] - started, "per_trial": (time.time() - first[0]) / (trials - 1)}


RUNNERS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "ours": run_ours,
    "bare Ray Tune": lambda home, trials: run_ray(home, trials, with_mlflow=False),
    "Ray Tune + its MLflow callback": lambda home, trials: run_ray(home, trials, with_mlflow=True),
    "Optuna + MLflow inline": run_optuna,
}


def in_own_process(contender: str, trials: int) -> dict[str, float]:
    """Run one contender in a fresh process and home."""
    with tempfile.TemporaryDirectory() as folder:
        create = "import mlflow, sys; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
        uri = f"sqlite:///{folder}/mlflow.db"
        subprocess.run([sys.executable, "-c", create, uri], check=True, capture_output=True, env=os.environ | QUIET)
        command = [sys.executable, __file__, "--contender", contender, "--trials", str(trials), "--home", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    """Run all contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1, help="rounds over all contenders; medians are printed")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(RUNNERS[given.contender](given.home, given.trials)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(given.rounds):
        for name in CONTENDERS:
            found[name].append(in_own_process(name, given.trials))
            print(f"{name}: {found[name][-1]}", file=sys.stderr)
    per_trial = {name: 1000 * statistics.median(each["per_trial"] for each in runs) for name, runs in found.items()}
    print(f"{given.trials} trials of {NUM_REPORTS} reports of {NUM_METRICS} metrics, {os.cpu_count()} processors")
    print(f"{'':32}{'ms per trial':>14}{'over bare Ray':>15}{'ratio to ours':>15}{'first report, s':>17}")
    for name in CONTENDERS:
        first = statistics.median(each["first"] for each in found[name])
        over, ratio = per_trial[name] - per_trial["bare Ray Tune"], per_trial[name] / per_trial["ours"]
        print(f"{name:32}{per_trial[name]:14.1f}{over:15.1f}{ratio:15.2f}{first:17.1f}")


if __name__ == "__main__":
    main()
