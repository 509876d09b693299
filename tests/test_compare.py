"""`orchestrate compare` and `orchestrate diff`, from the files of a sweep."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.compare import compare
from orchestrator.diff import diff, sparkline
from orchestrator.errors import UserError
from tests.sweep_folder import SweepFolder


@pytest.fixture
def two_arms(tmp_path: Path) -> SweepFolder:
    sweep = SweepFolder(tmp_path)
    sweep.start(arms={"loss=vae": {"trials": 2, "epochs": 2}, "loss=l1": {"trials": 1, "epochs": 2}, "loss=l2": {}})
    sweep.whole_trial(1)
    sweep.ask(2, lr=1e-2)
    sweep.report(2, 1, judge_probability=0.25)
    sweep.end(2, "pruned", epochs=1)
    sweep.whole_trial(3, "l1")
    sweep.event("evaluated", trial=3, metrics={"test/judge_probability": 0.7, "test/fvu": 0.2}, error="")
    sweep.close()
    return sweep


def shown(sweep: SweepFolder, *numbers: int, form: str = "table") -> str:
    console = Console(record=True, width=80, file=io.StringIO())
    compare(sweep.home, "vae", numbers, form, console)
    return console.export_text()


def test_arms_stand_beside_the_reference_lines_on_80_columns(two_arms: SweepFolder) -> None:
    lines = [line.split() for line in shown(two_arms).splitlines()]
    assert ["loss=vae", "1", "0.667", "0.667", "0.667", "3"] in lines
    assert ["loss=l1", "3", "0.800", "0.800", "0.800", "0.700", "2"] in lines
    assert ["loss=l2", "0"] in lines, "an arm without a trial is named"
    assert ["real", "clips", "0.970"] in lines


def test_every_digit_and_every_count_is_in_the_csv(two_arms: SweepFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(two_arms, form="csv"))))
    assert rows[0]["arm"] == "loss=vae" and float(rows[0]["val/judge_probability"]) == 1 - 1 / 3
    assert (rows[1]["test/fvu"], rows[1]["tested"], rows[1]["trials"]) == ("0.2", "1", "1")


def test_latex_is_a_table_whose_names_are_escaped(two_arms: SweepFolder) -> None:
    two_arms.ask(4, "a_b & c")
    text = shown(two_arms, form="latex")
    assert text.startswith("\\begin{tabular}") and r"loss=a\_b \& c" in text


def test_trials_are_compared_by_what_tells_them_apart(two_arms: SweepFolder) -> None:
    lines = [line.split() for line in shown(two_arms, 1, 2).splitlines()]
    assert lines[0] == ["trial", "1", "2"]
    assert ["lr", "3.0e-04", "0.010"] in lines and ["state", "completed", "pruned"] in lines
    assert not any(line[:1] == ["latent_dim"] for line in lines), "they share it"
    assert "Pruned: trial 2 after 1 epoch. What they reached can't be ranked" in shown(two_arms, 1, 2)
    assert "Pruned" not in shown(two_arms, 1, 3)


def test_a_trial_that_is_not_there_is_named(two_arms: SweepFolder) -> None:
    with pytest.raises(UserError, match="vae has no trial 9; it has 1 to 3"):
        shown(two_arms, 1, 9)


def test_links_of_some_trials_open_mlflows_comparison_of_them(two_arms: SweepFolder) -> None:
    for number in (1, 3):
        (two_arms.trial(number) / "mlflow.json").write_text(json.dumps({"run_id": f"run{number}"}))
    status = {"tracking_uri": "http://server:5000/", "experiment_id": "4", "links": {"trials": "#/t"}}
    (two_arms.path / "tracking.json").write_text(json.dumps(status))
    assert "http://server:5000/#/t" in shown(two_arms)
    link = "http://server:5000/#/compare-runs?runs=%5B%22run1%22%2C%20%22run3%22%5D&experiments=%5B%224%22%5D"
    assert link in shown(two_arms, 1, 3).replace("\n", "")


def test_diff_says_what_differs_and_draws_the_curves(two_arms: SweepFolder) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    diff(two_arms.home, "vae/1", "vae/2", console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["lr", "0.0003", "0.01"] in lines and ["latent_dim", "128", "128"] in lines
    assert ["state", "completed", "pruned"] in lines
    assert ["val/judge_probability", "vae/1", "▅█", "0.5", "0.6667", "0.6667"] in lines
    assert ["vae/2", "▁", "0.25", "0.25", "0.25"] in lines


def test_diff_compares_the_judge_by_class_widest_first(two_arms: SweepFolder) -> None:
    for number, dog, rain in ((1, 0.5, 0.9), (3, 0.75, 0.8)):
        folder = two_arms.trial(number) / "media" / "best"
        folder.mkdir(parents=True)
        table = pd.DataFrame({"recording": ["a", "b", "c"], "class": ["rain", "dog", "dog"]})
        table.assign(judge_probability=[rain, dog - 0.1, dog + 0.1]).to_csv(folder / "per_recording.csv", index=False)
    console = Console(record=True, width=100, file=io.StringIO())
    diff(two_arms.home, "vae/1", "vae/3", console)
    lines = [line.split() for line in console.export_text().splitlines() if line]
    assert lines[-2:] == [["dog", "0.500", "0.750", "+0.250"], ["rain", "0.900", "0.800", "-0.100"]]


def test_a_sparkline_shows_a_long_curve_from_end_to_end_and_where_it_was_not_a_number() -> None:
    long = sparkline([float(value) for value in range(1000)], 0, 999)
    assert len(long) == 40 and long[0] == "▁" and long[-1] == "█" and sorted(long) == list(long)
    assert sparkline([0.0, float("nan"), 1.0], 0, 1) == "▁·█"
