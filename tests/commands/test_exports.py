"""What a sweep exports, read by the programs that it is for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from orchestrator.commands.exports import export as exports
from orchestrator.commands.exports.export import Request, export
from orchestrator.commands.report import write_reports
from orchestrator.errors import UserError
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.tracking.__main__ import follow
from tests.support.driving import drive
from tests.support.spaces import noop_sweep
from tests.support.sweep_folder import SweepFolder


def request(home: Path, name: str, say: Callable[[str], None] = print) -> Request:
    """An export of a sweep, without a display."""
    return Request(home, name, say, lambda what, done, total: None)


@pytest.fixture
def driven(tmp_path: Path) -> Ledger:
    sweep = noop_sweep(tmp_path)
    folder = tmp_path / "home" / "tiny"
    folder.mkdir(parents=True)
    keep_search_space(folder, sweep)
    return drive(sweep, folder)


def test_every_arm_is_a_study_with_the_trials_that_tpe_saw(driven: Ledger, tmp_path: Path) -> None:
    said: list[str] = []
    journal = tmp_path / "out" / "tiny.journal"
    export(request(tmp_path / "home", "tiny", said.append), "optuna", journal.parent, overwrite=False)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    studies = {
        study.study_name: optuna.load_study(storage=storage, study_name=study.study_name)
        for study in optuna.get_all_study_summaries(storage)
    }
    assert set(studies) == {"tiny/arm=a", "tiny/arm=b"}
    for arm, study in (("arm=a", studies["tiny/arm=a"]), ("arm=b", studies["tiny/arm=b"])):
        trials = driven.of_arm(arm, "search")
        assert [trial.params for trial in study.trials] == [trial.searched for trial in trials]
        assert [trial.user_attrs["trial"] for trial in study.trials] == [trial.number for trial in trials]
        states = {"completed": "COMPLETE", "pruned": "PRUNED"}
        assert [trial.state.name for trial in study.trials] == [states[str(trial.outcome)] for trial in trials]
    assert said == [f"2 studies, 12 trials. Look at them:  optuna-dashboard {journal}"]


def test_a_study_of_several_objectives_has_the_values_of_each(tmp_path: Path) -> None:
    objective = {"metric": "val/score", "mode": "max", "beside": {"val/error": "min"}}
    sweep = noop_sweep(tmp_path, objective=objective, compare=None)
    folder = tmp_path / "home" / "tiny"
    folder.mkdir(parents=True)
    keep_search_space(folder, sweep)
    ledger = drive(sweep, folder, lambda trial, epoch: (float(trial.params["x"]) + epoch, float(trial.params["x"])))
    export(request(tmp_path / "home", "tiny"), "optuna", tmp_path / "out", overwrite=False)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "out" / "tiny.journal")))
    study = optuna.load_study(storage=storage, study_name="tiny/all")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["val/score", "val/error"]
    assert [trial.values[1] for trial in study.trials] == [trial.params["x"] for trial in ledger.trials.values()]
    complete = [trial for trial in ledger.trials.values() if trial.outcome == "completed"]
    values = {trial.user_attrs["trial"]: trial.values[0] for trial in study.trials}
    assert {trial.number: values[trial.number] for trial in complete} == {
        trial.number: trial.best_value for trial in complete
    }


def test_optuna_dashboard_opens_it(driven: Ledger, tmp_path: Path) -> None:
    export(request(tmp_path / "home", "tiny"), "optuna", tmp_path / "out", overwrite=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [program, tmp_path / "out" / "tiny.journal", "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10) as answer:
                    found = json.load(answer)["study_summaries"]
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait()
    assert {study["study_name"] for study in found} == {"tiny/arm=a", "tiny/arm=b"}


def read_events(folder: Path) -> EventAccumulator:
    """Read all that the event file of a trial has."""
    return EventAccumulator(
        str(folder), size_guidance=dict.fromkeys(("scalars", "images", "audio", "tensors"), 0)
    ).Reload()


def test_tensorboard_reads_every_metric_parameter_sound_and_picture(sweep: SweepFolder, tmp_path: Path) -> None:
    sweep.start(arms={"loss=l1": {}, "loss=vae": {}})
    sweep.whole_trial(1, "l1", epochs=3)
    sweep.whole_trial(2, "vae", epochs=2, searched={"lr": 2e-3})
    sweep.render(2, "epoch_01", 1, level=0.25)
    sweep.render(2, "best", 2)
    out = tmp_path / "events"
    said: list[str] = []
    export(request(sweep.home, "vae", said.append), "tensorboard", out, overwrite=False)
    assert said == [f"2 trials. Look at them:  tensorboard --logdir {out}"]
    ledger = Ledger(sweep.path, read_only=True)
    for number, folder in ((1, out / "loss=l1" / "0001"), (2, out / "loss=vae" / "0002")):
        events, rows = read_events(folder), ledger.read_rows(ledger.trials[number])
        assert set(events.Tags()["scalars"]) == set(rows[0]["metrics"])
        for metric in rows[0]["metrics"]:
            points = [(point.step, point.wall_time, point.value) for point in events.Scalars(metric)]
            # TensorBoard keeps metrics as 32-bit numbers.
            wanted = [(row["epoch"], row["ts"] / 1000, float(np.float32(row["metrics"][metric]))) for row in rows]
            assert points == wanted
    media = sweep.trial(2) / "media"
    assert [point.encoded_audio_string for point in events.Audio("dog_1_original")] == [
        (media / "epoch_01" / "dog_1_original.wav").read_bytes()
    ]
    (picture,) = events.Images("best/rain_2")
    assert picture.encoded_image_string == (media / "best" / "rain_2.png").read_bytes()
    assert (picture.step, picture.width, picture.height) == (2, 16, 8)
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["lr"].number_value == 2e-3 and start.hparams["loss"].string_value == "vae"
    assert start.hparams["warm_up"].bool_value is True


def test_csv_has_the_files_of_the_report(sweep: SweepFolder, tmp_path: Path) -> None:
    sweep.start(arms={"loss=l1": {}})
    sweep.whole_trial(1, "l1", epochs=3)
    sweep.close()
    follow(sweep.path, once=True)
    export(request(sweep.home, "vae"), "csv", tmp_path / "tables", overwrite=False)
    write_reports(sweep.home, ["vae"], tmp_path / "report", "csv", lambda line: None)
    written = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    exported = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    note = json.loads(exported.pop("export.json"))
    assert exported == written and {"vae-trials.csv", "vae-curves.csv"} <= set(written)
    assert (note["sweep"], note["kind"]) == ("vae", "csv")


def test_only_an_earlier_export_is_replaced_and_only_if_that_is_wanted(driven: Ledger, tmp_path: Path) -> None:
    wanted = request(tmp_path / "home", "tiny")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="mine: has files that no export has written"):
            export(wanted, "optuna", mine, overwrite=overwrite)
        with pytest.raises(UserError, match="notes: is not a folder"):
            export(wanted, "optuna", mine / "notes", overwrite=overwrite)
    assert (mine / "notes").read_text() == "mine"
    out = tmp_path / "out"
    export(wanted, "optuna", out, overwrite=False)
    first = {path.name for path in out.iterdir()}
    with pytest.raises(UserError, match="out: already exists"):
        export(wanted, "tensorboard", out, overwrite=False)
    export(wanted, "optuna", out, overwrite=True)
    assert {path.name for path in out.iterdir()} == first
    assert {path.name for path in tmp_path.iterdir()} == {"home", "mine", "out", "tiny.yaml"}


def test_an_export_that_ends_half_way_leaves_nothing(
    driven: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Request, folder: Path) -> str:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    out = tmp_path / "out"
    export(request(tmp_path / "home", "tiny"), "optuna", out, overwrite=False)
    before = {path: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setitem(exports.KINDS, "half", fail)
    with pytest.raises(KeyboardInterrupt):
        export(request(tmp_path / "home", "tiny"), "half", tmp_path / "new", overwrite=False)
    with pytest.raises(KeyboardInterrupt):
        export(request(tmp_path / "home", "tiny"), "half", out, overwrite=True)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    # A kill leaves a hidden folder, which the next export deletes.
    (tmp_path / ".new.part").mkdir()
    (tmp_path / ".new.part" / "half").write_text("")
    export(request(tmp_path / "home", "tiny"), "optuna", tmp_path / "new", overwrite=False)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"tiny.journal", "export.json"}
    assert not list(tmp_path.glob(".*"))


def test_an_unknown_kind_and_an_unknown_sweep_are_one_message(driven: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--to wandb: is unknown; optuna, csv, tensorboard, hf are allowed"):
        export(request(tmp_path / "home", "tiny"), "wandb", tmp_path / "out", overwrite=False)
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        export(request(tmp_path / "home", "tyny"), "optuna", tmp_path / "out", overwrite=False)
    assert not (tmp_path / "out").exists()
