"""Requests that are fitted to machines of several kinds, each trial to one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.grants import Grant, count_slots, grant_resources
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.machines.inventory import Capacity, Machine, Request
from tests.support.spaces import noop_sweep

HEAD = Machine(4, name="head (10.0.0.1)")
CARDS = Machine(16, 2, accelerators=("H100",), name="cards (10.0.0.2)")
OLD_CARDS = Machine(8, 4, accelerators=("T4",), custom={"fast_disk": 1}, name="old (10.0.0.3)")
CLUSTER = Capacity((HEAD, CARDS, OLD_CARDS))


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        ({"cpu": 3}, 1 + 5 + 2),
        ({"cpu": 1, "gpu": 0.5}, 4 + 8),
        ({"cpu": 1, "gpu": 0.5, "accelerator_type": "H100"}, 4),
        ({"cpu": 1, "gpu": 4}, 1),
        ({"cpu": 2, "custom": {"fast_disk": 0.5}}, 2),
    ],
)
def test_as_many_trials_run_at_once_as_fit_on_single_machines(
    tmp_path: Path, resources: dict[str, Any], slots: int
) -> None:
    grants, notes = grant_resources(noop_sweep(tmp_path, resources=resources), CLUSTER)
    assert count_slots(grants, CLUSTER) == slots and notes == []


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": 17},
        {"cpu": 16, "gpu": 3},
        {"cpu": 1, "gpu": 1, "accelerator_type": "A100"},
        {"cpu": 1, "gpu": 4, "accelerator_type": "H100"},
        {"cpu": 1, "custom": {"fast_disk": 2}},
        {"cpu": 1, "custom": {"slow_disk": 1}},
    ],
)
def test_what_no_machine_has_is_refused_with_what_each_of_them_has(tmp_path: Path, resources: dict[str, Any]) -> None:
    with pytest.raises(UserError) as refused:
        grant_resources(noop_sweep(tmp_path, resources=resources), CLUSTER)
    assert str(refused.value).endswith(
        "head (10.0.0.1): cpu 4, gpu 0; cards (10.0.0.2): cpu 16, gpu 2 (H100); "
        "old (10.0.0.3): cpu 8, gpu 4 (T4), fast_disk 1"
    )
    assert "wait forever" in str(refused.value)


def test_equal_machines_are_named_together() -> None:
    capacity = Capacity(tuple(Machine(8, name=f"node-{number}") for number in range(200)))
    assert capacity.describe() == "node-0, node-1, node-2 and 197 more: cpu 8, gpu 0"


def test_a_trial_that_needs_more_grows_within_one_machine() -> None:
    assert Grant(4, 1).scale(2, CLUSTER) == Grant(8, 2)
    # The machine with four cards has no H100.
    assert Grant(4, 2, accelerator_type="H100").scale(2, CLUSTER) == Grant(8, 2, accelerator_type="H100")
    assert Grant(4, 2).scale(2, CLUSTER) == Grant(8, 4)


def test_a_request_is_sent_to_ray_with_the_names_that_ray_has() -> None:
    request = Request(2, 0.5, {"fast_disk": 1}, "H100")
    assert request.as_bundle() == {"CPU": 2, "GPU": 0.5, "fast_disk": 1, "accelerator_type:H100": 0.001}
    assert Request(2).as_bundle() == {"CPU": 2, "GPU": 0}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"cpu": 1, "accelerator_type": "H100"}, "resources.accelerator_type: needs resources.gpu above 0, got 0"),
        ({"cpu": 1, "custom": {"GPU": 1}}, "has 'GPU', which is Ray's own; use cpu, gpu or accelerator_type"),
        ({"cpu": 1, "custom": {"fast_disk": 0}}, "resources.custom.fast_disk"),
    ],
)
def test_mistakes_in_resources_are_found_when_the_file_is_read(
    tmp_path: Path, resources: dict[str, Any], message: str
) -> None:
    with pytest.raises(SearchSpaceError) as mistakes:
        noop_sweep(tmp_path, resources=resources)
    assert message in str(mistakes.value)


def test_arms_may_ask_for_other_cards(tmp_path: Path) -> None:
    arms = [{"when": {"arm": "b"}, "resources": {"gpu": 1, "accelerator_type": "T4"}}]
    grants, _ = grant_resources(noop_sweep(tmp_path, arms=arms), CLUSTER)
    assert grants == {"arm=a": Grant(1), "arm=b": Grant(1, 1, accelerator_type="T4")}
