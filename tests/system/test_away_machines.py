"""A sweep on machines that do not see its home: one of them dies, then the driver's, and all comes out as alone.

The machines are Ray nodes in mount namespaces of their own, in which the home, the recordings and the user's code are
empty folders.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.state.events.interruptions import Died, Displaced
from orchestrator.state.ledger import Ledger
from orchestrator.storage.json_lines import read
from orchestrator.worker.remote_home import SCRATCH
from tests.support.clusters import blind_machine, count_rows, kill_machine, wait_for_machines
from tests.support.spaces import HELPED, TINY_PARAMS, write_space
from tests.system.test_machines import SPACE, cluster
from tests.system.test_sweep import PATIENCE_S, orchestrate, points, trial_runs

EPOCHS = 6
NAME = "away"


def write_autoencoders(path: Path, corpus: Path) -> Path:
    """A search space of two small autoencoders, which are rendered at their ends."""
    space = {
        "name": NAME,
        "trainable": "autoencoder",
        "corpus": {"name": "folder", "root": str(corpus)},
        "objective": {"metric": "val/fvu", "mode": "min"},
        "params": TINY_PARAMS,
        "budget": {"trials_per_arm": 2, "max_epochs": EPOCHS},
        "media": {"clips": 2, "epochs": [1, "best"]},
        "resources": {"cpu": 2},
        "disk": {"min_free_gib": 0},
        "seed": 3,
    }
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(space, file)
    return path


def results(home: Path) -> list[dict[str, Any]]:
    """All that a sweep has come to, without times: rows, checkpoints' names, sounds, pictures and evaluations."""
    ledger, trials = Ledger(home / NAME, read_only=True), []
    for trial in ledger.trials.values():
        folder = home / NAME / "trials" / f"{trial.number:04d}"
        rows = [
            {name: value for name, value in row["metrics"].items() if not name.startswith("time/")}
            for row in ledger.read_rows(trial)
        ]
        media = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted((folder / "media").rglob("*"))
            if path.is_file()
        }
        trials.append(
            {
                "params": trial.params,
                "outcome": trial.outcome,
                "rows": rows,
                "media": media,
                "evaluated": (trial.evaluated, trial.test),
                "checkpoints": sorted(path.name for path in (folder / "checkpoint").iterdir()),
            }
        )
    return trials


def wait_until(is_so: Callable[[], bool], output: Path, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.root
@pytest.mark.timeout(2400)
def test_a_machine_dies_and_then_the_drivers_with_its_home_and_nothing_is_lost(
    tmp_path: Path, tiny_home: Path, tiny_corpus: Path, empty_database: Path
) -> None:
    space = write_autoencoders(tmp_path / f"{NAME}.yaml", tiny_corpus)
    alone = orchestrate("sweep", space, "--home", tiny_home, cwd=str(tmp_path))
    output, _ = alone.communicate(timeout=PATIENCE_S)
    assert alone.returncode == 0, output
    first_home, second_home, store = tmp_path / "first", tmp_path / "second", tmp_path / "store"
    for folder in (first_home, second_home, store):
        folder.mkdir()
    shutil.copy(empty_database, first_home / "mlflow.db")
    shutil.copy(empty_database, second_home / "mlflow.db")
    for folder_name in ("cache", "corpora"):
        (first_home / folder_name).symlink_to(tiny_home / folder_name)
    hidden = (first_home, second_home, tiny_corpus)
    path = tmp_path / "output.txt"
    with cluster(num_cpus=0) as nodes:
        with blind_machine(nodes, *hidden, **{SCRATCH: str(tmp_path / "one")}) as machine, path.open("w") as file:
            wait_for_machines(nodes, 2)
            address = ("--address", nodes.address, "--storage", f"file://{store}")
            driver = orchestrate("sweep", space, "--home", first_home, *address, stdout=file, cwd=str(tmp_path))
            wait_until(lambda: count_rows(first_home / NAME) >= 3 or driver.poll() is not None, path)
            assert driver.poll() is None, path.read_text()
            kill_machine(machine)
            with blind_machine(nodes, *hidden, **{SCRATCH: str(tmp_path / "two")}):
                wait_until(lambda: "is gone; it continues elsewhere" in path.read_text(), path)
                wait_until(lambda: count_rows(first_home / NAME) >= EPOCHS + 2, path)
                driver.kill()
                driver.wait()
                log = Ledger(first_home / NAME, read_only=True).read_events()
                first_home.rename(tmp_path / "lost")
                resume = orchestrate("resume", NAME, "--home", second_home, *address, cwd=str(tmp_path))
                output, _ = resume.communicate(timeout=PATIENCE_S)
    assert resume.returncode == 0, output
    assert f"{NAME}: is taken over from file://{store}" in output
    assert sum(isinstance(event, Displaced) for event in log) == 1 and not any(isinstance(event, Died) for event in log)
    assert results(second_home) == results(tiny_home)
    ledger = Ledger(second_home / NAME, read_only=True)
    runs = trial_runs(second_home, NAME)
    for trial, run in zip(ledger.trials.values(), runs, strict=True):
        expected = [(row["epoch"], row["metrics"]["val/fvu"]) for row in ledger.read_rows(trial)]
        assert points(second_home, run, "val/fvu") == expected and len(expected) == EPOCHS
    # The machines have kept what trials share, and nothing of the trials.
    assert list((tmp_path / "two").rglob("judge-*.pt")) and not list((tmp_path / "two").rglob("last.pt"))
    # Of each trial the store has its last attempt and its evaluation only.
    for trial in (store / NAME / "trials").iterdir():
        assert len(list(trial.glob("*/manifest.json"))) == 2


@pytest.mark.long
@pytest.mark.root
def test_a_users_own_code_and_the_reason_of_a_death_come_from_machines_that_see_neither(
    tmp_path: Path, home: Path
) -> None:
    mine, store = tmp_path / "mine", tmp_path / "store"
    for folder in (mine, store):
        folder.mkdir()
    (mine / "constants_of_mine.py").write_text("STEP = 0.25\n")
    dying = HELPED.replace("import time\n", "import os\nimport time\n").replace(
        "        self.epoch += 1\n",
        "        self.epoch += 1\n        if self.epoch == 2 and self.config.arm == 'a':\n            os._exit(3)\n",
    )
    (mine / "helped.py").write_text(dying)
    changes = {"params": {"x": {"uniform": [0.0, 1.0]}}, "compare": {"arm": ["a", "b"]}, "resources": {"cpu": 2}}
    budget = {"trials_per_arm": 1, "max_epochs": 3}
    space = write_space(mine / "tiny.yaml", **SPACE | changes | {"trainable": "./helped.py", "budget": budget})
    with cluster(num_cpus=0) as nodes, blind_machine(nodes, mine, home, **{SCRATCH: str(tmp_path / "one")}):
        wait_for_machines(nodes, 2)
        address = ("--address", nodes.address, "--storage", store)
        driver = orchestrate("sweep", space, "--home", home, *address, cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, output
    assert f"can't see {mine}: trials run its copy {home / 'code' / 'tiny'}." in output
    ledger = Ledger(home / "tiny", read_only=True)
    outcomes = {trial.params["arm"]: (trial.outcome, trial.cause, trial.reason) for trial in ledger.trials.values()}
    assert outcomes["b"][0] == "completed"
    # It died twice at its second epoch, and its log says by what.
    outcome, cause, reason = outcomes["a"]
    assert (outcome, cause) == ("failed", "node") and "its code ended the process, os._exit(3)" in reason
    (number,) = (trial.number for trial in ledger.trials.values() if trial.params["arm"] == "a")
    log = (home / "tiny" / "trials" / f"{number:04d}" / "log.txt").read_text()
    assert log.count("os._exit(3)") >= 1 and "--- attempt 2" in log


def test_a_machine_with_another_store_is_found_before_the_first_trial(tmp_path: Path, home: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    space = write_space(tmp_path / "tiny.yaml", **SPACE)
    with cluster(num_cpus=0) as nodes, blind_machine(nodes, store):
        wait_for_machines(nodes, 2)
        address = ("--address", nodes.address, "--storage", store)
        driver = orchestrate("sweep", space, "--home", home, *address, cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 2 and "Traceback" not in output, output
    assert f"the store {store} is another one there: it does not have what the driver has just written" in output
    assert not Ledger(home / "tiny", read_only=True).starts


def test_what_is_wrong_with_a_store_is_said_before_anything_starts(tmp_path: Path, home: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", **SPACE)
    for address, said in (
        ("s4://bucket/runs", "--storage: has the unknown scheme s4://, did you mean s3://?"),
        ("s3://me:hidden@bucket/runs", "--storage: has a user or a password"),
        (tmp_path / "absent", f"{tmp_path / 'absent'}: there is no such folder on this machine"),
        ("s3://bucket/runs?endpoint_override=127.0.0.1:9&scheme=http", "can't write tiny/checks/"),
    ):
        driver = orchestrate("sweep", space, "--home", home, "--storage", address, cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == 2 and said in output, output
        assert "hidden" not in output and "Traceback" not in output
    (tmp_path / "store").mkdir()
    driver = orchestrate("resume", "tiny", "--home", tmp_path / "other", "--storage", "store", cwd=str(tmp_path))
    output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 2 and f"--storage {tmp_path}/store: has no sweep 'tiny'; available: none" in output
    assert not read(home / "tiny" / "sweep.jsonl")[0]
