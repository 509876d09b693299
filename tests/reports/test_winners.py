"""The best configuration of each arm: which trial, what it searched, how flat the optimum is, and the same as YAML."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from orchestrator.commands.report import print_best
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.connection import connect
from reports.errors import ReportError
from reports.runs.frames import SweepRuns, read_sweep
from reports.runs.winners import as_yaml, describe_parameters, find_winners
from tests.support.sweep_folder import SweepFolder

SEARCHED = {"lr": {"loguniform": [1e-4, 1e-2]}}
TRIALS = {"l2": (0.50, 0.80, 0.79, 0.78), "l1": (0.60, 0.70), "vae": (0.90,)}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> SweepFolder:
    """A sweep of three arms in MLflow, one of them without a completed trial."""
    home = tmp_path_factory.mktemp("winners")
    shutil.copy(empty_database, home / "mlflow.db")
    sweep = SweepFolder(home)
    arms = {f"loss={loss}": {"searched": SEARCHED, "trials": 4, "epochs": 2} for loss in TRIALS}
    sweep.start(arms=arms)
    number = 0
    for loss, values in TRIALS.items():
        for place, value in enumerate(values):
            number += 1
            sweep.ask(number, loss, lr=10.0 ** (place - 4))
            sweep.report(number, 1, judge_probability=value)
            # The only trial of the last arm had less than its budget.
            sweep.end(number, "pruned" if loss == "vae" else "completed", epochs=1)
    sweep.close()
    follow(sweep.path, once=True)
    return sweep


@pytest.fixture(scope="module")
def runs(recorded: SweepFolder) -> Iterator[SweepRuns]:
    with connect(recorded.home) as client:
        yield read_sweep(client, recorded.name)


def test_the_best_completed_trial_of_each_arm_wins(runs: SweepRuns) -> None:
    assert [(winner.arm, winner.trial, winner.value) for winner in find_winners(runs)] == [
        ("loss=l2", 2, 0.8),
        ("loss=l1", 6, 0.7),
    ]


def test_trials_that_are_at_most_a_twentieth_worse_say_how_flat_the_optimum_is(runs: SweepRuns) -> None:
    flat, sharp = find_winners(runs)
    assert (flat.num_near, flat.near["lr"]) == (3, (pytest.approx(1e-3), pytest.approx(1e-1)))
    assert describe_parameters(flat) == {"lr": "0.001 (0.001 to 0.1)"}
    assert sharp.num_near == 1 and describe_parameters(sharp) == {"lr": "0.001"}


def test_the_best_configuration_is_the_params_of_a_search_space(runs: SweepRuns) -> None:
    text = as_yaml(runs)
    assert text.startswith("# vae, trial 2 (loss=l2): judge probability 0.8 at its best epoch, validation split\n")
    assert YAML(typ="safe", pure=True).load(text) == {
        "params": {"loss": "l2", "latent_dim": 128, "warm_up": True, "lr": 0.001}
    }
    assert "loss: l1" in as_yaml(runs, "loss=l1")


def test_the_name_of_a_bundle_is_no_setting(runs: SweepRuns) -> None:
    bundled = replace(runs, record={**runs.record, "bundles": ["loss"]})
    assert "loss:" not in as_yaml(bundled).partition("\n")[2]


@pytest.mark.parametrize("arm", ["loss=vae", "loss=l7"])
def test_an_arm_without_a_completed_trial_is_refused_with_those_that_have_one(runs: SweepRuns, arm: str) -> None:
    with pytest.raises(ReportError, match=rf"no completed trial of an arm '{arm}'; there are some of loss=l2; loss=l1"):
        as_yaml(runs, arm)


def test_the_command_prints_the_best_configuration_of_the_arms_that_are_asked_for(recorded: SweepFolder) -> None:
    lines: list[str] = []
    print_best(recorded.home, ["vae"], "loss=l1", lines.append)
    assert lines[0].startswith("# vae, trial 6 (loss=l1)") and "loss: l1" in lines[0]
