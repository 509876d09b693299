"""The page of `orchestrate report` in a browser: charts that answer to the pointer, and the table of trials."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.commands.report import write_reports
from orchestrator.tracking.connection import connect
from reports.page.axes import make_axis, number_axis
from reports.page.charts.svg import Plot
from reports.page.content import Report, read_report
from reports.page.html import render
from reports.page.probes import read_probes
from tests.support.browser import find_barriers, scrolls_sideways, wide_page
from tests.support.sweep_folder import SweepFolder, record_sweep

LR = {"lr": {"loguniform": [1e-4, 1e-2]}}
SEARCHED = {"l2": LR, "vae": LR | {"kl_weight": {"loguniform": [1e-3, 4.0]}}}
CORPUS = {
    "name": "demo",
    "fingerprint": "ab12",
    "classes": 10,
    "splits": {
        "train": {"recordings": 30, "clips": 60},
        "validation": {"recordings": 10, "clips": 20},
        "test": {"recordings": 1, "clips": 2},
    },
}
HARDWARE = {"processor": "A processor", "cores": 8, "memory_gib": 64, "gpus": ["A card"]}
ROOM = 8_000_000
"""The size in bytes that a page may have."""


def search(sweep: SweepFolder, *, with_sounds: bool = True) -> None:
    """Four trials of two arms: the second of each is pruned; the weight of the divergence is searched in one only."""
    arms = {
        f"loss={loss}": {"compared": {"loss": loss}, "searched": searched, "trials": 2, "epochs": 3}
        for loss, searched in SEARCHED.items()
    }
    metrics = {"val/judge_probability": {"mode": "max", "comparable": "all", "description": "what the judge gives"}}
    pruning = {"grace_epochs": 1, "reduction_factor": 3}
    given = {"arms": arms, "metrics": metrics, "baseline": {"loss": "l2"}, "pruning": pruning, "renders": with_sounds}
    sweep.start(**given, corpus=CORPUS, hardware=HARDWARE)
    for trial, (loss, lr, is_pruned) in enumerate(
        [("l2", 1e-4, False), ("l2", 1e-3, True), ("vae", 3e-4, False), ("vae", 1e-2, True)], 1
    ):
        searched = {"lr": lr} | ({"kl_weight": 0.1 * trial} if loss == "vae" else {})
        sweep.ask(trial, loss, searched=searched)
        epochs = 1 if is_pruned else 3
        for epoch in range(1, epochs + 1):
            sweep.report(trial, epoch, judge_probability=0.2 * epoch + 0.05 * trial)
        sweep.end(trial, "pruned" if is_pruned else "completed", epochs=epochs)
        if with_sounds and not is_pruned:
            sweep.render(trial, "epoch_01", 1, level=0.2)
            sweep.render(trial, "best", 3, level=0.4)
    sweep.close()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> SweepFolder:
    """Two arms in MLflow."""
    return record_sweep(tmp_path_factory.mktemp("swept"), empty_database, search)


@pytest.fixture(scope="module")
def path(swept: SweepFolder) -> Path:
    write_reports(swept.home, ["vae"], swept.home / "out", "html", print)
    return swept.home / "out" / "vae.html"


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """The page in a wide window; no script may fail."""
    with wide_page(browser, path) as page:
        yield page


def test_a_point_under_the_pointer_names_its_trial_and_what_was_searched(page: Page) -> None:
    tip = page.locator("#tip")
    expect(tip).to_be_hidden()
    page.locator("use[data-trial='3']").first.hover()
    expect(tip).to_contain_text("t03-vae-lr3e-4")
    for text in ("loss=vae", "kl_weight", "0.3", "completed", "0.75"):
        expect(tip).to_contain_text(text)
    expect(page.locator("tr[data-row='3']")).to_have_class("on")
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()


def test_a_line_under_the_pointer_names_its_trial(page: Page) -> None:
    # A pruned trial is drawn first, and nobody hears it.
    line = page.locator("polyline.path[data-trial='4']")
    line.scroll_into_view_if_needed()
    x, y = line.evaluate(
        """line => {
            const [a, b] = [line.points[1], line.points[2]], screen = line.getScreenCTM();
            const middle = new DOMPoint((a.x + 3 * b.x) / 4, (a.y + 3 * b.y) / 4).matrixTransform(screen);
            return [middle.x, middle.y];
        }"""
    )
    page.mouse.move(x, y)
    expect(page.locator("#tip")).to_contain_text("t04-vae-lr0.01")
    expect(page.locator("#tip")).not_to_contain_text("click to hear it")


def test_a_click_on_a_point_plays_the_trials_sound(page: Page) -> None:
    button = page.locator("tr[data-row='1'] .play")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.locator("use[data-trial='1']").first.click()
    # The sound of the tests lasts a tenth of a second.
    page.wait_for_function("current === document.querySelector('tr[data-row=\"1\"] .play') && sound.duration > 0.05")
    assert page.locator("tr[data-row='2'] .play").count() == 0, "of a pruned trial nothing was rendered"


def test_an_entry_of_a_legend_hides_its_arm_in_all_charts(page: Page) -> None:
    entry = page.get_by_role("button", name="loss=vae", exact=True).first
    marks = page.locator("svg.chart [data-arm='1']")
    assert marks.count() > 6 and all(mark.evaluate("mark => mark.checkVisibility()") for mark in marks.all())
    entry.press("Enter")
    expect(entry).to_have_attribute("aria-pressed", "false")
    assert not any(mark.evaluate("mark => mark.checkVisibility()") for mark in marks.all())
    assert page.locator("svg.chart [data-arm='0']").first.evaluate("mark => mark.checkVisibility()")
    entry.click()
    assert all(mark.evaluate("mark => mark.checkVisibility()") for mark in marks.all())


def test_an_axis_fits_the_arms_that_are_shown(page: Page) -> None:
    chart = page.locator("svg.chart[data-frame]").first
    entry = page.get_by_role("button", name="loss=vae", exact=True).first
    line = chart.locator(".line[data-arm='0']")

    def look() -> tuple[list[str], float]:
        heights = line.evaluate("line => [...line.points].map(point => point.y)")
        return chart.locator(".ticks.y text").all_text_contents(), max(heights) - min(heights)

    labels, height = look()
    entry.click()
    fitted, fitted_height = look()
    # Alone, the arm reaches from 0.25 to 0.65; with the other one, the axis went to 0.75.
    assert fitted_height > 1.1 * height and fitted != labels
    assert max(float(label) for label in fitted) <= 0.65
    frame = [float(px) for px in str(chart.get_attribute("data-frame")).split()]
    ticks = chart.locator(".ticks.y path").evaluate_all("paths => paths.map(path => path.getBBox().y)")
    assert all(frame[1] <= y <= frame[3] for y in ticks)
    entry.click()
    assert look() == (labels, height)


def test_ticks_of_the_page_are_those_of_the_program(page: Page) -> None:
    for low, high, is_log in ((0.0, 0.9, False), (0.93, 0.953, False), (1e-4, 1e-2, True), (3.0, 4e4, True)):
        axis = make_axis(pd.Series([low, high]), is_log=True, padding=0) if is_log else number_axis(low, high)
        ticks = page.evaluate(f"{'logTicks' if is_log else 'linearTicks'}({low}, {high}, false)")
        assert [label for _, label in ticks] == [label for _, label in axis.ticks]


def test_a_chart_without_values_has_an_axis_without_ticks() -> None:
    drawn = Plot(number_axis(0, 1), make_axis(pd.Series([math.nan])), "epoch", "loss").draw("nothing")
    assert "<g class='ticks y'></g>" in drawn and "data-x=" in drawn and "data-y=" not in drawn


def test_arms_differ_in_dash_and_marker_too(page: Page) -> None:
    dashes = [
        page.locator(f".line[data-arm='{arm}']").first.evaluate("line => getComputedStyle(line).strokeDasharray")
        for arm in (0, 1)
    ]
    shapes = [page.locator(f"use[data-arm='{arm}']").first.get_attribute("href") for arm in (0, 1)]
    assert len(set(dashes)) == len(set(shapes)) == 2


def test_a_click_on_a_column_sorts_the_trials_and_so_does_the_keyboard(page: Page) -> None:
    def order() -> list[str]:
        return [str(row.get_attribute("data-row")) for row in page.locator("#trials tbody tr").all()]

    head = page.locator("#trials th", has_text="best judge probability")
    head.get_by_role("button").click()
    assert order() == ["2", "4", "1", "3"] and head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert order() == ["3", "1", "4", "2"] and head.get_attribute("aria-sort") == "descending"
    # Trials without the parameter are last, up and down.
    weight = page.locator("#trials th", has_text="kl_weight").get_by_role("button")
    for wanted in (["3", "4"], ["4", "3"]):
        weight.click()
        assert order()[:2] == wanted
    assert head.get_attribute("aria-sort") == "none"


def test_trials_are_filtered_by_text_and_by_arm(page: Page) -> None:
    def shown() -> list[str]:
        return [str(row.get_attribute("data-row")) for row in page.locator("#trials tbody tr:visible").all()]

    page.get_by_label("Filter").fill("pruned VAE")
    assert shown() == ["4"]
    expect(page.locator("#count")).to_have_text("1 of 4")
    page.get_by_label("Filter").fill("")
    page.get_by_label("Arm", exact=True).select_option("loss=l2")
    assert shown() == ["1", "2"]


def test_parallel_coordinates_have_ticks_and_a_place_for_what_an_arm_has_not_got(page: Page) -> None:
    chart = page.locator(".wide svg.chart")
    texts = chart.locator("text").all_text_contents()
    for text in ("lr", "kl_weight", "1e−4", "1e−3", "l2", "vae", "—"):
        assert text in texts, texts
    # Equal steps of a logarithmic axis are equal factors.
    heights = {
        trial: chart.locator(f"polyline[data-trial='{trial}']").evaluate("line => line.points[1].y")
        for trial in (1, 2, 4)
    }
    assert heights[1] - heights[2] == pytest.approx(heights[2] - heights[4], abs=0.3)
    below = [chart.locator(f"polyline[data-trial='{trial}']").evaluate("line => line.points[2].y") for trial in (1, 2)]
    assert below[0] == below[1] > heights[1]
    shades = {chart.locator(f"polyline[data-trial='{trial}']").get_attribute("class") for trial in (2, 3)}
    assert shades == {"path q4", "path q1"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nobody_is_kept_from_reading_the_page(browser: Browser, path: Path, scheme: str, width: int) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(f"file://{path}")
    assert find_barriers(page) == []
    assert not scrolls_sideways(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    labels = {page.locator("svg.chart text").first.evaluate("text => getComputedStyle(text).fill")}
    assert (background == "rgb(255, 255, 255)") == (scheme == "light") and background not in labels
    page.close()


def test_without_scripts_the_charts_and_the_trials_are_there(browser: Browser, path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"file://{path}")
    assert page.locator("polyline.path").first.is_visible() and page.locator("svg.chart use").first.is_visible()
    assert page.locator("#trials tbody tr").count() == 4
    assert page.get_by_label("Filter").is_hidden()
    page.close()


def test_labels_of_an_axis_do_not_touch(page: Page) -> None:
    for chart in page.locator("svg.chart").all():
        boxes = [box for text in chart.locator("text.middle:not(.title)").all() if (box := text.bounding_box())]
        lowest = max((box["y"] for box in boxes), default=0)
        row = sorted((box["x"], box["width"]) for box in boxes if abs(box["y"] - lowest) < 2)
        assert all(x + width < following for (x, width), (following, _) in itertools.pairwise(row))


def test_a_word_is_explained_where_it_first_stands_by_keyboard_and_by_touch(page: Page) -> None:
    word = page.get_by_role("button", name="judge probability", exact=True)
    explanation = page.locator("#term-judge-probability")
    expect(explanation).to_be_hidden()
    assert "the judge gives to the true class" in (word.get_attribute("title") or "")
    word.press("Enter")
    expect(explanation).to_be_visible()
    page.keyboard.press("Escape")
    expect(explanation).to_be_hidden()
    word.click()
    expect(explanation).to_contain_text("guessing")
    assert word.count() == 1 and page.get_by_role("button", name="judge", exact=True).count() == 1
    # The list at the end has the words that occur, and no others.
    words = page.locator(".glossary dt").all_inner_texts()
    assert {"arm", "trial", "judge", "pruned", "ASHA"} <= set(words)
    assert not {"Holm-adjusted p", "fANOVA", "Krippendorff’s alpha"} & set(words)


def test_the_method_names_data_judge_seeds_machine_and_versions(page: Page) -> None:
    facts = {row.locator("th").inner_text(): row.locator("td").inner_text() for row in page.locator(".facts tr").all()}
    assert facts["splits"] == (
        "train 30 recordings (60 clips), validation 10 recordings (20 clips), test 1 recording (2 clips); 10 classes"
    )
    assert facts["machine"] == "8 × A processor, 64 GiB of memory, A card"
    assert facts["budget"] == "2 trials per arm, 3 epochs at most"
    assert facts["seeds of the trials"] == "101, 102, 103, 104"
    assert (facts["judge"], facts["versions"]) == ("judge-a", "torch 2.14.1")


def test_a_clip_that_is_too_large_for_the_page_has_the_best_of_each_arm_only(swept: SweepFolder) -> None:
    with connect(swept.home) as client:
        runs = read_report(client, "vae").runs
        (whole, *_), num_clips = read_probes(runs, ROOM)
        probes, _ = read_probes(runs, 1)
    assert num_clips == 2 and len(probes) == 1
    assert [cell.label for cells in probes[0].arms.values() for cell in cells] == ["best", "best"]
    assert [cell.label for cell in whole.arms["loss=vae"]] == ["epoch 1", "best"]


def render_copies(swept: SweepFolder, times: int) -> str:
    """Return the page of a sweep that has each of the four trials many times."""
    with connect(swept.home) as client:
        few = read_report(client, "vae")
        trials, histories = (
            pd.concat([frame.assign(trial=frame["trial"] + 4 * number) for number in range(times)], ignore_index=True)
            for frame in (few.runs.trials, few.histories)
        )
        report = Report(replace(few.runs, trials=trials))
        # MLflow would be asked for each trial's curve.
        vars(report)["histories"] = histories
        return render(report)


def test_a_page_of_three_thousand_trials_is_no_larger(swept: SweepFolder) -> None:
    html = render_copies(swept, 750)
    assert html.count(" data-row=") == 3000 and "1000 others are in the table only" in html
    assert html.count("class='path ") == 2000 and html.count("class='thin ") == 200
    assert len(html.encode()) < ROOM


def test_of_many_trials_the_first_are_shown_until_all_are_wanted(
    swept: SweepFolder, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "many.html").write_text(render_copies(swept, 75))
    with wide_page(browser, tmp_path / "many.html") as page:
        shown = page.locator("#trials tbody tr:visible")
        assert shown.count() == 200
        expect(page.locator("#count")).to_have_text("300 of 300, the first 200 are shown")
        # The first 200 are those in the order of the table, and of those that fit the filter.
        page.locator("#trials th", has_text="best judge probability").get_by_role("button").click()
        assert shown.count() == 200 and {row.get_attribute("data-of") for row in shown.all()[:75]} == {"0"}
        page.get_by_label("Arm", exact=True).select_option("loss=vae")
        assert shown.count() == 150
        page.get_by_label("Arm", exact=True).select_option("")
        page.get_by_role("button", name="show all of them").click()
        assert shown.count() == 300
        expect(page.get_by_role("button", name="show all of them")).to_be_hidden()


def test_a_page_is_one_file_of_at_most_eight_megabytes(path: Path) -> None:
    text = path.read_text()
    assert len(text) < ROOM
    assert not re.search(r"""(?:src|href)=["']?https?:|@import|url\(http""", text)
