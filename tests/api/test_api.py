"""Sweeps and results from Python."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from orchestrator import Sweep, load
from orchestrator.api.driver_process import run_driver
from orchestrator.api.plain import to_plain
from orchestrator.commands.planning.plan import make_plan
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.search_space.reader import read_search_space
from tests.benchmarks.noop import Noop
from tests.support.driving import drive
from tests.support.inbox import inbox, wait_until
from tests.support.spaces import NOOP, noop_sweep, write_space
from tests.support.sweep_folder import SweepFolder

matplotlib.use("Agg")

SPACE: dict[str, Any] = {
    "trainable": Noop,
    "objective": {"metric": "val/score", "mode": "max"},
    "compare": {"arm": ("a", "b")},
    "params": {"x": {"uniform": [0.0, np.float64(1.0)]}},
    "search": {"startup_trials": 2},
    "budget": {"trials_per_arm": np.int64(2), "max_epochs": 2},
    "resources": {"cpu": 1},
}


def fill(sweep: SweepFolder) -> None:
    """Two arms, of which one has a pruned trial and one a trial without any epoch."""
    sweep.start(arms={"loss=l1": {}, "loss=vae": {}})
    sweep.whole_trial(1, "l1", epochs=3, searched={"lr": 1e-3})
    sweep.ask(2, "vae", lr=2e-3)
    sweep.report(2, 1, judge_probability=0.9)
    sweep.end(2, "pruned", epochs=1)
    sweep.whole_trial(3, "vae", epochs=2, searched={"seed": 5})
    sweep.ask(4, "vae")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    sweep = SweepFolder(tmp_path)
    fill(sweep)
    return tmp_path


def test_a_search_space_in_python_is_that_of_the_file(tmp_path: Path) -> None:
    sweep = Sweep(name="tiny", home=tmp_path, **SPACE)
    (tmp_path / "tiny.yaml").write_text(sweep.text)
    read = read_search_space(tmp_path / "tiny.yaml")
    assert sweep.arms == tuple(arm.name for arm in read.arms) == ("arm=a", "arm=b")
    assert read.text == sweep.text
    assert sweep.plan() == make_plan(read)
    assert "arm=b" in str(sweep.plan()) and "epochs: 8" in str(sweep.plan())
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.yaml"]


def test_changes_and_presets_of_a_file_are_those_of_the_command_line(tmp_path: Path) -> None:
    path = write_space(tmp_path / "tiny.yaml", presets={"long": {"budget": {"max_epochs": 50}}})
    changes = {"budget.trials_per_arm": 3, "compare.arm": ["a"]}
    sweep = Sweep.from_file(path, preset="long", changes=changes, name="other", home=tmp_path)
    options = ["budget.trials_per_arm=3", "compare.arm=[a]"]
    assert sweep.text == read_search_space(path, preset="long", overrides=options, name="other").text
    assert (sweep.name, sweep.arms) == ("other", ("arm=a",))


def test_every_mistake_is_told_with_the_argument_that_has_it(tmp_path: Path) -> None:
    wrong = SPACE | {"budget": {"trials_per_arm": 2, "max_epochs": 0}, "params": {"xx": 1}, "sarch": {}}
    with pytest.raises(SearchSpaceError) as raised:
        Sweep(name="tiny", **wrong)
    lines = raised.value.lines
    assert [line.split(":")[1].strip() for line in lines] == ["budget.max_epochs", "params.xx", "sarch"]
    assert "did you mean 'search'?" in lines[2] and "must be 1 or more, got 0" in lines[0]


def test_a_class_without_a_file_is_refused() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("class Here: pass", namespace)
    with pytest.raises(UserError, match="Here: is not defined in a file"):
        to_plain(namespace["Here"])
    with pytest.raises(UserError, match="int: is not defined in a file"):
        to_plain({"trainable": int})
    assert to_plain({"trainable": Noop, "folder": Path("a")}) == {"trainable": str(NOOP), "folder": "a"}


def test_results_have_every_trial_and_every_epoch(recorded: Path) -> None:
    results = load("vae", recorded)
    assert (results.state, results.metric, results.mode) == ("interrupted", "val/judge_probability", "max")
    trials = results.trials
    assert list(trials.index) == [1, 2, 3, 4]
    assert list(trials["outcome"]) == ["completed", "pruned", "completed", "interrupted"]
    assert list(trials["epochs"]) == [3, 1, 2, 0]
    assert trials.loc[1, "val/judge_probability"] == 1 - 1 / 4
    assert trials.loc[1, "lr"] == 1e-3 and trials.loc[3, "seed (setting)"] == 5 and trials.loc[3, "seed"] == 103
    curves = results.curves
    assert list(zip(curves["trial"], curves["epoch"], strict=True)) == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2)]
    # The pruned trial has the larger value, but the completed one is the best of its arm.
    assert list(results.best["trial"]) == [1, 3]
    assert results.best.loc["loss=l1", "lr"] == 1e-3


def test_a_plot_has_a_line_for_each_trial_with_epochs(recorded: Path) -> None:
    results = load("vae", recorded)
    axes = results.plot()
    assert len(axes.lines) == 3
    assert [line.get_linewidth() for line in axes.lines] == [2, 0.8, 2]
    assert results.plot("val/fvu", axes) is axes
    said = r"no trial of \w+ has reported 'val/fuv' \(did you mean 'val/fvu'\?\); reported are: .*val/fvu"
    with pytest.raises(UserError, match=said):
        results.plot("val/fuv")


def test_a_sweep_without_a_trial_has_empty_frames(tmp_path: Path) -> None:
    SweepFolder(tmp_path).start()
    results = load(None, tmp_path)
    assert len(results.trials) == len(results.curves) == len(results.best) == 0
    assert "stage" in results.trials


def test_an_unknown_sweep_is_one_message(recorded: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'vae'"):
        load("vea", recorded)


def test_a_home_that_is_a_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="runs: can't write here"):
        Sweep(name="tiny", home=tmp_path / "runs", **SPACE).run()


def test_a_sweep_runs_from_python_and_a_finished_one_stays(
    empty_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setenv("NOTICE_TOKEN", "secret")
    with inbox(refusals=2) as server:
        sweep = Sweep(name="tiny", home=tmp_path, **SPACE, notify=[{"url": server.url}])
        results = sweep.run()
        wait_until(lambda: server.titles == ["tiny: finished"])
        # Another start of a finished sweep has nothing to say.
        assert sweep.run().trials.equals(results.trials)
    assert server.titles == ["tiny: finished"] and len(server.attempts) == 3
    assert results.state == "finished"
    assert list(results.trials["outcome"]) == ["completed"] * 4
    assert "trial 4" in capsys.readouterr().out
    # The parameters are those that a driver without processes gives the trials.
    driven = drive(noop_sweep(tmp_path, **SPACE | {"trainable": str(NOOP), "seed": 0} | plain_budget()), tmp_path / "d")
    assert sorted(results.trials["x"]) == sorted(float(trial.params["x"]) for trial in driven.trials.values())
    with pytest.raises(UserError, match="was run with another search space"):
        Sweep(name="tiny", home=tmp_path, **SPACE | {"seed": 1}).run()


def plain_budget() -> dict[str, Any]:
    return {key: to_plain(SPACE[key]) for key in ("budget", "params", "compare")} | {"pruning": None}


def test_a_refused_command_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no_such_file"):
        run_driver(["sweep", "no_such_file.yaml"])


def test_the_package_imports_nothing_before_a_name_is_used() -> None:
    code = """
        import sys, orchestrator
        assert not {name for name in sys.modules if name.startswith("orchestrator.")}
        from orchestrator import load
        print(sorted({"torch", "ray", "mlflow", "optuna", "pandas", "matplotlib"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
