"""`orchestrate report`, over an MLflow with real runs: what it says, what it refuses, and its page in a browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator import load
from orchestrator.cli import _write_report
from orchestrator.commands.report import find_unique_name, hold_listening_test, write_reports
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.search_space.combinations import rendering_name
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.connection import connect
from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.session import Options
from reports.page import figures
from reports.page.content import Report, read_report
from reports.page.files import FORMS, write
from reports.page.html import metric_agreements, render
from reports.page.images import read_images
from reports.page.sentences import summarize
from reports.page.tables import format_hours
from reports.statistics.contrast import Contrast
from tests.support.browser import chromium
from tests.support.mounts import read_only
from tests.support.sweep_folder import METRICS as ALL_METRICS
from tests.support.sweep_folder import SweepFolder, record_sweep

SEARCHED = {"lr": {"loguniform": [1e-4, 1e-2]}}
METRICS = {
    "val/judge_probability": {"mode": "max", "comparable": "all", "description": ""},
    "val/judge_accuracy": {"mode": "max", "comparable": "all", "description": ""},
}
RECORDINGS = 24
LEVELS = (("l2", 0.4), ("l0", 0.4), ("l1", 0.7))


def start(sweep: SweepFolder, *losses: str, **changes: object) -> None:
    arms = {
        f"loss={loss}": {"compared": {"loss": loss}, "searched": SEARCHED, "trials": 4, "epochs": 2} for loss in losses
    }
    pruning = {"grace_epochs": 1, "reduction_factor": 3}
    sweep.start(**{"arms": arms, "metrics": METRICS, "baseline": {"loss": "l2"}, "pruning": pruning, **changes})


def confirm(
    sweep: SweepFolder,
    trial: int,
    loss: str,
    of: int | None,
    level: float,
    renderings: Sequence[tuple[Mapping[str, object], float]] = (),
    compared: Mapping[str, object] | None = None,
) -> None:
    """A trial of the confirm stage, judged on the test split around a level; renderings are so much better."""
    sweep.ask(trial, loss, of=of, compared=compared)
    for epoch in (1, 2):
        sweep.report(trial, epoch, judge_probability=level * epoch / 2)
    sweep.end(trial)
    sweep.render(trial, "best", 2, level=0.3)
    metrics = judge(sweep.trial(trial) / "media" / "best", level, trial)
    made = []
    for number, (settings, better) in enumerate(renderings):
        folder = f"renderings/{number}"
        shutil.copytree(sweep.trial(trial) / "media" / "best", sweep.trial(trial) / folder)
        values = judge(sweep.trial(trial) / folder, level + better, trial, number)
        name = rendering_name(settings)
        made.append({"name": name, "settings": settings, "folder": folder, "metrics": values})
    sweep.event("evaluated", trial=trial, metrics=metrics, renderings=made, error="")


def judge(folder: Path, level: float, *seed: int) -> dict[str, float]:
    """Write the table by recording of the test split; its means."""
    # What a recording has for all is paired away; what is left is small beside the arms' difference.
    hard = np.random.default_rng(0).normal(0, 0.1, RECORDINGS)
    values = level + hard + np.random.default_rng(seed).normal(0, 0.02, RECORDINGS)
    table = pd.DataFrame({"recording": [f"rec {number}" for number in range(RECORDINGS)], "class": "dog"})
    for prefix in ("judge", "judge_b"):
        table[f"{prefix}_probability"], table[f"{prefix}_accuracy"] = values, (values > 0.5).astype(float)
    table.to_csv(folder / "per_recording.csv", index=False)
    return {f"test/{name}": float(value) for name, value in table.select_dtypes("number").mean().items()}


def two_arms(sweep: SweepFolder) -> None:
    """vae is .2 better than l2, l1 is like l2; three configurations each, confirmed once."""
    start(sweep, "l2", "l1", "vae")
    number = 0
    for loss, level in (("l2", 0.5), ("l1", 0.5), ("vae", 0.7)):
        first = number + 1
        for number in range(first, first + 3):
            sweep.ask(number, loss, lr=10 ** (-4 + 0.5 * (number - first)))
            for epoch in (1, 2):
                sweep.report(number, epoch, judge_probability=level * epoch / 2 + 0.01 * (number - first))
            sweep.end(number)
            sweep.render(number, "epoch_01", 1, level=0.2)
            sweep.render(number, "best", 2, level=0.4)
        for of in range(first, first + 3):
            number += 1
            confirm(sweep, number, loss, of, level + 0.01 * (of - first - 1))
    sweep.ask(number + 1, "vae")
    sweep.end(number + 1, "diverged", "nonfinite", "epoch 1: train/loss became nan", epochs=0)
    sweep.close()


def read(sweep: SweepFolder) -> Report:
    follow(sweep.path, once=True)
    with connect(sweep.home) as client:
        return read_report(client, sweep.name)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> SweepFolder:
    """Two arms in MLflow."""
    return record_sweep(tmp_path_factory.mktemp("report"), empty_database, two_arms)


@pytest.fixture(scope="module")
def report(swept: SweepFolder) -> Report:
    return read_again(swept)


def test_the_answer_says_which_is_better_by_how_much_and_whether_that_is_luck(report: Report) -> None:
    vae, l1 = sorted(sentence for sentence in report.tested_sentences if "judge probability" in sentence)[::-1]
    found = re.fullmatch(
        r"loss: vae beats l2 by (\S+) judge probability \(95 % CI (\S+) to (\S+), n = 3 configurations × 1 seed × "
        r"24 recordings, Holm-adjusted p (?:< 0.001|= \S+)\)\.",
        vae,
    )
    assert found, vae
    difference, low, high = map(float, found.groups())
    assert low < difference < high and difference == pytest.approx(0.2, abs=0.02)
    assert l1.startswith("loss: l1 and l2 are not distinguishable: judge probability ")
    assert any("vae − l1" in each or "vae and l1 differ" in each for each in report.descriptive_sentences)


def test_a_difference_that_only_the_other_contrasts_make_insignificant_keeps_its_numbers(report: Report) -> None:
    one = next(one for tested in report.contrast_sets for one in tested.contrasts if one.level == "vae")
    one = replace(one, difference=-0.34, low=-0.64, high=-0.04, p_adjusted=0.12)
    said = [*summarize([one, replace(one, level="l1")], "judge_probability", "max", "recording")]
    assert said[0] == (
        "loss: vae and l2 differ by −0.340 judge probability, but that is not significant (95 % CI −0.640 to −0.040, "
        "n = 3 configurations × 1 seed × 24 recordings, Holm-adjusted p = 0.120); more seeds may tell."
    )
    assert said[1].startswith("loss: l1 and l2 differ by −0.340")


def test_what_could_not_be_told_apart_is_one_line_at_the_end_of_a_sweep(sweep: SweepFolder) -> None:
    start(sweep, "l2", "l0", "l1", "vae", seeds=3)
    for number, loss in enumerate(("l2", "l0", "l1", "vae") * 3, 1):
        confirm(sweep, number, loss, None, 0.9 if loss == "vae" else 0.5)
    sweep.close()
    follow(sweep.path, once=True)
    said: list[str] = []
    write_reports(sweep.home, ["vae"], sweep.home / "out", "md", said.append)
    beats, alike, _ = said
    assert beats.startswith("  loss: vae beats l2 by 0.")
    assert alike == "  loss: not distinguishable from l2 in judge probability: l0, l1."


def test_the_matrix_has_every_arm_with_its_searched_and_its_confirmed_value(report: Report) -> None:
    row = report.matrix.set_index("arm").loc["loss=vae"]
    assert (row["best trial"], row["trainings"], row["completed"], row["diverged"]) == (15, 3, 6, 1)
    assert row["searched"] == pytest.approx(0.72) and row["test"] == pytest.approx(0.7, abs=0.03)
    assert 0 < row["margin"] < 0.1


def test_a_configuration_counts_once_in_the_matrix_however_often_it_was_trained(sweep: SweepFolder) -> None:
    start(sweep, "l2")
    for number in (1, 2):
        sweep.whole_trial(number, "l2")
    for number, (of, level) in enumerate([(1, 0.4), (2, 0.8), (2, 0.8), (2, 0.8)], 3):
        confirm(sweep, number, "l2", of, level)
    sweep.close()
    (row,) = read(sweep).matrix.to_dict("records")
    assert row["test"] == pytest.approx(0.6, abs=0.03) and row["trainings"] == 4
    # Of two configurations .4 apart, by Student's t of one degree of freedom.
    assert row["margin"] == pytest.approx(12.7 * 0.2, rel=0.1)


def test_a_winner_at_the_edge_of_what_was_searched_is_flagged(sweep: SweepFolder) -> None:
    start(sweep, "l2")
    sweep.ask(1, "l2", lr=1e-2)
    sweep.report(1, 1)
    sweep.end(1)
    assert (
        "loss=l2: lr = 0.01 is at the upper edge of 0.0001 to 0.01: better values may lie outside"
        in read(sweep).remarks()
    )


def test_a_pruned_trial_is_not_ranked_against_full_ones(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae")
    sweep.whole_trial(1, "l2")
    for trial, loss in ((2, "l2"), (3, "vae")):
        sweep.ask(trial, loss)
        sweep.report(trial, 1, judge_probability=0.99)
        sweep.end(trial, "pruned", epochs=1)
    sweep.close()
    report = read(sweep)
    assert list(report.runs.best_trials()["trial"]) == [1]
    assert "loss=vae: none of its 1 trial trained to the end; pruned ones are not ranked against full ones" in (
        report.remarks()
    )


def test_a_sweep_without_confirmation_is_exploratory(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2", "vae")
    sweep.whole_trial(1, "l2")
    sweep.whole_trial(2, "vae")
    sweep.close()
    report = read(sweep)
    assert report.stage == "exploratory" and not report.tested_sentences
    (sentence,) = report.fallback_sentences
    assert "loss=vae 0.750, loss=l2 0.667" in sentence and "nothing was tested" in sentence
    write_reports(sweep.home, ["vae"], tmp_path / "out", "html", print)
    assert "Exploratory, validation only" in text_of(tmp_path / "out" / "vae.html")


def test_a_trial_that_runs_is_no_trial_less(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2")
    sweep.ask(1, "l2")
    with sweep.driven():
        follow(sweep.path, once=True)
    write_reports(sweep.home, ["vae"], tmp_path / "out", "md", print)
    assert "| 1 running |" in (tmp_path / "out" / "vae.md").read_text()


def text_of(path: Path) -> str:
    """What a page says, without its tags, scripts and styles."""
    page = re.sub(r"<(script|style)>.*?</\1>", "", path.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", "", page).split())


def test_a_sweep_that_asked_to_be_judged_is_not_told_to_ask(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2", "vae", seeds=5)
    sweep.whole_trial(1, "l2")
    sweep.ask(2, "vae")
    with sweep.driven():
        report = read(sweep)
    assert report.stage == "waiting" and "come from one lucky seed" in report.fallback_sentences[0]
    write_reports(sweep.home, ["vae"], tmp_path / "out", "html", print)
    text = text_of(tmp_path / "out" / "vae.html")
    assert "Validation only: no training of budget.seeds has been evaluated on the test split yet" in text
    assert not any(word in text for word in ("Add", "Holm", "Student", "judge B")), "of what was not done"


def test_without_the_tables_by_recording_the_test_split_still_has_its_say(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2", "vae", seeds=1)
    confirm(sweep, 1, "l2", None, 0.5)
    confirm(sweep, 2, "vae", None, 0.7)
    sweep.close()
    follow(sweep.path, once=True)
    for number in (1, 2):
        Path(sweep.run(number).info.artifact_uri, "per_recording.csv").unlink()
    report = read_again(sweep)
    why, values = report.fallback_sentences
    assert why == "The tables by recording (per_recording.csv) are missing in MLflow: nothing was tested."
    assert re.fullmatch(r"By judge probability on the test split: loss=l2 0\.4\d\d, loss=vae 0\.6\d\d\.", values), (
        values
    )
    assert report.stage == "judged"


def test_an_arm_that_nothing_is_compared_with_is_judged_alone(sweep: SweepFolder) -> None:
    sweep.start(compare=[], arms={"all": {"epochs": 2}}, metrics=METRICS, seeds=2)
    for number in (1, 2):
        confirm(sweep, number, "l2", None, 0.5)
    sweep.close()
    why, values = read(sweep).fallback_sentences
    assert why == "The search space compares nothing: nothing was tested."
    assert re.fullmatch(r"By judge probability on the test split: loss=l2 0\.\d+ ± 0\.\d+\.", values), values


def test_trials_that_were_all_pruned_have_values_all_the_same(sweep: SweepFolder) -> None:
    start(sweep, "vae")
    sweep.ask(1, "vae")
    sweep.report(1, 1, judge_probability=0.9)
    sweep.end(1, "pruned", epochs=1)
    assert read(sweep).fallback_sentences == ["No trial has trained to the end (1 pruned): nothing can be ranked."]


@pytest.mark.parametrize(
    ("pruning", "text"),
    [
        ({"kind": "median", "grace_epochs": 4}, "the median rule, from epoch 4 on"),
        ({"kind": "patient", "patience": 3}, "after 3 epochs without improvement"),
        (
            {"kind": "wilcoxon", "p_threshold": 0.1},
            "by a paired Wilcoxon test against the best trial of the arm (p < 0.1)",
        ),
    ],
)
def test_a_report_says_how_trials_ended_early(sweep: SweepFolder, pruning: dict[str, object], text: str) -> None:
    start(sweep, "l2", pruning=pruning)
    sweep.ask(1, "l2")
    sweep.report(1, 1)
    sweep.end(1, "pruned", epochs=1)
    assert read(sweep).pruning == text


def test_pruning_saves_what_was_left_of_its_own_arms_budget(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", arms={"loss=l2": {"epochs": 2}, "loss=vae": {"epochs": 9}})
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.ask(number, loss)
        sweep.report(number, 1)
        sweep.end(number, "pruned", epochs=1)
    assert read(sweep).count_saved_epochs() == (2 - 1) + (9 - 1)


@pytest.mark.parametrize("options", [[True, False], ["none", 0.1], [1, 0.5]])
@pytest.mark.parametrize("is_compared", [True, False])
def test_truths_and_mixed_choices_are_drawn(
    sweep: SweepFolder, tmp_path: Path, options: list[object], is_compared: bool
) -> None:
    domain = {"lr": SEARCHED["lr"]} if is_compared else {"time_roll": {"choice": options}, **SEARCHED}
    start(sweep, compare=["time_roll" if is_compared else "loss"], baseline={}, arms={"all": {"searched": domain}})
    for number, option in enumerate(options * 2, 1):
        given = {"time_roll": option}
        searched = {"lr": 10.0**-number} | ({} if is_compared else given)
        sweep.ask(number, compared=given if is_compared else {"loss": "vae"}, searched=searched)
        sweep.report(number, 1)
        sweep.end(number, epochs=1)
    sweep.close()
    follow(sweep.path, once=True)
    for form in ("svg", "html"):
        write_reports(sweep.home, ["vae"], tmp_path / "out", form, print)
    assert {"vae-slices.svg", "vae-parallel.svg"} <= {path.name for path in (tmp_path / "out").iterdir()}
    names = [str(option).lower() if isinstance(option, bool) else f"{option}" for option in options]
    text = (tmp_path / "out" / "vae-parallel.svg").read_text()
    assert " · ".join(sorted(names)) in text or "0.5 … 1" in text
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "out" / "vae.html").read_text())
    assert set(names) <= set(labels) or "0.5" in labels or "0.50" in labels


def test_words_below_the_axes_of_parallel_lines_do_not_run_into_each_other() -> None:
    names = [f"magnitude_normalization_{number}" for number in range(8)]
    options = [f"an_option_of_{number}" for number in range(6)]
    trials = pd.DataFrame({name: options for name in names} | {"best": np.linspace(0, 1, 6)})
    drawn = figures.parallel(trials, names, "best", "val/fvu", "min")
    drawn.canvas.draw()
    labels = drawn.axes[0].get_xticklabels()
    assert all(len(line) <= 30 for label in labels for line in label.get_text().splitlines())
    slant = np.deg2rad(labels[0].get_rotation())
    places = [drawn.axes[0].transData.transform((number, 0))[0] for number in range(len(labels))]
    # Of two slanted lines of words one above the other, as far as there is room between two axes.
    height = 2 * 1.3 * labels[0].get_fontsize() * drawn.dpi / 72
    assert np.diff(places).min() * np.sin(slant) > height


def test_judge_b_is_asked_the_same_question_where_it_did_not_judge_all(sweep: SweepFolder) -> None:
    """Judge B says the opposite of `l1 − l2`, and nothing of `l0 − l2`, which comes first."""
    start(sweep, "l2", "l0", "l1", seeds=2)
    for number, (loss, level) in enumerate((loss, level) for loss, level in LEVELS for _ in range(2)):
        confirm(sweep, number + 1, loss, None, level)
        path = sweep.trial(number + 1) / "media" / "best" / "per_recording.csv"
        table = pd.read_csv(path)
        table["judge_b_probability"] = 1 - table["judge_b_probability"]
        if loss == "l0":
            table = table.drop(columns=["judge_b_probability", "judge_b_accuracy"])
        table.to_csv(path, index=False)
    sweep.close()
    assert [each for each in read(sweep).remarks() if "judge B" in each] == [
        "judge B finds the opposite sign of judge A for l1 − l2"
    ]


def test_all_tests_of_a_report_are_one_family_and_the_judges_accuracy_is_no_part_of_it(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", seeds=3, at={"phase": "original"})
    for number, (loss, level) in enumerate([(loss, level) for loss in ("l2", "vae") for level in (0.5, 0.6, 0.7)], 1):
        confirm(sweep, number, loss, None, level, [(ORIGINAL, 0.0), (ZERO, -0.05)])
    sweep.close()
    answers = read(sweep).contrast_sets
    tested = sorted(
        (each for found in answers for each in found.contrasts if each.p_adjusted is not None),
        key=lambda each: each.p or 0,
    )
    assert [each.p_adjusted for each in tested] == [2 * (tested[0].p or 0), tested[1].p]
    (accuracy, *_) = [found for found in answers if found.metric == "judge_accuracy"]
    assert all(each.is_planned and each.p_adjusted is None for each in accuracy.contrasts)


@pytest.mark.parametrize("form", ["html", "md", "csv", "latex", "png"])
def test_a_sweep_of_which_nothing_has_ended_is_still_shown(sweep: SweepFolder, tmp_path: Path, form: str) -> None:
    start(sweep, "l2", "vae")
    said: list[str] = []
    follow(sweep.path, once=True)
    write_reports(sweep.home, ["vae"], tmp_path / "out", form, said.append)
    assert said[0] == "  No trial has a value of the objective yet: there is nothing to rank."
    sweep.ask(1, "vae")
    sweep.report(1, 1, judge_probability=float("nan"))
    sweep.end(1, "failed", "error", "it broke", epochs=1)
    follow(sweep.path, once=True)
    write_reports(sweep.home, ["vae"], tmp_path / "out", form, said.append)
    remarks = read_again(sweep).remarks()
    assert "loss=l2: no trial" in remarks and "loss=vae: none of its 1 trial trained to the end" in remarks


def test_one_configuration_never_stands_for_its_arm(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae")
    sweep.whole_trial(1, "l2")
    sweep.whole_trial(2, "vae")
    seeds = [("l2", 1, 0.5), ("l2", 1, 0.52), ("l2", 1, 0.51), ("vae", 2, 0.7), ("vae", 2, 0.73), ("vae", 2, 0.71)]
    for number, (loss, of, level) in enumerate(seeds, 3):
        confirm(sweep, number, loss, of, level)
    sweep.close()
    assert any(
        each.startswith("loss: this configuration of vae beats this one of l2 by")
        for each in read(sweep).tested_sentences
    )


ORIGINAL, ZERO = {"phase": "original"}, {"phase": "zero"}


def contrast_of(report: Report, factor: str) -> Contrast:
    """The one contrast of a factor, by the objective."""
    (contrast,) = [
        each
        for contrast_set in report.contrast_sets
        if contrast_set.is_tested
        for each in contrast_set.contrasts
        if each.factor == factor
    ]
    return contrast


def test_renderings_are_compared_within_the_trainings_that_they_are_of(sweep: SweepFolder) -> None:
    """Trainings differ a lot, and their renderings by the same amount."""
    start(sweep, "l2", "vae", seeds=3, at={"phase": "original"})
    for number, (loss, level) in enumerate([(loss, level) for loss in ("l2", "vae") for level in (0.5, 0.6, 0.7)], 1):
        confirm(sweep, number, loss, None, level, [(ORIGINAL, 0.0), (ZERO, -0.05)])
    sweep.close()
    report = read(sweep)
    contrast = contrast_of(report, "phase")
    assert (contrast.level, contrast.baseline, contrast.num_cells, contrast.num_seeds) == ("zero", "original", 2, 3)
    assert contrast.is_distinguishable and contrast.difference == pytest.approx(-0.05, abs=0.01)
    assert any(each.startswith("phase: zero is worse than original by 0.0") for each in report.tested_sentences)


def test_seeds_of_a_confirmed_configuration_are_none_of_its_renderings_configurations(sweep: SweepFolder) -> None:
    start(sweep, "l2", at={"phase": "original"}, confirm={"top": 2, "seeds": 2})
    for number in (1, 2):
        sweep.whole_trial(number, "l2")
    for number, of in enumerate((1, 1, 2, 2), 3):
        confirm(sweep, number, "l2", of, 0.5, [(ORIGINAL, 0.0), (ZERO, -0.05)])
    sweep.close()
    contrast = contrast_of(read(sweep), "phase")
    assert (contrast.num_configurations, contrast.num_seeds, contrast.scope) == (2, 2, "arm")
    assert sweep.runs()["t03-l2-confirms-t01-phase=zero"].data.tags["orchestrate.confirms"] == "1"


@pytest.mark.parametrize("at", [{"own": True, "phase": "zero"}, {"phase": "zero"}, {"own": True}])
def test_renderings_of_the_objective_are_the_baseline_however_it_is_written(
    sweep: SweepFolder, at: Mapping[str, object]
) -> None:
    start(sweep, "l2", seeds=2, at=at)
    renderings = [
        ({"phase": phase, "own": own}, better)
        for phase, better in (("zero", 0), ("pghi", 0.1))
        for own in (True, False)
    ]
    for number in (1, 2):
        confirm(sweep, number, "l2", None, 0.5, renderings)
    sweep.close()
    (objective,) = [each for each in read(sweep).contrast_sets if each.is_tested and each.of_renderings]
    planned = {(each.factor, each.level, each.baseline) for each in objective.contrasts if each.is_planned}
    assert planned == {("phase", "pghi", "zero"), ("own", "false", "true")} & {
        pair for pair in [("phase", "pghi", "zero"), ("own", "false", "true")] if pair[0] in at
    }


@pytest.mark.parametrize("baseline", [1, 1.0])
def test_whole_numbers_among_fractions_are_still_the_baseline(sweep: SweepFolder, baseline: float) -> None:
    start(sweep, "l2", compare=["width"], baseline={"width": baseline}, seeds=2)
    for number, width in enumerate((1, 1, 0.5, 0.5), 1):
        confirm(sweep, number, "", None, 0.5 + 0.1 * width, compared={"width": width})
    sweep.close()
    contrast = contrast_of(read(sweep), "width")
    assert (contrast.level, contrast.baseline, contrast.is_planned) == ("0.5", "1", True)


def test_a_baseline_that_was_not_judged_is_not_called_missing(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2", "l1", "vae", seeds=2)
    for number, loss in enumerate(("l1", "l1", "vae", "vae"), 1):
        confirm(sweep, number, loss, None, 0.5)
    sweep.close()
    line = "loss: its baseline l2 was not judged on the test split; nothing is tested"
    assert line in read(sweep).remarks()
    write_reports(sweep.home, ["vae"], tmp_path / "out", "html", print)
    text = text_of(tmp_path / "out" / "vae.html")
    assert "the baseline was not judged on the test split" in text and "add baseline:" not in text


def test_none_is_ahead_by_nothing(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", seeds=1)
    confirm(sweep, 1, "l2", None, 0.5)
    confirm(sweep, 2, "vae", None, 0.5)
    for number in (1, 2):
        path = sweep.trial(number) / "media" / "best" / "per_recording.csv"
        pd.read_csv(path).assign(judge_probability=0.5 + 0.0004 * number).to_csv(path, index=False)
    sweep.close()
    (sentence,) = read(sweep).tested_sentences
    assert sentence.startswith("loss: vae and l2 have the same judge probability (n = 1 seed × 24 recordings), but")


def test_one_seed_has_no_interval_and_says_so(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", seeds=1)
    confirm(sweep, 1, "l2", None, 0.5)
    confirm(sweep, 2, "vae", None, 0.7)
    sweep.close()
    (sentence, *_) = read(sweep).tested_sentences
    assert "but no interval can be given: only one training of" in sentence


@pytest.mark.parametrize(
    ("metric", "comparable", "cure"),
    [("val/loss", "same_loss", "val/judge_probability"), ("val/fvu_own", "same_representation", "val/fvu")],
)
def test_arms_are_not_ranked_by_what_means_something_else_in_each(
    sweep: SweepFolder, metric: str, comparable: str, cure: str
) -> None:
    described = {metric: {"mode": "min", "comparable": comparable, "description": ""}}
    changes = {"objective": {"metric": metric, "mode": "min"}, "metrics": described, "compare": ["normalization"]}
    start(sweep, "l2", "vae", **changes)
    sweep.whole_trial(1)
    with pytest.raises(ReportError, match=f"vae: {metric} .* such as {cure}"):
        read(sweep)


@pytest.mark.parametrize("loss_is_declared", [True, False])
def test_a_loss_ranks_arms_where_the_trainable_says_that_it_means_the_same_for_all(
    sweep: SweepFolder, loss_is_declared: bool
) -> None:
    described = {"val/loss": {"mode": "min", "comparable": "all", "description": ""}} if loss_is_declared else {}
    start(sweep, "l2", "vae", objective={"metric": "val/loss", "mode": "min"}, metrics=described)
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.whole_trial(number, loss)
    sweep.close()
    if loss_is_declared:
        assert "loss=l2" in read(sweep).fallback_sentences[0]
    else:
        with pytest.raises(ReportError, match="vae: val/loss is a loss"):
            read(sweep)


def seeds_of(sweep: SweepFolder, num_seeds: int, first: int = 1) -> int:
    """Seeds of two arms that are .2 apart; the number after the last of them."""
    for number in range(first, first + 2 * num_seeds):
        confirm(sweep, number, ("l2", "vae")[number % 2], None, (0.5, 0.7)[number % 2])
    return first + 2 * num_seeds


def test_seeds_that_diverged_are_counted_and_nothing_is_tested_without_them(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", seeds=5)
    seeds_of(sweep, 3)
    for trial, loss, outcome in ((7, "vae", "diverged"), (8, "vae", "diverged"), (9, "l2", "failed")):
        sweep.ask(trial, loss)
        sweep.end(trial, outcome, "nonfinite", "epoch 1: train/loss became nan", epochs=0)
    sweep.close()
    (sentence,) = read(sweep).tested_sentences
    assert re.fullmatch(
        r"loss: vae is ahead of l2 by 0\.\d+ judge probability \(n = 3 seeds × 24 recordings\), but no interval "
        r"can be given: 2 of 5 seeds of loss=vae diverged and 1 of 4 seeds of loss=l2 failed\.",
        sentence,
    ), sentence


def test_a_confirming_training_that_diverged_is_missing_and_one_of_the_search_is_not(sweep: SweepFolder) -> None:
    two_arms(sweep)
    assert any("vae beats l2" in sentence for sentence in read(sweep).tested_sentences), (
        "one of vae's search has diverged"
    )
    sweep.start(baseline={"loss": "l2"}, metrics=METRICS)
    sweep.ask(23, "vae", of=15)
    sweep.end(23, "diverged", "nonfinite", "epoch 1: train/loss became nan", epochs=0)
    sweep.close()
    sentences = read(sweep).tested_sentences
    assert any("1 of 4 confirming trainings of loss=vae diverged" in sentence for sentence in sentences)
    assert not any("beats" in sentence for sentence in sentences)


def test_an_arm_with_too_few_trials_to_confirm_is_not_tested_by_the_rest(sweep: SweepFolder) -> None:
    two_arms(sweep)
    # All four trials of vae were to be confirmed, but one has diverged; l1 and l2 have three trials each.
    sweep.start(baseline={"loss": "l2"}, metrics=METRICS, confirm={"top": 4, "seeds": 1})
    sweep.close()
    sentences = read(sweep).tested_sentences
    assert any("1 of 4 confirming trainings of loss=vae had no trial to confirm" in sentence for sentence in sentences)
    assert not any("beats" in sentence for sentence in sentences)


def test_trials_that_came_to_the_top_after_others_were_confirmed_make_an_arm_exploratory(sweep: SweepFolder) -> None:
    two_arms(sweep)
    sweep.start(baseline={"loss": "l2"}, metrics=METRICS, confirm={"top": 3, "seeds": 1})
    sweep.ask(23, "vae")
    for epoch in (1, 2):
        sweep.report(23, epoch, judge_probability=0.9)
    sweep.end(23)
    confirm(sweep, 24, "vae", 23, 0.9)
    sweep.close()
    (sentence,) = [sentence for sentence in read(sweep).tested_sentences if "vae" in sentence and "l2" in sentence]
    assert "exploratory: the best trials of loss=vae changed when some were confirmed (4 instead of 3)" in sentence


def test_of_equally_good_trials_the_first_is_the_best(sweep: SweepFolder) -> None:
    start(sweep, "l2")
    for number in range(1, 41):
        sweep.ask(number, "l2")
        for epoch in (1, 2):
            sweep.report(number, epoch, judge_probability=0.5)
        sweep.end(number)
    sweep.close()
    report = read(sweep)
    assert report.runs.trials["val/judge_probability"].nunique() == 1
    assert list(report.runs.best_trials()["trial"]) == [1]


def test_while_seeds_are_outstanding_a_contrast_is_exploratory(sweep: SweepFolder, tmp_path: Path) -> None:
    arms = {f"loss={loss}": {"compared": {"loss": loss}, "trials": 4, "epochs": 2} for loss in ("l2", "vae")}
    start(sweep, "l2", "vae", seeds=4, arms=arms)
    number = seeds_of(sweep, 3)
    with sweep.driven():
        (sentence,) = read(sweep).tested_sentences
    assert sentence.startswith("loss: vae and l2 differ by +0.")
    assert sentence.endswith("exploratory: 1 trial of loss=vae is outstanding and 1 trial of loss=l2 is outstanding).")
    write_reports(sweep.home, ["vae"], tmp_path / "out", "html", print)
    assert "Holm-adjusted p" not in text_of(tmp_path / "out" / "vae.html")
    seeds_of(sweep, 1, number)
    sweep.close()
    assert read(sweep).tested_sentences[0].startswith("loss: vae beats l2 by 0.")


def test_what_was_granted_after_a_look_at_the_test_split_makes_a_contrast_exploratory(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae", seeds=3)
    number = seeds_of(sweep, 3)
    sweep.close()
    assert "beats" in read(sweep).tested_sentences[0]
    start(sweep, "l2", "vae", seeds=3, looks=[{"arms": ["loss=vae"], "judged": 6}])
    seeds_of(sweep, 1, number)
    sweep.close()
    (sentence,) = read(sweep).tested_sentences
    assert re.fullmatch(
        r"loss: vae and l2 differ by \+0\.\d+ judge probability \(95 % CI .*, exploratory: loss=vae got more "
        r"trainings after a look at the test split \(look 2\); p for repeated looks (< 0.001|= 0\.\d+), "
        r"valid if it alone is used at every look\)\.",
        sentence,
    ), sentence


def another_home(sweep: SweepFolder, tmp_path: Path) -> SweepFolder:
    """A sweep of the same name in another home, which writes to the same MLflow later."""
    other = SweepFolder(tmp_path / "other", uri=sweep.uri)
    other.ts += 1_000_000
    return other


def test_a_report_is_of_the_sweep_in_this_home_whoever_else_runs_one_of_its_name(
    sweep: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sweep.uri)
    other = another_home(sweep, tmp_path)
    for mine, loss, host in ((sweep, "mine", "here"), (other, "theirs", "there")):
        start(mine, "l2", loss, host=host)
        mine.whole_trial(1, loss)
        mine.close()
        follow(mine.path, once=True)
    with connect(sweep.home) as client:
        names = {mine.home: find_unique_name(mine.home, "vae") for mine in (sweep, other)}
        runs = {home: read_report(client, name).runs for home, name in names.items()}
    for mine, loss in ((sweep, "mine"), (other, "theirs")):
        assert f"loss={loss}" in runs[mine.home].arms and runs[mine.home].name == "vae"
        said: list[str] = []
        _write_report("vae", mine.home, said.append)
        kept = Path(runs[mine.home].run.info.artifact_uri, "report.html").read_text()
        assert kept == (mine.home / "reports" / "vae.html").read_text() and f"loss={loss}" in kept
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(ReportError) as caught:
        write_reports(elsewhere, ["vae"], None, "html", print)
    first, second = names.values()
    assert re.fullmatch(
        rf"MLflow has 2 sweeps called vae; say which one is meant: {first} \(started .* on here, 1 trial, completed\); "
        rf"{second} \(started .* on there, 1 trial, completed\)",
        str(caught.value),
    )
    write_reports(elsewhere, [second[:9]], None, "md", print)
    assert "loss=theirs" in (elsewhere / "reports" / "vae.md").read_text()


def test_a_sweep_that_mlflow_has_not_got_yet_is_never_somebody_elses(
    sweep: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sweep.uri)
    other = another_home(sweep, tmp_path)
    for mine in (sweep, other):
        start(mine, "l2")
        mine.close()
    follow(other.path, once=True)
    with pytest.raises(UserError) as caught:
        write_reports(sweep.home, ["vae"], None, "html", print)
    assert re.fullmatch(
        r"sweep vae@\w{12} is not in MLflow, which has others of that name: vae@\w+ \(.*\); "
        rf"orchestrate resume vae --home {sweep.home} sends it",
        str(caught.value),
    )


def test_the_command_that_imports_answers_names_the_sweep_in_its_home(sweep: SweepFolder, tmp_path: Path) -> None:
    start(sweep, "l2", "vae")
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.whole_trial(number, loss)
        sweep.render(number, "best", 2)
    sweep.close()
    follow(sweep.path, once=True)
    said: list[str] = []
    hold_listening_test(sweep.home, "vae", Options(export=tmp_path / "test.html"), said.append)
    assert said[-1] == (f"that they send back with  orchestrate listen vae --home {sweep.home} --import ANSWERS.json")


def test_of_a_problem_without_sounds_nobody_says_that_sounds_are_missing(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae")
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.whole_trial(number, loss)
    sweep.close()
    report = read(sweep)
    render(report)
    assert not any("no sounds" in remark for remark in report.remarks())


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_a_sweep_without_sound_speaks_of_neither_sounds_nor_recordings(
    sweep: SweepFolder, tmp_path: Path, num_seeds: int
) -> None:
    """As docs/examples/two_moons.yaml: points without a corpus and without a judge."""
    metrics = {"val/accuracy": {"mode": "max", "comparable": "all", "description": "fraction of points"}}
    without = {"corpus": None, "judge": None, "references": []}
    objective = {"metric": "val/accuracy", "mode": "max"}
    start(sweep, "l2", "vae", seeds=num_seeds, metrics=metrics, objective=objective, **without)
    for number, (loss, level) in enumerate([("l2", 0.5), ("vae", 0.7)] * num_seeds, 1):
        sweep.ask(number, loss)
        sweep.report(number, 1, accuracy=level)
        sweep.end(number, epochs=1)
        accuracy = level + np.random.default_rng(number).normal(0, 0.05, 20)
        table = pd.DataFrame({"recording": [f"point {index}" for index in range(20)], "accuracy": accuracy})
        table.to_csv(sweep.trial(number) / "per_recording.csv", index=False)
        metrics_of_test = {"test/accuracy": float(accuracy.mean())}
        sweep.event("evaluated", trial=number, metrics=metrics_of_test, renderings=[], error="")
    sweep.close()
    follow(sweep.path, once=True)
    said: list[str] = []
    for form in ("html", "md", "csv"):
        write_reports(sweep.home, ["vae"], tmp_path / "out", form, said.append)
    sentences = [line for line in said if line.startswith("  ")]
    texts = [text_of(tmp_path / "out" / "vae.html"), (tmp_path / "out" / "vae.md").read_text(), *sentences]
    spoken = r"sound|recording|listen|hear|clip|judge[^d]|spectrogram|render"
    for text in texts:
        assert not re.search(spoken, text, re.IGNORECASE), text
    assert f"n = {num_seeds} seed{'s' * (num_seeds > 1)} × 20 examples" in texts[0]
    assert (tmp_path / "out" / "vae-examples.csv").exists()


def test_one_arm_without_sounds_beside_others_is_named(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae")
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.whole_trial(number, loss)
    sweep.render(1, "best", 2)
    sweep.close()
    report = read(sweep)
    render(report)
    assert "trial 2: it has no sounds in MLflow" in report.remarks()


def test_a_sweep_that_mlflow_does_not_hold_is_said_with_its_nearest(swept: SweepFolder) -> None:
    with pytest.raises(ReportError, match=r"sweep 'vea' is not in MLflow; did you mean vae\?"):
        write_reports(swept.home, ["vea"], None, "html", print)


def test_an_mlflow_that_does_not_answer_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(OrchestratorError, match="does not answer"):
        write_reports(tmp_path, ["vae"], None, "html", print)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "no sweep has been run here; run one .* or name another --home"),
        ("foo", "MLFLOW_TRACKING_URI: 'foo' is not an address of MLflow; it begins with one of sqlite, http"),
        ("mysql+foo://x/y", "can't be used .*; allowed: sqlite"),
        ("sqlite:///{home}/gone.db", "gone.db: there is no such database; check MLFLOW_TRACKING_URI"),
    ],
)
@pytest.mark.parametrize("is_listened_to", [False, True])
def test_whoever_only_reads_makes_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, said: str, is_listened_to: bool
) -> None:
    home = tmp_path / "mistyped"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(home=home))
    if "gone" in uri:
        SweepFolder(home).start()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=said):
        if is_listened_to:
            hold_listening_test(home, "vae", Options("mos", 5, (), None, False, None, None, 5001), print)
        else:
            write_reports(home, ["vae"], None, "html", print)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.root
def test_a_database_that_can_only_be_read_is_named(sweep: SweepFolder) -> None:
    with read_only(sweep.home), pytest.raises(UserError, match=r"mlflow\.db: can't be written, which MLflow has to do"):
        write_reports(sweep.home, ["vae"], None, "html", print)


def test_a_report_that_fails_takes_nothing_from_the_sweep_that_has_ended(sweep: SweepFolder) -> None:
    start(sweep, "l2", seeds=1)
    confirm(sweep, 1, "l2", None, 0.5)
    path = sweep.trial(1) / "media" / "best" / "per_recording.csv"
    table = pd.read_csv(path)
    pd.concat([table, table]).to_csv(path, index=False)
    sweep.close()
    follow(sweep.path, once=True)
    said: list[str] = []
    _write_report("vae", sweep.home, said.append)
    assert re.fullmatch(
        r"No report \(ValueError: .*duplicate.*\); orchestrate report vae --home \S+ shows the traceback", said[-1]
    )


def test_what_is_missing_is_named_and_the_rest_is_shown(sweep: SweepFolder) -> None:
    two_arms(sweep)
    # Without trial 6 the configuration of trial 3 has this one, so that there still are three to be tested.
    confirm(sweep, 23, "l2", 3, 0.51)
    sweep.close()
    follow(sweep.path, once=True)
    sweep.client.delete_run(sweep.run(1).info.run_id)
    confirmed = sweep.run(6)
    Path(confirmed.info.artifact_uri, "per_recording.csv").unlink()
    report = read_again(sweep)
    assert "trial 6: its per_recording.csv is missing in MLflow" in (report.tested_sentences and report.remarks())
    assert any("vae beats l2" in sentence for sentence in report.tested_sentences)
    assert 1 not in set(report.runs.trials["trial"])


def read_again(sweep: SweepFolder) -> Report:
    """Without sending what is missing once more."""
    with connect(sweep.home) as client:
        return read_report(client, sweep.name)


def test_the_page_is_an_artifact_of_the_sweep_and_needs_no_network(swept: SweepFolder, tmp_path: Path) -> None:
    write_reports(swept.home, ["vae"], tmp_path / "out", "html", print)
    text = (tmp_path / "out" / "vae.html").read_text()
    kept = Path(swept.runs()["vae"].info.artifact_uri, "report.html").read_text()
    assert kept == text
    assert not re.search(r"""(?:src|href)=["']?https?:|@import|url\(http""", text)


def test_the_images_of_trials_that_make_some_are_shown_arm_by_arm(sweep: SweepFolder) -> None:
    start(sweep, "l2", "vae")
    for number, loss in ((1, "l2"), (2, "vae")):
        sweep.ask(number, loss)
        sweep.report(number, 1)
        sweep.end(number, epochs=1)
        # As sound_to_image renders: no sound is made.
        sweep.render(number, "best", 1, picture="image", ends="original")
    sweep.close()
    report = read(sweep)
    with connect(sweep.home) as client:
        keys = {file.path for file in client.list_artifacts(str(report.runs.trials["run_id"].iloc[0]), "images")}
    assert any("image~dog_1" in key for key in keys) and not any("spectrogram" in key for key in keys)
    images = read_images(report.runs)
    assert list(images) == ["dog_1", "rain_2"]
    assert all(list(arms) == ["loss=l2", "loss=vae"] for arms in images.values())
    page = render(report)
    assert page.count('<img src="data:image/webp;base64,') == 4
    assert "<h2>Listen</h2>" not in page
    assert list(read_images(report.runs, max_bytes=1)) == []


def test_names_with_html_in_them_are_shown_as_they_are(sweep: SweepFolder, tmp_path: Path) -> None:
    evil = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
    start(sweep, "l2", evil)
    for number, loss in enumerate(("l2", evil), 1):
        sweep.whole_trial(number, loss)
        sweep.render(number, "best", 2)
    for number, (loss, of, level) in enumerate([("l2", 1, 0.5), ("l2", 1, 0.52), (evil, 2, 0.7), (evil, 2, 0.73)], 3):
        confirm(sweep, number, loss, of, level)
    sweep.ask(7, evil)
    sweep.end(7, "failed", "error", evil)
    sweep.close()
    follow(sweep.path, once=True)
    write_reports(sweep.home, ["vae"], tmp_path, "html", print)
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"file://{tmp_path / 'vae.html'}")
        assert page.evaluate("window.evil") is None
        assert page.get_by_text("<script>window.evil = 1</script>").count() > 3


def test_in_the_page_one_sound_goes_on_where_the_other_was(swept: SweepFolder, tmp_path: Path) -> None:
    write_reports(swept.home, ["vae"], tmp_path, "html", print)
    with chromium() as browser:
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"file://{tmp_path / 'vae.html'}")
        cells = page.locator(".probe").first.locator(".cell")
        # The original, and of each arm an epoch of its history and the best.
        assert cells.count() == 1 + 3 * 2
        assert cells.locator("img").count() == 1 + 2 * 6
        cells.nth(0).click()
        assert cells.nth(0).get_attribute("aria-pressed") == "true"
        page.keyboard.press("ArrowDown")
        assert [cells.nth(n).get_attribute("aria-pressed") for n in (0, 1)] == ["false", "true"]
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        assert page.locator("figure svg").count() >= 5 and not errors


def read_csv(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("md", {"vae.md": lambda text: text.startswith("# Sweep vae: test split") and "| loss=vae | 15 |" in text}),
        (
            "csv",
            {
                "vae-arms.csv": lambda text: "loss=vae" in text,
                "vae-contrasts.csv": lambda text: "p_adjusted" in text,
                "vae-trials.csv": lambda text: len(read_csv(text)) == 19 and read_csv(text)["lr"].notna().all(),
                "vae-curves.csv": lambda text: (
                    list(read_csv(text)) == ["trial", "arm", "epoch", *sorted(ALL_METRICS)]
                    and len(read_csv(text)) == 18 * 2
                ),
                "vae-recordings.csv": lambda text: (
                    len(read_csv(text)) == 9 * RECORDINGS and "judge_probability" in read_csv(text)
                ),
            },
        ),
        (
            "latex",
            {
                "vae-arms.tex": lambda text: (
                    r"\begin{tabular}{lrrr}" in text
                    and r"\toprule" in text
                    and re.search(r"loss=vae & \$0\.720\$ & \$0\.\d{3} \\pm 0\.\d{3}\$ & \$3\$", text)
                ),
                "vae-contrasts.tex": lambda text: (
                    "judge accuracy" not in text and re.search(r"vae \$-\$ l2 & \$0\.\d{3}\$ & \$\[0\.", text)
                ),
            },
        ),
        ("svg", {"vae-curves.svg": lambda text: "<svg" in text, "vae-contrasts_judge_probability.svg": bool}),
        ("png", {"vae-confirmed.png": bool, "vae-slices.png": bool, "vae-survival.png": bool}),
    ],
)
def test_tables_and_pictures_can_be_had_alone(
    swept: SweepFolder, tmp_path: Path, form: str, wanted: dict[str, Callable[[str], bool]]
) -> None:
    write_reports(swept.home, ["vae"], tmp_path / "out", form, print)
    for name, holds in wanted.items():
        assert holds((tmp_path / "out" / name).read_text(errors="replace")), name


def test_csv_has_the_columns_and_values_of_python(swept: SweepFolder, tmp_path: Path) -> None:
    write_reports(swept.home, ["vae"], tmp_path, "csv", print)
    results = load("vae", swept.home)
    frames = {"trials": results.trials.reset_index(), "curves": results.curves, "recordings": results.recordings}
    for name, frame in frames.items():
        written = (tmp_path / f"vae-{name}.csv").read_text()
        pd.testing.assert_frame_equal(read_csv(written), read_csv(frame.to_csv(index=False)), check_exact=True)
        assert len(frame) > 18 and not frame.columns.duplicated().any()
    assert list(frames["trials"])[:10] == ["trial", *words.TRIAL_COLUMNS]
    assert {"lr", "loss", "warm_up", "val/fvu", "test/judge_accuracy"} <= set(frames["trials"])


def test_the_commands_that_the_faq_names_delete_every_file_of_a_sweep(report: Report, tmp_path: Path) -> None:
    for form in FORMS:
        assert write(report, form, tmp_path / "runs" / "reports")
    for other in ("listening/vae/test.html", "vae/sweep.jsonl", "reports/vae2.html"):
        (tmp_path / "runs" / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / other).touch()
    page = (Path(__file__).parents[2] / "docs" / "faq.md").read_text()
    answer = page.partition("### How do I delete a sweep?")[2].partition("###")[0]
    commands = re.findall("`(rm [^`]+)`", answer)
    assert commands
    for command in commands:
        subprocess.run(command.replace("NAME", "vae"), shell=True, check=True, cwd=tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["vae2.html"]


def test_a_folder_that_can_not_be_written_is_said_with_the_cure(swept: SweepFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match=r"can't be written there .* give another --out"):
        write_reports(swept.home, ["vae"], tmp_path / "file", "md", print)
    with pytest.raises(ReportError, match="--format pdf is unknown; html, md"):
        write_reports(swept.home, ["vae"], tmp_path, "pdf", print)


@pytest.mark.parametrize("setting", ["stage", "epochs", "configuration", "recording", "value"])
def test_a_setting_may_have_the_name_of_a_column_of_reports(sweep: SweepFolder, tmp_path: Path, setting: str) -> None:
    arms = {
        f"{setting}={level}": {"compared": {setting: level}, "searched": SEARCHED, "trials": 3, "epochs": 2}
        for level in (2, 4)
    }
    sweep.start(arms=arms, metrics=METRICS, baseline={setting: 2}, compare=[setting], seeds=3)
    number = 0
    for level, reached in ((2, 0.4), (4, 0.6)):
        for _ in range(3):
            number += 1
            sweep.ask(number, compared={setting: level})
            for epoch in (1, 2):
                sweep.report(number, epoch, judge_probability=reached * epoch / 2)
            sweep.end(number)
            sweep.render(number, "best", 2, level=0.3)
            metrics = judge(sweep.trial(number) / "media" / "best", reached, number)
            sweep.event("evaluated", trial=number, metrics=metrics, renderings=[], error="")
    sweep.close()
    report = read(sweep)
    contrast = contrast_of(report, f"{setting} (setting)")
    assert contrast.difference == pytest.approx(0.2, abs=0.05)
    assert contrast.p < 0.05
    assert f"{setting}=4" in render(report)


def test_one_arm_is_ranked_in_units_of_its_own(sweep: SweepFolder, tmp_path: Path) -> None:
    own = {"val/judge_probability": {"mode": "max", "comparable": "same_representation", "description": ""}}
    start(sweep, "l2", metrics=own)
    sweep.ask(1, "l2")
    sweep.report(1, 1, judge_probability=0.4)
    sweep.end(1)
    sweep.close()
    assert len(read(sweep).matrix) == 1


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.0125, "45 s"), (0.116, "7 min"), (1.0833, "1 h 05 min"), (0.9999, "1 h 00 min"), (74.2, "3 d 2 h")],
)
def test_durations_are_shown_as_people_write_them(hours: float, text: str) -> None:
    assert format_hours(hours) == text


def test_a_table_of_the_page_has_no_empty_column(report: Report) -> None:
    page = render(report)
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
        assert all(any(column[1:]) for column in zip(*cells, strict=True)), cells[0]


def test_the_report_names_the_metric_that_agrees_best_with_listeners() -> None:
    logged = {
        "listen/agreement/prefer/val/fvu": 0.2,
        "listen/agreement/prefer/val/fvu_low": -0.2,
        "listen/agreement/prefer/val/fvu_high": 0.6,
        "listen/agreement/prefer/val/judge_accuracy": 0.8,
        "listen/agreement/prefer/val/judge_accuracy_low": 0.6,
        "listen/agreement/prefer/val/judge_accuracy_high": 1.0,
        "listen/mos_agreement": 0.5,
    }
    rows = metric_agreements(logged)
    assert [(row["metric"], row["Kendall's τ"], row["low"]) for row in rows] == [
        ("val/judge_accuracy", 0.8, 0.6),
        ("val/fvu", 0.2, -0.2),
    ]
