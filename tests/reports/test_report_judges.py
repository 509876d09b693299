"""Several judges of one sweep: their columns, where they disagree, and what is said of one at chance level."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.connection import connect
from reports.page.content import Report
from reports.page.html import matrix_table, render
from reports.runs import judges
from reports.runs.frames import read_sweep
from tests.support.sweep_folder import SweepFolder

SCORE = {"id": "ear-1", "accuracy": 0.9, "chance": 0.1, "recordings": 20, "ms_per_clip": 8.0, "deaf": False}
SIZES = {"features": 1024, "clips": 256}
BY_OWN, BY_EAR = {"l1": 0.9, "l2": 0.8}, {"l1": 0.4, "l2": 0.6}


def record(sweep: SweepFolder, **changes: Any) -> Report:
    """The report of two arms that the corpus judge orders one way and the judge `ear` the other way."""
    line = {"reference": "real clips", "size": None, "val/judge_accuracy": 0.97, "val/ear_accuracy": 0.95}
    score = {**SCORE, **SIZES, **changes}
    arms = {f"loss={loss}": {"trials": 1, "epochs": 1, "searched": {}} for loss in BY_OWN}
    sweep.start(arms=arms, judges={"ear": score}, references=[line])
    for number, loss in enumerate(BY_OWN, start=1):
        sweep.ask(number, loss)
        values = {"ear_probability": BY_EAR[loss], "ear_accuracy": BY_EAR[loss]}
        sweep.report(number, 1, judge_probability=BY_OWN[loss], **values)
        sweep.end(number, "completed", epochs=1)
    sweep.close()
    follow(sweep.path, once=True)
    with connect(sweep.home) as client:
        report = Report(read_sweep(client, sweep.name))
        assert report.disagreements is not None
        return report


def test_the_head_of_a_report_says_where_judges_disagree(sweep: SweepFolder) -> None:
    report = record(sweep)
    assert report.disagreements == [
        "Two judges disagree on the order of the arms: by the corpus judge it is loss=l1 (0.900), loss=l2 (0.800); "
        "by ear it is loss=l2 (0.600), loss=l1 (0.400). Listen before you choose."
    ]
    assert "Listen before you choose." in render(report).partition("</header>")[0]
    (limit,) = (remark for remark in report.remarks() if "val/ear_fad" in remark)
    assert "at most 256 clips, and its bias is small from 10240 on" in limit


def test_every_judge_has_a_column_also_in_the_rows_of_baselines(sweep: SweepFolder) -> None:
    rows = matrix_table(record(sweep))
    assert [row["ear accuracy"] for row in rows] == [0.4, 0.6, 0.95]


def test_a_judge_at_chance_level_disagrees_with_nobody_and_is_named(sweep: SweepFolder) -> None:
    report = record(sweep, accuracy=0.1, deaf=True)
    assert report.disagreements == []
    (said,) = (remark for remark in report.remarks() if "better than chance" in remark)
    assert said == (
        "Judge ear recognizes 0.10 of 20 real validation recordings (0.10 by chance), 8 ms a clip: it is no better "
        "than chance, and no answer relies on it"
    )


@pytest.mark.parametrize(
    ("metric", "columns"),
    [
        ("judge_accuracy", {"judge B": "judge_b_accuracy", "ear": "ear_accuracy"}),
        ("ear_probability", {"judge A": "judge_probability", "judge B": "judge_b_probability"}),
        ("fvu", {}),
    ],
)
def test_contrasts_by_one_judge_are_compared_with_those_of_the_others(
    sweep: SweepFolder, metric: str, columns: dict[str, str]
) -> None:
    assert judges.other_columns(record(sweep).runs, metric) == columns
