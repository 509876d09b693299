"""The studies of a sweep as an Optuna journal, opened by Optuna and by optuna-dashboard."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from orchestrator.commands.export_optuna import export
from orchestrator.errors import UserError
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from tests.support.driving import drive
from tests.support.spaces import noop_sweep


@pytest.fixture
def driven(tmp_path: Path) -> Ledger:
    sweep = noop_sweep(tmp_path)
    folder = tmp_path / "home" / "tiny"
    folder.mkdir(parents=True)
    keep_search_space(folder, sweep)
    return drive(sweep, folder)


def test_every_arm_is_a_study_with_the_trials_that_tpe_saw(driven: Ledger, tmp_path: Path) -> None:
    said: list[str] = []
    export(tmp_path / "home", "tiny", tmp_path / "tiny.journal", said.append)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "tiny.journal")))
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
    assert said == [f"2 studies, 12 trials. Look at them:  optuna-dashboard {tmp_path / 'tiny.journal'}"]


def test_a_file_that_is_there_is_left_alone(driven: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        export(tmp_path / "home", "tiny", file, print)
    with pytest.raises(UserError, match="can't be written"):
        export(tmp_path / "home", "tiny", tmp_path / "nowhere" / "file", print)
    assert file.read_text() == "mine"


def test_optuna_dashboard_opens_it(driven: Ledger, tmp_path: Path) -> None:
    export(tmp_path / "home", "tiny", tmp_path / "tiny.journal", print)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen([program, tmp_path / "tiny.journal", "--port", str(port)], stderr=subprocess.DEVNULL)
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
