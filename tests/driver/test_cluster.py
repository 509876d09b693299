import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray.tune.execution import class_cache

from orchestrator.driver.cluster import start_ray
from orchestrator.driver.grants import Grant, count_slots, grant_resources
from orchestrator.driver.ray_tune import use_started_workers
from orchestrator.errors import UserError
from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.worker.actor import Worker
from tests.support.spaces import noop_sweep


def one(cpus: float, gpus: float) -> Capacity:
    """One machine."""
    return Capacity((Machine(cpus, gpus),))


@pytest.mark.parametrize(
    ("asked", "capacity", "expected", "at_once"),
    [
        ({"cpu": 1}, one(8, 0), Grant(1, 0), 8),
        ({"cpu": 2, "gpu": 0.25}, one(64, 1), Grant(2, 0.25), 4),
        ({"cpu": 0.1}, one(0.3, 0), Grant(0.1, 0), 3),
        ({"cpu": 1, "gpu": 2}, one(64, 8), Grant(1, 2), 4),
    ],
)
def test_trials_get_what_they_ask_for_and_as_many_run_as_fit(
    tmp_path: Path, asked: dict[str, float], capacity: Capacity, expected: Grant, at_once: int
) -> None:
    given, notes = grant_resources(noop_sweep(tmp_path, resources=asked), capacity)
    assert given == {"arm=a": expected, "arm=b": expected}
    assert notes == []
    assert count_slots(given, capacity) == at_once


def test_more_processors_than_there_are_become_those_that_there_are_and_it_is_said_once(tmp_path: Path) -> None:
    given, notes = grant_resources(noop_sweep(tmp_path, resources={"cpu": 16}), one(2, 0))
    assert given["arm=a"] == Grant(2, 0)
    assert notes == ["resources.cpu: 16 asked for, 2 here: trials get 2."]


def test_more_cards_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no machine has all .* \(cpu 1, gpu 4\).* this machine: cpu 8, gpu 2"):
        grant_resources(noop_sweep(tmp_path, resources={"gpu": 4}), one(8, 2))


def test_a_card_that_is_required_where_there_is_none_is_refused_and_one_that_is_not_is_said(tmp_path: Path) -> None:
    asked = {"gpu": 1, "require_gpu": True}
    with pytest.raises(UserError, match=r"resources\.gpu: 1 is required .*require_gpu=false"):
        grant_resources(noop_sweep(tmp_path, resources=asked), one(2, 0))
    given, notes = grant_resources(noop_sweep(tmp_path, resources={"gpu": 0.25}), one(2, 0))
    assert given["arm=a"].gpus == 0 and notes == ["No GPU here: trials run on the CPU."]


@pytest.mark.parametrize(("address", "variables"), [("", {}), ("10.0.0.7:6379", {"PL_DISABLE_FORK": "1"})])
def test_trials_get_a_process_with_variables_of_their_own_on_a_cluster_alone(
    monkeypatch: pytest.MonkeyPatch, address: str, variables: dict[str, str]
) -> None:
    """Where they have none, Ray's idle processes are used."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(class_cache, "DEFAULT_ENV_VARS", {"PL_DISABLE_FORK": "1"})
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", set())
    use_started_workers()
    actor = class_cache._ActorClassCache().get(Worker)
    assert actor._default_options["runtime_env"].get("env_vars", {}) == variables


def test_arms_have_resources_of_their_own(tmp_path: Path) -> None:
    arms = [{"when": {"arm": "b"}, "resources": {"cpu": 4}}]
    given, _ = grant_resources(noop_sweep(tmp_path, arms=arms), one(8, 0))
    assert (given["arm=a"].cpus, given["arm=b"].cpus, given["arm=b"].threads) == (1, 4, 4)
    assert count_slots(given, one(8, 0)) == 8


def test_an_address_at_which_no_ray_answers_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    message = r"RAY_ADDRESS: no Ray answers at 127\.0\.0\.1:9 \(Connection refused\); .*unset both"
    with pytest.raises(UserError, match=message), start_ray(tmp_path / "driver.log"):
        pass


def test_a_ray_that_does_not_start_ends_in_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Less than Ray accepts.
    monkeypatch.setattr("orchestrator.driver.cluster.OBJECT_STORE_BYTES", 1000)
    message = r"Ray could not be started on this machine \(.*\); .* run the same command again later"
    with pytest.raises(UserError, match=message), start_ray(tmp_path / "driver.log") as (_, wait_for_ray):
        wait_for_ray()


NOTEBOOK = """
import sys
from pathlib import Path

import ray

from orchestrator.driver.cluster import start_ray
from orchestrator.machines.address import use_address

use_address("auto")
use_address("local")
with start_ray(Path(sys.argv[1])) as (_, wait_for_ray):
    wait_for_ray()
    print(ray.cluster_resources()["CPU"] > 0)
"""


def test_a_ray_of_its_own_starts_after_a_token_was_asked_for_although_ray_was_imported_before(tmp_path: Path) -> None:
    """Another process, because Ray reads a token only once."""
    environment = {**os.environ, "HOME": str(tmp_path), "RAY_AUTH_TOKEN": "0" * 64}
    environment.pop("RAY_AUTH_MODE", None)
    command = [sys.executable, "-c", NOTEBOOK, str(tmp_path / "driver.log")]
    notebook = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (notebook.returncode, notebook.stdout) == (0, "True\n"), notebook.stderr
