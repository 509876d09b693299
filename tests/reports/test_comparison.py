"""`orchestrate report A B`: a page that tells what differs between sweeps, and ranks only where that is meaningful."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.report import write_reports
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.connection import connect
from reports.page.comparison import explain_unranked, find_differences, rank_arms
from reports.page.content import Report, read_report
from tests.support.browser import chromium, find_barriers, scrolls_sideways
from tests.support.sweep_folder import SweepFolder

SWEEPS: dict[str, dict[str, Any]] = {
    "small": {"judge": "judge-a"},
    "long": {"judge": "judge-a"},
    "other": {"judge": "judge-b", "corpus": {"name": "vegas", "fingerprint": "cd34"}},
}
METRICS = {"val/judge_probability": {"mode": "max", "comparable": "all", "description": ""}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Three sweeps of one question: two with one judge and other budgets, and one of another corpus and judge."""
    home = tmp_path_factory.mktemp("comparison")
    shutil.copy(empty_database, home / "mlflow.db")
    for number, (name, changes) in enumerate(SWEEPS.items()):
        sweep = SweepFolder(home, name)
        sweep.ts += 1_000_000 * number
        epochs = 3 if name == "long" else 2
        arms = {
            f"loss={loss}": {"compared": {"loss": loss}, "searched": {}, "trials": 1, "epochs": epochs}
            for loss in ("l2", "vae")
        }
        sweep.start(arms=arms, metrics=METRICS, baseline={"loss": "l2"}, **changes)
        for trial, loss in enumerate(("l2", "vae"), 1):
            sweep.whole_trial(trial, loss, epochs=epochs)
        sweep.close()
        follow(sweep.path, once=True)
    return home


def read(home: Path, *names: str) -> list[Report]:
    with connect(home) as client:
        return [read_report(client, name) for name in names]


def test_what_differs_and_what_is_the_same_are_apart(home: Path) -> None:
    differing, common = find_differences(read(home, "small", "long"))
    assert {row["fact"] for row in differing} == {"budget"}
    assert differing[0]["small"] == "1 trial per arm, 2 epochs at most"
    assert {"compares", "arms", "corpus", "judge", "setting latent_dim"} <= {row["fact"] for row in common}


def test_arms_of_sweeps_with_one_judge_are_ranked_together(home: Path) -> None:
    reports = read(home, "small", "long")
    assert explain_unranked(reports) == ""
    split, rows = rank_arms(reports)
    assert split == "validation"
    assert [(row["sweep"], row["arm"]) for row in rows] == [
        ("long", "loss=vae"),
        ("small", "loss=vae"),
        ("long", "loss=l2"),
        ("small", "loss=l2"),
    ]


def test_values_of_different_judges_are_never_ranked(home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    write_reports(home, ["small", "other"], tmp_path, "html", said.append)
    why = (
        "The arms of these sweeps are not ranked together, because their judges differ (small: judge-a; other: "
        "judge-b). Each judge has a scale of its own. Compare the differences inside each sweep, or run the sweeps "
        "on one corpus, on which they share a judge."
    )
    assert said[-2:] == [f"  {why}", str(tmp_path / "small-and-other.html")]
    with chromium() as browser:
        for scheme in ("light", "dark"):
            for width in (390, 1440):
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
                )
                page.goto(f"file://{tmp_path / 'small-and-other.html'}")
                assert find_barriers(page) == [] and not scrolls_sideways(page)
                assert page.locator(".banner").inner_text() == why
                assert page.get_by_role("heading", name="the best first").count() == 0
                assert page.get_by_role("cell", name="vegas cd34").count() == 1
                page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)


def test_a_page_of_sweeps_with_one_judge_has_their_arms_best_first(home: Path, tmp_path: Path) -> None:
    write_reports(home, ["small", "long", "small"], tmp_path, "html", print)
    assert {path.name for path in tmp_path.iterdir()} == {"small.html", "long.html", "small-and-long.html"}
    text = (tmp_path / "small-and-long.html").read_text()
    assert "the best first" in text and "not ranked" not in text
