"""The driver's decisions where the home is not shared: what it ignores, and what it waits for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.tasks import Tasks
from orchestrator.errors import SearchSpaceError
from orchestrator.exchange.driver_side import Exchange
from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.policy.agenda import Task
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.events.interruptions import Displaced
from orchestrator.state.paths import trial_folder
from orchestrator.worker.failure import DISK_FULL, TrialFailure
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.driving import drive, put_row
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep, write_space

SUNG = Path(__file__).parents[1] / "support" / "sung.py"


def test_a_report_of_an_attempt_that_was_given_up_is_ignored(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver, epochs=0)
    row = put_row(driver.folder, trial, 0.5)
    driver.engine.forget_task(driver.name)
    before = (driver.folder / "sweep.jsonl").read_bytes()
    assert driver.engine.handle_report(driver.name, {"row": json.dumps(row), "remarks": "[]"})
    assert trial.epochs == 0 and (driver.folder / "sweep.jsonl").read_bytes() == before


def test_an_evaluation_whose_files_can_not_be_fetched_is_repeated_and_not_recorded(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny", storage=str(tmp_path / "absent"))
    trial = begin(driver, epochs=0)
    driver.engine.forget_task(driver.name)
    driver.engine.live["evaluation"] = Task("evaluate", trial)
    evaluated = {"evaluated": json.dumps({"metrics": {}, "renderings": []})}
    assert driver.engine.handle_report("evaluation", evaluated)
    assert not trial.evaluated and isinstance(driver.ledger.read_events()[-1], Displaced)
    assert (
        "there is no such folder on this machine" in driver.said[-1]
        and "it continues in another process" in driver.said[-1]
    )


def test_a_row_is_in_the_home_once_its_report_was_handled(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny", storage=str(tmp_path / "store"))
    trial = begin(driver, epochs=0)
    # Its machine writes elsewhere.
    row = put_row(tmp_path / "elsewhere", trial, 0.5)
    driver.engine.handle_report(driver.name, {"row": json.dumps(row), "remarks": "[]"})
    of_home = trial_folder(driver.folder, 1) / "outbox.jsonl"
    assert of_home.read_bytes() == (trial_folder(tmp_path / "elsewhere", 1) / "outbox.jsonl").read_bytes()


def test_an_epoch_that_is_trained_again_gets_no_other_row_and_is_not_judged_again(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny", storage=str(tmp_path / "store"))
    trial = begin(driver, epochs=0)
    row = put_row(tmp_path / "elsewhere", trial, 0.5)
    driver.engine.handle_report(driver.name, {"row": json.dumps(row), "remarks": "[]"})
    files = (driver.folder / "sweep.jsonl", trial_folder(driver.folder, 1) / "outbox.jsonl")
    before = [path.read_bytes() for path in files]
    again = row | {"ts": row["ts"] + 5, "attempt": 2, "metrics": row["metrics"] | {"time/epoch_s": 7.0}}
    remark = "trial 1 resumes from epoch 0, although it had reached epoch 1"
    report = {"row": json.dumps(again), "remarks": json.dumps([remark])}
    assert not driver.engine.handle_report(driver.name, report)
    assert [path.read_bytes() for path in files] == before and driver.said[-1] == remark
    driver.engine.handle_report(driver.name, {"row": json.dumps(row | {"epoch": 2}), "remarks": "[]"})
    assert trial.epochs == 2


@pytest.mark.parametrize(
    ("pruning", "expected"),
    [
        ("none", (9,)),
        ({"grace_epochs": 2, "reduction_factor": 3}, (2, 6, 9)),
        ({"kind": "patient", "patience": 5}, (6, 7, 8, 9)),
    ],
)
def test_a_task_knows_what_was_reported_last_and_where_its_trial_may_end(
    tmp_path: Path, pruning: str | dict[str, object], expected: tuple[int, ...]
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    budget = {"trials_per_arm": 1, "max_epochs": 9}
    changes = ONE_ARM | {"storage": str(store), "budget": budget, "pruning": pruning}
    specs: list[dict[str, Any]] = []
    trainables: list[dict[str, Any]] = [{}, {"trainable": str(SUNG), "params": None}]
    for trainable in trainables:
        sweep = noop_sweep(tmp_path, **changes | trainable)
        folder = tmp_path / str(len(specs)) / "tiny"
        ledger = drive(sweep, folder, lambda trial, epoch: epoch / 10, steps=2)
        exchange = Exchange(ledger, str(store), "0001-abcd", print, lambda *each: "")
        tasks = Tasks(sweep, folder.parent, Capacity((Machine(2),)), exchange=exchange)
        spec = tasks.make_config(Task("train", ledger.trials[1], 9))["spec"]
        assert spec["last_row"] == ledger.read_rows(ledger.trials[1])[-1] and spec["last_row"]["epoch"] == 2
        specs.append(spec)
    # What is evaluated is trained again by that, if it was lost.
    assert [spec["stored_epochs"] for spec in specs] == [expected, ()]


def test_a_disk_that_is_full_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny", storage=str(tmp_path / "store"))
    begin(driver, epochs=0)
    driver.fails(Wrapped(TrialFailure(DISK_FULL, "OSError: [Errno 28] No space left on device: '/store/tiny'")))
    assert driver.hand_out() is None
    assert "a trial could not write (OSError: [Errno 28] No space left on device: '/store/tiny')" in driver.said[-1]


def test_the_setting_is_relative_to_its_file_and_an_option_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = write_space(tmp_path / "tiny.yaml", storage="store")
    assert read_search_space(path).space.storage == str(tmp_path / "store")
    assert read_search_space(path, overrides=["storage=other"]).space.storage == str(tmp_path / "here" / "other")
    address = "s3://bucket/runs?endpoint_override=minio:9000&scheme=http"
    assert read_search_space(path, overrides=[f"storage={address}"]).space.storage == address
    assert read_search_space(path, overrides=["storage=none"]).space.storage is None
    with pytest.raises(SearchSpaceError, match=r"storage='': needs s3://BUCKET/PREFIX, .* or a folder"):
        read_search_space(path, overrides=["storage=''"])
    with pytest.raises(
        SearchSpaceError, match=r"--set storage=s4://bucket/runs: has the unknown scheme s4://, did you mean s3://"
    ):
        read_search_space(path, overrides=["storage=s4://bucket/runs"])
