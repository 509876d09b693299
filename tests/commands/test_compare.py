"""`orchestrate compare` and `orchestrate diff`, from the files of a sweep."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.commands.compare import compare, parse_trials
from orchestrator.commands.diff import diff
from orchestrator.errors import UserError
from orchestrator.overview.sparkline import sparkline
from tests.support.sweep_folder import SweepFolder


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


def shown(sweep: SweepFolder, *numbers: int, form: str = "table", width: int = 80) -> str:
    console = Console(record=True, width=width, file=io.StringIO())
    compare(sweep.home, "vae", numbers, form, console)
    return console.export_text()


def test_arms_stand_beside_the_reference_lines_on_80_columns(two_arms: SweepFolder) -> None:
    lines = [line.split() for line in shown(two_arms).splitlines()]
    assert ["loss=vae", "1", "0.667", "0.667", "0.667", "3"] in lines
    assert ["loss=l1", "3", "0.800", "0.800", "0.800", "0.700", "2"] in lines
    assert ["loss=l2", "0"] in lines, "an arm without a trial is named"
    assert ["real", "clips", "0.970"] in lines


def test_a_narrow_terminal_shows_which_arm_a_row_is_of(two_arms: SweepFolder) -> None:
    lines = [line.split() for line in shown(two_arms, width=40).splitlines()]
    assert ["loss=vae", "1", "0.667", "0.667", "0.667", "3"] in lines


def test_every_digit_and_every_count_is_in_the_csv(two_arms: SweepFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(two_arms, form="csv"))))
    assert rows[0]["arm"] == "loss=vae" and float(rows[0]["val/judge_probability"]) == 1 - 1 / 3
    assert (rows[1]["test/fvu"], rows[1]["tested"], rows[1]["trials"]) == ("0.2", "1", "1")


def test_latex_is_a_table_whose_names_are_escaped(two_arms: SweepFolder) -> None:
    two_arms.ask(4, "a_b & c")
    text = shown(two_arms, form="latex")
    assert text.startswith("\\begin{tabular}") and r"loss=a\_b \& c" in text


def test_names_of_settings_are_escaped_in_latex_too(two_arms: SweepFolder) -> None:
    two_arms.ask(4, lr=1e-2, compared={"loss": "vae", "magnitude_normalization": "none"})
    assert r"magnitude\_normalization" in shown(two_arms, 1, 4, form="latex")


def test_a_star_is_explained_and_is_no_part_of_an_arms_name(two_arms: SweepFolder) -> None:
    two_arms.event("attempt", trial=1, attempt=2, code="0ther")
    text = shown(two_arms)
    assert "loss=vae *" in text and "* Its trials ran on different code." in text
    assert "*" not in shown(two_arms, form="csv")
    assert "loss=l1 *" not in text


def test_a_pruned_trial_is_best_only_while_none_of_its_arm_has_completed_and_that_is_said(
    two_arms: SweepFolder,
) -> None:
    for trial, loss in ((4, "vae"), (5, "l2")):
        two_arms.ask(trial, loss)
        two_arms.report(trial, 1, judge_probability=0.99)
        two_arms.end(trial, "pruned", epochs=1)
    text = shown(two_arms)
    lines = [line.split()[:3] for line in text.splitlines()]
    assert ["loss=vae", "1", "0.667"] in lines and ["loss=l2", "5", "0.990"] in lines
    said = "no trial has trained to the end; trial 5, pruned after 1 epoch, can't be ranked against full ones."
    assert f"loss=l2: {said}" in text and text.count("ranked") == 1


def test_trials_are_compared_by_what_tells_them_apart(two_arms: SweepFolder) -> None:
    lines = [line.split() for line in shown(two_arms, 1, 2).splitlines()]
    assert lines[0] == ["trial", "1", "2"]
    assert ["lr", "3.0e-04", "0.010"] in lines and ["state", "completed", "pruned"] in lines
    assert not any(line[:1] == ["latent_dim"] for line in lines), "they share it"
    assert "Pruned: trial 2 after 1 epoch. What they reached can't be ranked" in shown(two_arms, 1, 2)
    assert "Pruned" not in shown(two_arms, 1, 3)


@pytest.mark.parametrize("named", [("vae", "1", "3"), ("vae/1", "vae/3"), ("vae", "vae/1", "3")])
def test_trials_are_named_as_in_other_commands_too(named: tuple[str, ...]) -> None:
    name, *trials = named
    assert parse_trials(name, trials) == ("vae", [1, 3])


@pytest.mark.parametrize("named", [("vae", "one"), ("vae/1", "l1/3")])
def test_something_else_than_a_trial_of_the_sweep_is_refused(named: tuple[str, ...]) -> None:
    name, *trials = named
    with pytest.raises(UserError, match=f"{named[1]}: is not a trial of vae; give numbers, such as .*compare vae 1 2"):
        parse_trials(name, trials)


def test_means_have_an_interval_where_several_trials_were_tested(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start(arms={"loss=vae": {}, "loss=l1": {}}, seeds=3)
    for number, loss in enumerate(("vae", "vae", "vae", "l1"), 1):
        sweep.whole_trial(number, loss)
        sweep.event("evaluated", trial=number, metrics={"test/judge_probability": 0.7 + number / 100}, error="")
    text = shown(sweep)
    (vae,) = (line.split() for line in text.splitlines() if line.startswith("loss=vae"))
    (l1,) = (line.split() for line in text.splitlines() if line.startswith("loss=l1"))
    # Student's t with two degrees of freedom: 4.303 times 0.01 / √3.
    assert vae[:2] == ["loss=vae", "3"] and "0.720" in vae and "±0.025" in vae
    assert l1[1] == "1" and not any("±" in cell for cell in l1)
    assert "±: half of the mean's 95 % confidence interval" in text
    (header, row, *_) = csv.reader(io.StringIO(shown(sweep, form="csv")))
    assert float(row[header.index("test/judge_probability ±")]) == pytest.approx(0.02484, abs=1e-5)


def test_a_trial_that_is_not_there_is_named(two_arms: SweepFolder) -> None:
    with pytest.raises(UserError, match="vae has no trial 9; it has 1 to 3"):
        shown(two_arms, 1, 9)


def test_a_sweep_without_trials_has_none_to_compare(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start()
    with pytest.raises(UserError, match="vae has no trial 1; it has none yet"):
        shown(sweep, 1)


def test_trials_whose_runs_are_just_being_made_are_compared_without_a_link(two_arms: SweepFolder) -> None:
    (two_arms.trial(1) / "mlflow.json").write_text("")
    assert "judge probability" in shown(two_arms, 1, 3)


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
    text = console.export_text()
    lines = [line.split() for line in text.splitlines()]
    assert ["lr", "0.0003", "0.01"] in lines and not any(line[:1] == ["latent_dim"] for line in lines)
    equal = "arm, loss, latent_dim, warm_up, judge, corpus, commit, code, torch"
    assert f"Equal in 9 rows: {equal}" in text
    assert ["state", "completed", "pruned"] in lines
    assert ["val/judge_probability", "vae/1", "▅█", "0.5", "0.6667", "0.6667"] in lines
    assert ["vae/2", "▁", "0.25", "0.25", "0.25"] in lines


def test_the_best_of_a_curve_is_what_its_metric_calls_better(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    metrics = {f"val/{name}": {"mode": "max"} for name in ("accuracy", "judge_probability")}
    sweep.start(objective={"metric": "val/accuracy", "mode": "max"}, metrics=metrics)
    sweep.ask(1)
    for epoch, accuracy in enumerate((0.2, 0.9, 0.5), 1):
        sweep.report(1, epoch, accuracy=accuracy, fvu=accuracy)
    sweep.end(1)
    console = Console(record=True, width=100, file=io.StringIO())
    diff(sweep.home, "vae/1", "vae/1", console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["val/accuracy", "vae/1", "▁█▄", "0.2", "0.5", "0.9"] in lines
    assert ["val/fvu", "vae/1", "▁█▄", "0.2", "0.5", "0.2"] in lines


@pytest.mark.parametrize(
    ("column", "metric", "last"),
    [("accuracy", "val/accuracy", "dog 0.500 1.000 +0.500"), ("other", "val/accuracy", "There is no table of classes")],
)
def test_diff_compares_classes_by_the_objective_where_there_is_no_judge(
    tmp_path: Path, column: str, metric: str, last: str
) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start(objective={"metric": metric, "mode": "max"})
    for number, value in ((1, 0.5), (2, 1.0)):
        sweep.whole_trial(number)
        folder = sweep.trial(number) / "media" / "best"
        folder.mkdir(parents=True)
        pd.DataFrame({"class": ["dog"], column: [value]}).to_csv(folder / "per_recording.csv", index=False)
    console = Console(record=True, width=100, file=io.StringIO())
    diff(sweep.home, "vae/1", "vae/2", console)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines() if line]
    assert lines[-1].startswith(last)


def test_diff_compares_the_judge_by_class_widest_first(two_arms: SweepFolder) -> None:
    for number, dog, rain in ((1, 0.5, 0.9), (3, 0.75, 0.8)):
        folder = two_arms.trial(number) / "media" / "best"
        folder.mkdir(parents=True)
        table = pd.DataFrame({"recording": ["a", "b", "c"], "class": ["NA", "01", "01"]})
        table.assign(judge_probability=[rain, dog - 0.1, dog + 0.1]).to_csv(folder / "per_recording.csv", index=False)
    console = Console(record=True, width=100, file=io.StringIO())
    diff(two_arms.home, "vae/1", "vae/3", console)
    lines = [line.split() for line in console.export_text().splitlines() if line]
    assert lines[-2:] == [["01", "0.500", "0.750", "+0.250"], ["NA", "0.900", "0.800", "-0.100"]]


def test_a_sparkline_shows_a_long_curve_from_end_to_end_and_where_it_was_not_a_number() -> None:
    long = sparkline([float(value) for value in range(1000)], 0, 999)
    assert len(long) == 40 and long[0] == "▁" and long[-1] == "█" and sorted(long) == list(long)
    assert sparkline([0.0, float("nan"), 1.0], 0, 1) == "▁·█"
