"""The front of a sweep wherever it is shown: MLflow, the report, Python, CSV and the terminal, from one real store."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.api.results import load
from orchestrator.commands.compare import compare
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.connection import connect
from orchestrator.tracking.saved_views import TAG_PREFIX
from reports.page import figures
from reports.page.content import Report, read_report
from reports.page.drawings import drawings
from reports.page.files import make_markdown
from reports.page.front_points import make_stairs
from reports.page.html import render
from reports.runs.plain_tables import read_curves, tabulate_trials
from tests.support.sweep_folder import SweepFolder, record_sweep

BOTH = {"metric": "val/judge_probability", "mode": "max", "beside": {"val/fvu": "min"}}
ARMS = {
    f"loss={loss}": {"compared": {"loss": loss}, "searched": {"lr": {"loguniform": [1e-4, 1e-2]}}}
    for loss in ("l1", "vae")
}
POINTS = {1: ("l1", 0.9, 0.5), 2: ("l1", 0.6, 0.2), 3: ("vae", 0.8, 0.4), 4: ("vae", 0.7, 0.6), 5: ("l1", 0.8, 0.45)}
"""The arm, the judge's probability and the FVU of each trial."""
PLACES = {1: "sweep", 2: "sweep", 3: "sweep", 4: "no", 5: "arm"}


def put(sweep: SweepFolder, trial: int, loss: str, probability: float, fvu: float, outcome: str = "completed") -> None:
    sweep.ask(trial, loss)
    sweep.report(trial, 1, judge_probability=probability, fvu=fvu)
    # It is best by another metric than the first in another epoch, which does not count.
    sweep.report(trial, 2, judge_probability=probability - 0.5, fvu=fvu - 0.2)
    sweep.end(trial, outcome)


def fill(sweep: SweepFolder) -> None:
    sweep.start(objective=BOTH, arms=ARMS, metrics={name: {"mode": mode} for name, mode in modes().items()})
    for trial, values in POINTS.items():
        put(sweep, trial, *values, "pruned" if trial == 2 else "completed")
    put(sweep, 6, "vae", 0.99, 0.01, "diverged")
    sweep.close()


def modes() -> dict[str, str]:
    return {"val/judge_probability": "max", "val/fvu": "min"}


def tags_of(sweep: SweepFolder) -> dict[int, str | None]:
    runs = [run for run in sweep.runs().values() if run.data.tags["orchestrate.role"] == "trial"]
    return {int(run.data.tags["orchestrate.trial"]): run.data.tags.get("orchestrate.front") for run in runs}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> SweepFolder:
    return record_sweep(tmp_path_factory.mktemp("front"), empty_database, fill)


@pytest.fixture(scope="module")
def report(swept: SweepFolder) -> Iterator[Report]:
    with connect(swept.home) as client:
        yield read_report(client, "vae")


def test_mlflow_has_a_tag_that_stays_true(sweep: SweepFolder) -> None:
    sweep.start(objective=BOTH, arms=ARMS)
    for trial, values in POINTS.items():
        put(sweep, trial, *values)
    sweep.ask(6, "vae")
    sweep.report(6, 1, judge_probability=0.95, fvu=0.1)
    follow(sweep.path, once=True)
    assert tags_of(sweep) == PLACES | {6: "no"}
    sweep.end(6, epochs=1)
    follow(sweep.path, once=True)
    # The new trial beats all others, of which each arm keeps its own front.
    assert tags_of(sweep) == {1: "arm", 2: "arm", 3: "no", 4: "no", 5: "arm", 6: "sweep"}
    sweep.event("retried", trial=6, reason="asked for", share=1, from_scratch=False)
    follow(sweep.path, once=True)
    assert tags_of(sweep) == PLACES | {6: "no"}


def test_a_prepared_view_has_the_trials_on_the_front(swept: SweepFolder) -> None:
    client = MlflowClient(swept.uri)
    experiment = client.get_experiment_by_name("vae")
    assert experiment is not None
    packed = json.loads(experiment.tags[f"{TAG_PREFIX}vae-front"])["state"].removeprefix("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    runs = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert {int(run.data.tags["orchestrate.trial"]) for run in runs} == {1, 2, 3}
    (chart,) = state["compareRunCharts"][:1]
    assert (chart["xaxis"]["key"], chart["yaxis"]["key"]) == ("best/val_fvu", "best/val_judge_probability")
    assert {"metrics.`best/val_fvu`", "metrics.`best/val_judge_probability`"} <= set(state["selectedColumns"])
    assert "front" in swept.status()["links"]


def test_python_and_csv_have_the_front(swept: SweepFolder, report: Report) -> None:
    results = load("vae", swept.home)
    assert dict(results.front["front"]) == {1: "sweep", 3: "sweep", 5: "arm", 2: "sweep"}
    assert list(results.front.index) == [1, 3, 5, 2]
    assert list(results.front.columns) == ["arm", "front", "outcome", "val/judge_probability", "val/fvu", "lr"]
    assert results.front.loc[2, "outcome"] == "pruned" and results.front.loc[2, "val/fvu"] == 0.2
    assert dict(results.trials["front"]) == PLACES | {6: "no"}
    assert results.modes == modes()
    table = tabulate_trials(report.runs, read_curves(report.runs)).set_index("trial")
    assert list(table.columns) == list(results.trials.columns)
    assert dict(table["front"]) == PLACES | {6: "no"}


def test_a_single_objective_has_no_front(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start()
    sweep.whole_trial(1)
    sweep.close()
    results = load("vae", tmp_path)
    assert results.front.empty and "front" not in results.trials


def shown(swept: SweepFolder, *numbers: int, form: str = "table") -> str:
    console = Console(record=True, width=100, file=io.StringIO())
    compare(swept.home, "vae", numbers, form, console)
    return console.export_text()


def test_compare_shows_the_front(swept: SweepFolder) -> None:
    text = shown(swept)
    assert "Front over all arms of judge probability (max) and fvu (min): 3 trials that no other dominates" in text
    rows = [line.split() for line in text.splitlines() if re.match(r" *[123] +loss=", line)]
    assert [row[0] for row in rows] == ["1", "3", "2"]
    assert rows[2][1:5] == ["loss=l1", "0.600", "0.200", "pruned"]
    assert "On the front of their arm only: loss=l1: 5" in text
    of_arms = {row["arm"]: row for row in csv.DictReader(io.StringIO(shown(swept, form="csv")))}
    assert {arm: row["trials on the front"] for arm, row in of_arms.items() if arm in ARMS} == {
        "loss=l1": "1 2",
        "loss=vae": "3",
    }
    of_trials = {row["trial"]: row for row in csv.DictReader(io.StringIO(shown(swept, 1, 4, form="csv")))}
    assert {trial: row["front"] for trial, row in of_trials.items()} == {"1": "sweep", "4": "no"}


def test_the_report_draws_the_front(report: Report, tmp_path: Path) -> None:
    page = render(report)
    (chart,) = re.findall(
        r"<svg class='chart'[^>]*aria-label='judge probability of each trial against fvu'.*?</svg>", page
    )
    marks = re.findall(r"<use href='[^']*' class='mark ([^']*)'[^>]*data-trial='(\d+)'", chart)
    assert {int(trial): "hollow" in style for style, trial in marks} == {
        1: False,
        2: False,
        3: False,
        4: True,
        5: False,
    }
    (joined,) = re.findall(r"class='front' points='([^']*)'", chart)
    places = dict(re.findall(r"data-trial='(\d+)' x='([^']*)' y='[^']*'", chart))
    heights = dict(re.findall(r"data-trial='(\d+)' x='[^']*' y='([^']*)'", chart))
    corners = joined.split()
    assert len(corners) == 5
    for corner, trial in zip(corners[::2], ("2", "3", "1"), strict=True):
        assert corner == f"{float(places[trial]):.1f},{float(heights[trial]):.1f}"
    assert "| 2 | loss=l1 | 0.600 | 0.200 | pruned |" in make_markdown(report)
    assert "The front</h2>" in page and "further objectives" in page
    figures.save(drawings(report)["front"](), tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 5000


def test_the_line_of_a_front_promises_nothing_between_its_points() -> None:
    assert make_stairs([(2.0, 5.0), (1.0, 3.0)], "min") == [(1.0, 3.0), (2.0, 3.0), (2.0, 5.0)]
    assert make_stairs([(2.0, 3.0), (1.0, 5.0)], "max") == [(1.0, 5.0), (1.0, 3.0), (2.0, 3.0)]
    assert make_stairs([(1.0, 3.0)], "min") == [(1.0, 3.0)]
