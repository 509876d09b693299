import json
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import mlflow.data
import numpy as np
import pytest
from mlflow.entities import Run
from PIL import Image

from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.sender import is_behind
from tests.support.sweep_folder import METRICS, SweepFolder


def note_of(run: Run) -> str:
    return str(run.data.tags["mlflow.note.content"]).replace("&ensp;", "")


def forget_what_was_sent(sweep: SweepFolder) -> None:
    for path in sweep.path.rglob("mlflow.json"):
        path.unlink()


def test_following_twice_sends_every_point_once(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1, epochs=3)
    sweep.close()
    follow(sweep.path, once=True)
    follow(sweep.path, once=True)
    assert set(sweep.runs()) == {"vae", "t01-vae-lr3e-4"}
    assert {metric: sweep.steps(1, metric) for metric in METRICS} == {metric: [1, 2, 3] for metric in METRICS}
    assert sweep.status()["backlog"] == sweep.status()["waiting"] == 0 and sweep.status()["error"] is None


def test_the_sweep_keeps_what_it_compared_beside_its_runs(sweep: SweepFolder) -> None:
    sweep.start(baseline={"loss": "l2"})
    sweep.whole_trial(1)
    sweep.close()
    follow(sweep.path, once=True)
    run = sweep.runs()["vae"]
    record = json.loads(Path(run.info.artifact_uri, "sweep.json").read_text())
    assert (record["compare"], record["baseline"]) == (["loss"], {"loss": "l2"})
    assert record["references"][0]["val/judge_accuracy"] == 0.97
    assert "tracking_uri" not in record, "it may hold a password"


def test_a_replay_after_losing_the_offsets_makes_no_doubles(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.render(1, "best", 2)
    sweep.close()
    follow(sweep.path, once=True)
    before = {name: run.info.run_id for name, run in sweep.runs().items()}
    images = sweep.artifacts(1, "images")
    forget_what_was_sent(sweep)
    follow(sweep.path, once=True)
    assert {name: run.info.run_id for name, run in sweep.runs().items()} == before
    assert sweep.steps(1) == [1, 2] and sweep.steps(1, "best/epoch") == [0]
    assert sweep.artifacts(1, "images") == images


def test_a_run_that_was_made_twice_is_kept_once(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    kept = sweep.run(1)
    tags = {key: value for key, value in kept.data.tags.items() if key.startswith("orchestrate.")}
    double = sweep.client.create_run(kept.info.experiment_id, kept.info.start_time - 1, tags, kept.info.run_name)
    follow(sweep.path, once=True)
    assert sweep.run(1).info.run_id == kept.info.run_id
    assert sweep.client.get_run(double.info.run_id).info.lifecycle_stage == "deleted"


def test_what_is_written_later_goes_to_the_same_run(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    follow(sweep.path, once=True)
    first = sweep.run(1).info.run_id
    sweep.report(1, 2)
    sweep.end(1)
    follow(sweep.path, once=True)
    assert sweep.run(1).info.run_id == first
    assert sweep.steps(1) == [1, 2]


def test_two_sweeps_of_one_name_keep_their_runs_apart(sweep: SweepFolder) -> None:
    other = SweepFolder(sweep.home / "other home", uri=sweep.uri)
    for each in (sweep, other):
        each.start(pid=id(each))
        each.ask(1, lr=1e-3 if each is other else 3e-4)
        each.report(1, 1)
        follow(each.path, once=True)
    experiment = sweep.client.get_experiment_by_name("vae")
    assert experiment is not None and len(sweep.client.search_runs([experiment.experiment_id])) == 4


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("completed", "FINISHED"), ("pruned", "FINISHED"), ("diverged", "FAILED"), ("failed", "FAILED")],
)
def test_an_outcome_is_a_status_a_tag_and_words(sweep: SweepFolder, outcome: str, status: str) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    sweep.end(1, outcome, "none", "for a reason", epochs=1)
    ended_ms = sweep.ts
    follow(sweep.path, once=True)
    run = sweep.run(1)
    assert (run.info.status, run.info.end_time) == (status, ended_ms)
    assert run.data.tags["orchestrate.outcome"] == outcome
    assert run.data.tags["orchestrate.reason"] == "for a reason"
    assert f"**{outcome}** after 1 epoch: for a reason." in run.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("corpus", "source"),
    [
        ({"source": "folder /data/my sounds"}, {"uri": "/data/my sounds"}),
        ({"source": "demo 0"}, {"tags": {"corpus": "demo 0"}}),
        ({}, {"tags": {"corpus": "folder"}}),
    ],
)
def test_the_corpus_is_a_dataset_among_the_inputs_of_every_run(
    sweep: SweepFolder, corpus: dict[str, Any], source: dict[str, Any]
) -> None:
    splits = {"train": {"recordings": 3, "clips": 6}}
    sweep.start(corpus={"name": "folder", "fingerprint": "ab12", "classes": 3, "splits": splits, **corpus})
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    follow(sweep.path, once=True)
    for run in (sweep.run(1), sweep.runs()["vae"]):
        (logged,) = run.inputs.dataset_inputs
        assert (logged.dataset.name, logged.dataset.digest) == ("folder", "ab12")
        assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "training")]
        assert json.loads(logged.dataset.profile) == {"classes": 3, "splits": splits}
        assert mlflow.data.get_source(logged.dataset).to_dict() == source


def test_params_and_tags_have_the_names_of_the_vocabulary(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(7)
    sweep.ask(8, of=7)
    sweep.end(8, epochs=0)
    follow(sweep.path, once=True)
    run, parent = sweep.run(7), sweep.runs()["vae"]
    assert run.data.params == {"loss": "vae", "latent_dim": "128", "warm_up": "true", "lr": "0.0003", "seed": "107"}
    expected = {
        "mlflow.parentRunId": parent.info.run_id,
        "mlflow.source.git.commit": "0004459abc",
        "orchestrate.arm": "loss=vae",
        "orchestrate.attempt": "1",
        "orchestrate.cause": "none",
        "orchestrate.code": "c0de",
        "orchestrate.corpus_fingerprint": "ab12",
        "orchestrate.epochs": "2",
        "orchestrate.git_dirty": "true",
        "orchestrate.judge": "judge-a",
        "orchestrate.role": "trial",
        "orchestrate.stage": "search",
        "orchestrate.sweep": "vae",
        "orchestrate.trial": "7",
    }
    assert {key: run.data.tags.get(key) for key in expected} == expected
    assert parent.data.tags["orchestrate.role"] == "sweep"
    assert parent.data.tags["orchestrate.version.torch"] == "2.14.1"
    confirms = sweep.run(8)
    assert confirms.info.run_name == "t08-vae-confirms-t07"
    assert confirms.data.tags["orchestrate.confirms"] == "7"


def test_a_judge_of_a_later_start_is_not_written_to_trials_of_an_earlier_one(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.start(judge="judge-b")
    sweep.whole_trial(2)
    follow(sweep.path, once=True)
    assert [sweep.run(trial).data.tags["orchestrate.judge"] for trial in (1, 2)] == ["judge-a", "judge-b"]


def test_the_best_epoch_is_chosen_by_the_objective_and_nan_never_wins(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    for epoch, (probability, fvu) in enumerate([(0.4, 0.5), (0.8, 0.3), (math.nan, 0.1), (0.7, 0.2)], 1):
        sweep.report(1, epoch, judge_probability=probability, fvu=fvu)
    sweep.end(1, epochs=4)
    sweep.event("evaluated", trial=1, metrics={"test/judge_accuracy": 0.6}, error=None)
    follow(sweep.path, once=True)
    metrics = sweep.run(1).data.metrics
    assert (metrics["best/epoch"], metrics["best/val_judge_probability"], metrics["best/val_fvu"]) == (2, 0.8, 0.3)
    assert metrics["test/judge_accuracy"] == 0.6
    assert "best/train_loss" not in metrics
    assert math.isnan(sweep.client.get_metric_history(sweep.run(1).info.run_id, "val/judge_probability")[2].value)


def test_renderings_lie_where_mlflow_shows_them(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    (sweep.trial(1) / "config.yaml").write_text("loss: vae\n")
    (sweep.trial(1) / "per_recording.csv").write_text("recording,class\n")
    sweep.render(1, "epoch_01", 1)
    sweep.render(1, "best", 2, level=0.25, alone=True)
    sweep.render(1, "epoch_02.tmp", 2)
    follow(sweep.path, once=True)
    follow(sweep.path, once=True)
    sounds = {f"{clip}_{kind}.wav" for clip in ("dog_1", "rain_2") for kind in ("original", "reconstruction")}
    files = {"clips.json", "config.yaml", "per_recording.csv", "audio", "images", "pictures", "pictures.json"}
    assert sweep.artifacts(1) == sounds | files
    assert sweep.artifacts(1, "audio") == {"audio/epoch_01"}
    assert sweep.artifacts(1, "audio/epoch_01") == {f"audio/epoch_01/{sound}" for sound in sounds}
    table = sweep.clips(1)
    assert list(table["clip"]) == ["dog_1", "rain_2"]
    assert {cell["filepath"] for cell in table["spectrogram"]} < sweep.artifacts(1, "images")
    assert "original" not in table and list(table["judge_probability"]) == [0.25, 0.25]
    assert "search_space.yaml" in {file.path for file in sweep.client.list_artifacts(sweep.runs()["vae"].info.run_id)}


def test_the_pictures_of_the_best_epoch_are_at_one_step_in_all_trials(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.render(1, "epoch_02", 2, alone=True)
    sweep.render(1, "best", 2, alone=True)
    follow(sweep.path, once=True)
    steps = {path.split("+timestamp")[0] for path in sweep.artifacts(1, "images")}
    clips = ("dog_1", "rain_2")
    of_history = {f"images/spectrogram~{clip}+step+2" for clip in clips}
    assert steps == of_history | {f"images/best_spectrogram~{clip}+step+0" for clip in clips}
    assert sweep.artifacts(1, "audio") == {"audio/epoch_02"}


def test_a_picture_is_in_the_half_of_its_cell_that_mlflow_shows(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.render(1, "best", 2, level=0.5, alone=True)
    sweep.whole_trial(2)
    sweep.render(2, "best", 2, level=0.5, picture="image")
    follow(sweep.path, once=True)
    tables = [json.loads(sweep.download(sweep.run(trial), "pictures.json").read_text()) for trial in (1, 2)]
    rows = [f"{clip}, {kind}" for clip in ("dog_1", "rain_2") for kind in ("original", "reconstruction")]
    assert [[row[0] for row in table["data"]] for table in tables] == [rows, ["dog_1", "rain_2"]]
    for trial, table, shade in ((1, tables[0], 0), (2, tables[1], 127)):
        # MLflow compares the first text column after the clip, and this table has none.
        assert table["columns"] == ["clip", "picture"]
        cell = np.asarray(Image.open(sweep.download(sweep.run(trial), table["data"][0][1]["compressed_filepath"])))
        side = len(cell)
        assert cell.shape == (side, side, 4) and not cell[side // 2 :, :, 3].any()
        assert abs(int(cell[side // 4, side // 2, 0]) - shade) <= 2 and cell[side // 4, side // 2, 3] == 255
    first = json.loads(sweep.run(1).data.tags["mlflow.loggedArtifacts"])[0]
    assert first == {"path": "pictures.json", "type": "table"}


def test_one_trial_that_cannot_be_sent_holds_back_no_other(sweep: SweepFolder) -> None:
    sweep.start()
    for trial in (1, 2):
        sweep.whole_trial(trial)
    clips = sweep.trial(1) / "media" / "best" / "clips.json"
    sweep.render(1, "best", 2)
    clips.rename(clips.with_suffix(".moved"))
    clips.write_text("no JSON")
    follow(sweep.path, once=True, patience_s=0)
    assert sweep.run(2).info.status == "FINISHED"
    assert "Expecting value" in sweep.status()["error"]
    clips.with_suffix(".moved").rename(clips)
    follow(sweep.path, once=True)
    assert sweep.run(1).info.status == "FINISHED"
    assert sweep.status()["error"] is None


def test_pictures_are_named_as_mlflow_itself_names_them(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.render(1, "epoch_02", 2)
    follow(sweep.path, once=True)
    run_id = sweep.run(1).info.run_id
    ours = sweep.artifacts(1, "images")
    tags = sweep.run(1).data.tags
    sweep.client.log_image(run_id, np.zeros((8, 8), np.uint8), key="spectrogram/dog_1", step=2, timestamp=1)

    def shapes(names: set[str]) -> set[str]:
        dogs = {name for name in names if "dog" in name}
        return {re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", re.sub(r"timestamp\+\d+", "TIME", name)) for name in dogs}

    assert shapes(ours) == shapes(sweep.artifacts(1, "images") - ours)
    assert tags["mlflow.loggedImages"].lower() == sweep.run(1).data.tags["mlflow.loggedImages"].lower()


def test_a_better_best_epoch_replaces_the_sounds_and_the_table(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.render(1, "best", 2, level=0.25)
    follow(sweep.path, once=True)
    sweep.event("extended", trial=1, max_epochs=4)
    sweep.attempt(1, 2)
    with sweep.driven():
        follow(sweep.path, once=True)
    assert (sweep.run(1).info.status, sweep.run(1).data.tags["orchestrate.outcome"]) == ("RUNNING", "running")
    sweep.report(1, 3)
    sweep.end(1, epochs=3)
    sweep.render(1, "best", 3, level=0.75)
    follow(sweep.path, once=True)
    run = sweep.run(1)
    assert list(sweep.clips(1)["judge_probability"]) == [0.75, 0.75]
    assert (run.data.metrics["best/epoch"], run.info.status) == (3, "FINISHED")
    heard = sweep.download(run, "dog_1_reconstruction.wav")
    assert heard.read_bytes() == (sweep.trial(1) / "media/best/dog_1_reconstruction.wav").read_bytes()


def test_the_best_trial_of_each_arm_is_heard_side_by_side(sweep: SweepFolder) -> None:
    sweep.start()
    for trial, loss in enumerate(["l1", "l2", "l1", "vae"], 1):
        sweep.whole_trial(trial, loss)
        sweep.render(trial, "epoch_01" if trial == 2 else "best", 2)
    sweep.ask(5, "l1", of=3)
    sweep.report(5, 1)
    sweep.report(5, 2)
    sweep.end(5)
    sweep.close()
    follow(sweep.path, once=True)
    parent = sweep.runs()["vae"]
    page = sweep.download(parent, "listen.html").read_text()
    assert re.findall(r"<td>(t\d\d)-", page) == ["t03", "t02", "t04"]
    assert page.count("data-audio=") == 2 * (1 + 3)
    assert "loss=vae</b> has the highest judge probability: 0.833" in page
    assert re.findall(r"(t\d\d)\S+, epoch 2; its sounds are of epoch 1", page) == ["t02"]
    assert "http" not in page
    note = note_of(parent)
    assert "\n| --- | --- |" in note
    assert "| loss=l1 | t03-l1-lr3e-4 | 0.800 | 0.800 | 0.800 | lr 3e-4 | 6 |" in note
    assert "| *real clips* |  |  | 0.970 |  |  |  |" in note
    assert sweep.status()["links"]["listen"] in note
    assert (parent.info.status, parent.data.tags["orchestrate.outcome"]) == ("FINISHED", "completed")


def test_a_note_says_how_values_were_chosen(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    log = sweep.path / "sweep.jsonl"
    log.write_text(log.read_text().replace('"source": "tpe"', '"source": "startup"'))
    follow(sweep.path, once=True)
    assert "lr 3e-4 (a quasi-random point, the same in every arm)" in note_of(sweep.run(1))


def test_the_notes_say_what_was_found_and_each_trials_place(sweep: SweepFolder) -> None:
    command = "orchestrate sweep search_spaces/vae.yaml --set 'params.lr=[1e-4, 1e-3]' --home /data/sweeps"
    sweep.start(command=command)
    for trial, loss in enumerate(["l1", "l1", "vae"], 1):
        sweep.whole_trial(trial, loss)
    with sweep.driven():
        follow(sweep.path, once=True)
    places = "By judge probability it is number"
    assert "**Best judge probability so far: 0.800 by loss=vae**" in note_of(sweep.runs()["vae"])
    assert places not in note_of(sweep.run(1))
    sweep.ask(4, "vae")
    sweep.report(4, 1)
    sweep.end(4, "pruned", epochs=1, reason="worst of its rung")
    sweep.ask(5, "vae")
    sweep.end(5, "failed", "oom", "out of memory", epochs=0)
    sweep.close()
    follow(sweep.path, once=True)
    note = note_of(sweep.runs()["vae"])
    assert note.startswith("**Best judge probability: 0.800 by loss=vae**, trial t03-vae-lr3e-4 at epoch 2.")
    commit, *lines = note.partition("```\n")[2].removesuffix("\n```").splitlines()
    assert commit == "git checkout 0004459abc    # there were uncommitted changes"
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command) and max(map(len, lines)) < 72
    assert f"{places} 2 of the 2 trials of its arm and 3 of the 4 trials of the sweep" in note_of(sweep.run(1))
    assert f"{places} 1 of the 2 trials of its arm and 1 of the 4 trials of the sweep" in note_of(sweep.run(3))
    assert f"{places} 2 of the 2 trials of its arm and 4 of the 4 trials of the sweep" in note_of(sweep.run(4))
    assert "arm loss=vae, with lr 3e-4 (chosen by TPE): **failed** after 0 epochs: out of memory." in note_of(
        sweep.run(5)
    )
    assert places not in note_of(sweep.run(5))


def test_only_the_best_trials_of_a_large_sweep_have_their_place(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.notes.MAX_PLACES", 1)
    sweep.start()
    sweep.whole_trial(1, epochs=1)
    sweep.whole_trial(2, epochs=2)
    sweep.close()
    follow(sweep.path, once=True)
    assert ["is number" in note_of(sweep.run(trial)) for trial in (1, 2)] == [False, True]


def test_a_sweep_that_renders_nothing_has_no_page_to_listen_to(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    folder = sweep.trial(1) / "media" / "best"
    folder.mkdir(parents=True)
    (folder / "clips.json").write_text(json.dumps({"epoch": 2, "clips": []}))
    sweep.close()
    follow(sweep.path, once=True)
    parent = sweep.runs()["vae"]
    assert "listen.html" not in {file.path for file in sweep.client.list_artifacts(parent.info.run_id)}
    assert not {"listen", "spectrograms"} & set(sweep.status()["links"])
    note = parent.data.tags["mlflow.note.content"]
    assert "Hear" not in note and "[spectrograms]" not in note and "[Read the report](#/" in note


def test_a_pruned_trial_is_best_only_while_none_of_its_arm_has_completed(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1, "l1")
    for trial, loss in ((2, "l1"), (3, "vae")):
        sweep.ask(trial, loss)
        sweep.report(trial, 1, judge_probability=0.99)
        sweep.end(trial, "pruned", epochs=1)
    sweep.close()
    follow(sweep.path, once=True)
    note = note_of(sweep.runs()["vae"])
    assert "| loss=l1 | t01-l1-lr3e-4 |" in note and "| loss=vae | t03-vae-lr3e-4 (pruned) |" in note


def test_an_interrupted_trial_runs_again_with_its_next_attempt(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.ask(2, "l1")
    sweep.report(1, 1)
    sweep.close("interrupted", "Ctrl-C")
    closed_ms = sweep.ts
    follow(sweep.path, once=True)
    run = sweep.run(1)
    assert (run.info.status, run.info.end_time) == ("KILLED", closed_ms)
    assert run.data.tags["orchestrate.outcome"] == "interrupted"
    assert sweep.runs()["vae"].info.status == "KILLED"
    with sweep.driven():
        sweep.start()
        sweep.attempt(1, 2)
        sweep.report(1, 2)
        follow(sweep.path, once=True)
        assert sweep.run(1).info.status == sweep.runs()["vae"].info.status == "RUNNING"
        assert sweep.run(2).info.status == "KILLED"
        assert sweep.run(1).data.tags["orchestrate.attempt"] == "2"
    assert sweep.steps(1) == [1, 2]


def test_a_driver_that_was_killed_leaves_its_trials_interrupted(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    (sweep.path / "driver.lock").touch()
    follow(sweep.path, once=True)
    assert sweep.run(1).data.tags["orchestrate.outcome"] == "interrupted"
    assert sweep.runs()["vae"].data.tags["orchestrate.reason"] == "the driver died"


def test_a_deleted_run_is_made_anew_with_all_its_epochs(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    sweep.render(1, "epoch_01", 1)
    follow(sweep.path, once=True)
    sweep.client.delete_run(sweep.run(1).info.run_id)
    sweep.report(1, 2)
    sweep.end(1)
    follow(sweep.path, once=True)
    assert sweep.steps(1) == [1, 2]
    assert sweep.run(1).info.status == "FINISHED" and "audio" in sweep.artifacts(1)
    assert sweep.status()["remark"] == "the MLflow run of trial 1 had been deleted; it is made again"


def test_a_deleted_experiment_is_made_anew_under_another_name(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    sweep.client.delete_experiment(sweep.run(1).info.experiment_id)
    sweep.whole_trial(2, "l1")
    sweep.close()
    follow(sweep.path, once=True)
    assert set(sweep.runs("vae-2")) == {"vae", "t01-vae-lr3e-4", "t02-l1-lr3e-4"}
    assert sweep.steps(1, experiment="vae-2") == [1, 2]


def test_a_deleted_parent_is_made_anew_and_keeps_its_trials(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    trial = sweep.run(1).info.run_id
    sweep.client.delete_run(sweep.runs()["vae"].info.run_id)
    sweep.close()
    follow(sweep.path, once=True)
    assert sweep.run(1).info.run_id == trial
    assert sweep.run(1).data.tags["mlflow.parentRunId"] == sweep.runs()["vae"].info.run_id


def test_what_a_wrong_address_did_not_take_goes_to_the_right_one(sweep: SweepFolder) -> None:
    database = sweep.uri
    sweep.uri = "http://127.0.0.1:9"
    sweep.start()
    sweep.whole_trial(1)
    sweep.close()
    follow(sweep.path, once=True, patience_s=0)
    assert sweep.status()["backlog"] > 0
    sweep.uri = database
    sweep.event("redirected", tracking_uri=database, artifact_root=sweep.artifact_root)
    follow(sweep.path, once=True)
    assert sweep.status()["backlog"] == 0
    assert sweep.runs()["vae"].info.status == sweep.run(1).info.status == "FINISHED"


def test_a_torn_last_line_waits_for_its_end(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    outbox = sweep.trial(1) / "outbox.jsonl"
    line = outbox.read_text().replace('"epoch": 1', '"epoch": 2')
    with outbox.open("a") as file:
        file.write(line[:20])
    follow(sweep.path, once=True)
    assert sweep.steps(1) == [1]
    with outbox.open("a") as file:
        file.write(line[20:])
    follow(sweep.path, once=True)
    assert sweep.steps(1) == [1, 2]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("foo://bar", "tracking URI 'foo://bar' can't be used"),
        ("/some/folder", "tracking URI '/some/folder' can't be used"),
        ("http://user:secret@127.0.0.1:9", "MLflow at http://127.0.0.1:9 does not answer (Connection refused)"),
    ],
)
def test_an_address_that_is_wrong_is_said_in_one_line(tmp_path: Path, uri: str, message: str) -> None:
    sweep = SweepFolder(tmp_path, uri=uri)
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True, patience_s=0)
    status = sweep.status()
    assert status["error"].startswith(message) and "\n" not in status["error"]
    assert status["backlog"] == 2 and status["unreachable_since"]


@pytest.mark.parametrize("left", ["", '{"run_id": "ab', '{"of_another_version": 1}'])
def test_what_was_remembered_of_a_run_may_be_lost(sweep: SweepFolder, left: str) -> None:
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    run_id = sweep.run(1).info.run_id
    (sweep.trial(1) / "mlflow.json").write_text(left)
    sweep.close()
    follow(sweep.path, once=True)
    assert sweep.run(1).info.run_id == run_id and sweep.steps(1) == [1, 2]


def test_back_at_an_earlier_address_a_trial_has_the_run_that_it_had_there(sweep: SweepFolder, tmp_path: Path) -> None:
    first, second = sweep.uri, f"sqlite:///{tmp_path / 'other.db'}"
    shutil.copy(first.removeprefix("sqlite:///"), tmp_path / "other.db")
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    run_id = sweep.run(1).info.run_id
    for uri in (second, first):
        sweep.event("redirected", tracking_uri=uri, artifact_root=sweep.artifact_root)
        follow(sweep.path, once=True)
    assert sweep.run(1).info.run_id == run_id and sweep.steps(1) == [1, 2]


def test_a_database_that_was_deleted_is_made_again_with_everything(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.close()
    follow(sweep.path, once=True)
    for path in sweep.home.glob("mlflow.db*"):
        path.unlink()
    assert is_behind(sweep.path)
    follow(sweep.path, once=True)
    assert not is_behind(sweep.path)
    assert sweep.steps(1) == [1, 2] and sweep.run(1).info.status == sweep.runs()["vae"].info.status == "FINISHED"


def test_mlflow_is_behind_until_the_last_event_is_there(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    assert is_behind(sweep.path)
    follow(sweep.path, once=True)
    assert not is_behind(sweep.path)
    # No epoch is missing, and yet its end is not known there.
    sweep.close()
    assert is_behind(sweep.path)
    follow(sweep.path, once=True)
    assert not is_behind(sweep.path)
