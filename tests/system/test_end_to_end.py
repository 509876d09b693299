"""`orchestrate sweep` on a tiny corpus: two losses, pruning, sounds, confirmation; read back with MLflow's client."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.entities import Run

from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words
from tests.support.spaces import TINY_PARAMS, write_space


@pytest.fixture(scope="module")
def swept(tiny_corpus: Path, tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, MlflowClient]:
    space = write_space(
        tmp_path_factory.mktemp("space") / "tiny.yaml",
        trainable="autoencoder",
        corpus={"name": "folder", "root": str(tiny_corpus)},
        objective={"metric": "val/judge_probability", "mode": "max"},
        compare={"loss": ["l1", "vae"]},
        params={**TINY_PARAMS, "kl_weight": {"loguniform": [1e-3, 1.0], "when": {"loss": "vae"}}},
        budget={"trials_per_arm": 2, "max_epochs": 3},
        evaluate={"phase": ["original", "zero"]},
        confirm={"top": 1, "seeds": 1},
        media={"clips": 3, "epochs": [1, "best"]},
    )
    ledger = run_sweep(read_search_space(space), tiny_home, Screen())
    return ledger, MlflowClient(f"sqlite:///{tiny_home / 'mlflow.db'}")


def runs(client: MlflowClient, role: str) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    mine = f"tags.`{words.TAG_ROLE}` = '{role}' and tags.`{words.TAG_SWEEP}` = 'tiny'"
    return list(client.search_runs(experiments, mine))


def paths(client: MlflowClient, run: Run, folder: str = "") -> set[str]:
    return {file.path for file in client.list_artifacts(run.info.run_id, folder)}


def test_every_trial_is_a_finished_child_of_the_sweep(swept: tuple[Ledger, MlflowClient]) -> None:
    ledger, client = swept
    (parent,) = runs(client, words.ROLE_SWEEP)
    assert parent.info.status == "FINISHED"
    children = runs(client, words.ROLE_TRIAL)
    assert len(children) == len(ledger.trials) == 6
    for run in children:
        trial = ledger.trials[int(run.data.tags[words.TAG_TRIAL])]
        assert run.data.tags[words.TAG_PARENT] == parent.info.run_id
        assert (run.info.status, run.data.tags[words.TAG_OUTCOME]) == ("FINISHED", trial.outcome)
        assert trial.outcome in ("completed", "pruned")
        assert run.data.tags[words.TAG_JUDGE].startswith("A-")
        assert run.data.params["loss"] == trial.params["loss"]
        assert ("kl_weight" in run.data.params) == (trial.params["loss"] == "vae")


def test_the_metrics_of_every_epoch_are_there(swept: tuple[Ledger, MlflowClient]) -> None:
    ledger, client = swept
    wanted = {"judge_probability", "judge_accuracy", "fvu", "fvu_own", "lsd_db", "loss"}
    for run in runs(client, words.ROLE_TRIAL):
        trial = ledger.trials[int(run.data.tags[words.TAG_TRIAL])]
        for name in wanted:
            history = client.get_metric_history(run.info.run_id, f"val/{name}")
            assert [(point.step, point.value) for point in history] == [
                (row["epoch"], row["metrics"][f"val/{name}"]) for row in ledger.read_rows(trial)
            ]
            assert f"best/val_{name}" in run.data.metrics


def test_the_same_probe_clips_can_be_heard_in_every_trial(swept: tuple[Ledger, MlflowClient]) -> None:
    _, client = swept
    root_sounds = []
    for run in runs(client, words.ROLE_TRIAL):
        sounds = {path for path in paths(client, run) if path.endswith(".wav")}
        assert len(sounds) == 6
        root_sounds.append(sounds)
        assert {path.rsplit("/", 1)[1] for path in paths(client, run, "audio/epoch_01")} == sounds
        local = client.download_artifacts(run.info.run_id, sorted(sounds)[0])
        samples, rate_hz = soundfile.read(local)
        assert (len(samples), rate_hz) == (44100, 22050)
        assert "clips.json" in paths(client, run)
    assert all(sounds == root_sounds[0] for sounds in root_sounds)


def test_each_rendering_of_a_completed_trial_is_a_run_below_it(swept: tuple[Ledger, MlflowClient]) -> None:
    ledger, client = swept
    trials = {run.data.tags[words.TAG_TRIAL]: run.info.run_id for run in runs(client, words.ROLE_TRIAL)}
    completed = [str(trial.number) for trial in ledger.trials.values() if trial.outcome == "completed"]
    renderings = runs(client, words.ROLE_EVALUATION)
    assert sorted((run.data.tags[words.TAG_TRIAL], run.data.params["phase"]) for run in renderings) == sorted(
        (number, phase) for number in completed for phase in ("original", "zero")
    )
    for run in renderings:
        assert run.data.tags[words.TAG_PARENT] == trials[run.data.tags[words.TAG_TRIAL]]
        assert len([path for path in paths(client, run) if path.endswith(".wav")]) == 6
        assert (run.data.metrics["val/sound_side_info_floats"] > 0) == (run.data.params["phase"] == "original")
    distances = {phase: [] for phase in ("original", "zero")}
    for run in renderings:
        distances[run.data.params["phase"]].append(run.data.metrics["val/sound_mel_lsd_db"])
    assert max(distances["original"]) < min(distances["zero"])


def test_the_parent_has_the_page_on_which_the_arms_are_heard_side_by_side(swept: tuple[Ledger, MlflowClient]) -> None:
    _, client = swept
    (parent,) = runs(client, words.ROLE_SWEEP)
    page = load_text(f"{parent.info.artifact_uri}/{words.ARTIFACT_LISTEN}")
    assert all(arm in page for arm in ("loss=l1", "loss=vae"))
    flac = base64.b64encode(b"fLaC").decode().rstrip("=")
    assert page.count(flac[:5]) >= 2


def test_only_confirmed_trials_are_judged_on_the_test_split(swept: tuple[Ledger, MlflowClient]) -> None:
    ledger, client = swept
    for run in runs(client, words.ROLE_TRIAL):
        trial = ledger.trials[int(run.data.tags[words.TAG_TRIAL])]
        tested = {name for name in run.data.metrics if name.startswith("test/")}
        if trial.stage == "search":
            assert not tested
            continue
        assert {"test/judge_probability", "test/mel_lsd_db"} <= tested
        table = pd.read_csv(io.StringIO(load_text(f"{run.info.artifact_uri}/{words.ARTIFACT_PER_RECORDING}")))
        assert {"recording", "class", "judge_probability", "mel_lsd_db"} <= set(table.columns)
        assert table["judge_probability"].mean() == pytest.approx(run.data.metrics["test/judge_probability"])
