"""MLflow's pages of a sweep in a real browser: every link that a sweep prints shows what it promises."""

from __future__ import annotations

import contextlib
import io
import math
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from docs import take_pictures
from orchestrator.tracking import ui
from orchestrator.tracking.__main__ import follow
from tests.support.browser import chromium
from tests.support.sweep_folder import SweepFolder

PATIENCE_MS = 60_000
WIDTH_PX, HEIGHT_PX = 1440, 900
"""The window of a laptop."""
ALL_COLUMNS_PX = 2600
"""A width at which the table of trials has all its columns."""
TRIALS = 12
"""More trials than MLflow's charts draw if nobody asks for all."""
BEST = {11: 0.3, 12: 0.6}
"""The best trial of each arm, with the brightness of its reconstructions."""
CUT_LABELS = """cells => cells.flatMap(cell => [...cell.querySelectorAll("*")])
    .filter(element => element.clientWidth > 1 && element.scrollWidth > element.clientWidth)
    .filter(element => getComputedStyle(element).overflowX == "hidden")
    .map(element => element.textContent)"""
"""The texts in some cells that are wider than their place."""
LINE_NAMES = """names => {
    const drawn = new Set((document.querySelector(".js-plotly-plot")?.data ?? []).map(line => line.name));
    return JSON.stringify([...drawn].sort()) == JSON.stringify(names);
}"""
"""Whether the first chart has lines with these names alone."""


class Site:
    """A server over a finished sweep, and a browser."""

    def __init__(
        self, page: Page, address: str, status: dict[str, Any], screenshots: Path, runs: dict[int, Run]
    ) -> None:
        self.page = page
        self.runs = runs
        self.address = address
        self.status = status
        self.links: dict[str, str] = status["links"]
        self._screenshots = screenshots

    def open(self, name: str) -> Page:
        # A page of the same address with another fragment would not load again.
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{self.links[name]}")
        return self.page

    def open_run(self, run_id: str = "") -> Page:
        """The page of a run; by default that of the sweep."""
        sweep, query = re.split(r"/artifacts/[^?]*", self.links["listen"])
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{re.sub('runs/.*', f'runs/{run_id}', sweep) if run_id else sweep}{query}")
        return self.page

    def keep(self, name: str) -> None:
        self.page.screenshot(path=self._screenshots / f"{name}.png")


@contextlib.contextmanager
def behind_a_proxy() -> Iterator[None]:
    """The network is reached through another machine, which this machine's own servers are not."""
    with pytest.MonkeyPatch.context() as environment:
        # Nobody listens at port 9.
        environment.setenv("http_proxy", "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            environment.delenv(name, raising=False)
        environment.setattr(urllib.request, "_opener", None)
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("pages")
    sweep = SweepFolder(home)
    domains = {"lr": {"loguniform": [1e-5, 1e-2]}}
    arms = {"loss=vae": {"searched": domains | {"kl_weight": {"uniform": [0, 12]}}}, "loss=l2": {"searched": domains}}
    comparable = {name: {"comparable": "all"} for name in ("val/judge_probability", "val/judge_accuracy", "val/fvu")}
    sweep.start(arms=arms, metrics=comparable | {"val/loss": {"comparable": "same_loss"}})
    for trial in range(1, TRIALS + 1):
        searched = {"lr": 1.5**-trial * 1e-2} | ({"kl_weight": float(trial)} if trial % 2 else {})
        sweep.whole_trial(trial, "vae" if trial % 2 else "l2", epochs=3, searched=searched)
    for trial, level in BEST.items():
        sweep.render(trial, "epoch_01", 1, level=level / 2)
        sweep.render(trial, "best", 3, level=level, alone=True, seconds=2.0)
    sweep.close()
    follow(sweep.path, once=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runs = {trial: sweep.run(trial) for trial in range(1, TRIALS + 1)}
    with behind_a_proxy(), ui.run_server(home, sweep.uri, port), chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        site = Site(page, f"http://127.0.0.1:{port}", sweep.status(), home, runs)
        # The first visit opens a pane over a quarter of the page.
        site.open("trials").get_by_role("button", name="Close").click()
        yield site


def brightness(place: Locator) -> int:
    """The brightness in the middle of what a window shows of an element, once its picture is there."""
    expect(place).to_be_visible()
    picture = place.locator("xpath=descendant-or-self::img").last
    picture.evaluate("picture => picture.decode()")
    with Image.open(io.BytesIO(place.screenshot())) as shown:
        return shown.convert("L").getpixel((shown.width // 2, shown.height // 2))


def draw(plot: Locator) -> list[dict[str, Any]]:
    """The data that a chart draws, once it does."""
    expect(plot).to_be_visible()
    drawn: list[dict[str, Any]] = plot.evaluate("plot => JSON.parse(JSON.stringify(plot.data))")
    return drawn


def test_the_sweep_opens_on_its_answer(site: Site) -> None:
    page = site.open_run()
    expect(page.get_by_text("Best judge probability: 0.933 by loss=l2")).to_be_in_viewport()
    page.get_by_role("button", name="Expand description").click()
    row = page.get_by_role("row").filter(has_text="loss=vae")
    value = site.runs[11].data.metrics["best/val_judge_probability"]
    kl_weight = site.runs[11].data.params["kl_weight"]
    for text in (site.runs[11].info.run_name, f"{value:.3f}", f"kl_weight {float(kl_weight):.2g}"):
        expect(row).to_contain_text(text)
    expect(page.get_by_text("orchestrate sweep search_spaces/vae.yaml").first).to_be_visible()
    site.keep("sweep")


def test_a_trial_opens_on_a_note_that_is_whole(site: Site) -> None:
    page = site.open_run(site.runs[9].info.run_id)
    note = page.get_by_text("number 2 of the 6 trials of its arm and 4 of the 12 trials of the sweep")
    expect(note).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("Show more")).to_have_count(0)
    site.keep("trial")


def test_the_table_has_the_trials_best_first_with_their_scores(site: Site) -> None:
    site.page.set_viewport_size({"width": ALL_COLUMNS_PX, "height": HEIGHT_PX})
    page = site.open("trials")
    names = page.get_by_role("link", name=re.compile(r"^t\d\d-"))
    expect(names).to_have_count(TRIALS)
    tops = {int(name.inner_text()[1:3]): (name.bounding_box() or {"y": 0})["y"] for name in names.all()}
    assert sorted(tops, key=lambda trial: tops[trial]) == list(range(TRIALS, 0, -1))
    heads = page.locator(".ag-header-cell")
    for column in ("best/val_judge_probability", "best/val_judge_accuracy", "orchestrate.arm", "orchestrate.outcome"):
        expect(heads.filter(has_text=column)).to_be_visible()
    assert heads.evaluate_all(CUT_LABELS) == []
    cell = page.locator(".ag-row[row-index='0'] [col-id='metrics.`best/val_judge_probability`']")
    assert float(cell.inner_text()) == site.runs[TRIALS].data.metrics["best/val_judge_probability"]
    site.keep("trials")
    site.page.set_viewport_size({"width": WIDTH_PX, "height": HEIGHT_PX})


def test_the_curves_are_of_all_trials_and_no_loss_is_among_them(site: Site) -> None:
    page = site.open("curves")
    # A chart is there before its lines.
    page.wait_for_function(LINE_NAMES, arg=sorted(str(run.info.run_name) for run in site.runs.values()))
    expect(page.get_by_text("val/judge_probability", exact=True)).to_be_visible()
    page.get_by_text(re.compile(r"^val ?\(\d+\)$")).click()
    expect(page.get_by_text("val/lsd_db", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^(val/|train/)?loss$"))).to_have_count(0)
    site.keep("curves")


def test_by_arm_has_a_line_an_arm(site: Site) -> None:
    page = site.open("by-arm")
    for arm in ("loss=vae", "loss=l2"):
        expect(page.get_by_text(arm).first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()


def test_the_parameters_are_drawn_in_parallel_and_one_by_one(site: Site) -> None:
    page = site.open("parameters")
    plots = page.locator(".js-plotly-plot")
    for name in ("loss", "param/log10_lr", "best/val_judge_probability"):
        expect(page.locator(".parcoords").get_by_text(name, exact=True)).to_be_visible()
    expect(page.locator(".parcoords").get_by_text("kl_weight")).to_have_count(0)
    plots.first.scroll_into_view_if_needed()
    (scatter,) = draw(plots.first)
    expected = sorted(math.log10(float(run.data.params["lr"])) for run in site.runs.values())
    assert sorted(scatter["x"]) == pytest.approx(expected)
    site.keep("parameters")


def test_the_best_of_each_arm_can_be_seen_at_its_best_epoch(site: Site) -> None:
    page = site.open("top")
    pictures = page.locator("img[src*='best_spectrogram~dog_1']")
    expect(pictures).to_have_count(2)
    for trial in BEST:
        head = page.get_by_role("columnheader").filter(has_text=site.runs[trial].info.run_name)
        expect(head).to_be_in_viewport(ratio=1)
        assert head.evaluate_all(CUT_LABELS) == []
    site.keep("top")
    assert sorted(map(brightness, pictures.all())) == [pytest.approx(255 * level, abs=2) for level in BEST.values()]


def test_each_arm_has_a_reconstruction_below_its_original(site: Site) -> None:
    page = site.open("spectrograms")
    for row, name in enumerate(("dog_1, original", "dog_1, reconstruction")):
        expect(page.locator(f".ag-row[row-index='{row}']").get_by_text(name)).to_be_visible()
        for trial, level in BEST.items():
            cell = page.locator(f".ag-row[row-index='{row}'] [col-id='{site.runs[trial].info.run_id}']")
            assert brightness(cell) == pytest.approx(255 * level if row else 0, abs=2), (name, trial)
    assert page.locator(".ag-header-cell").evaluate_all(CUT_LABELS) == []
    site.keep("spectrograms")


def test_the_best_trials_are_compared_by_what_means_the_same_for_them(site: Site) -> None:
    page = site.open("compare")
    expect(page.get_by_role("cell", name="l2", exact=True)).to_be_visible()
    (bars,) = draw(page.locator(".js-plotly-plot").first)
    values = [site.runs[trial].data.metrics["best/val_judge_probability"] for trial in BEST]
    assert sorted(bars["x"]) == pytest.approx(values)
    expect(page.get_by_text("train/loss")).to_have_count(0)
    site.keep("compare")


def test_the_sounds_play_side_by_side(site: Site) -> None:
    page = site.open("listen")
    frame = page.frame_locator("iframe")
    expect(frame.locator(".sound")).to_have_count(6)
    frame.get_by_role("button", name="Play dog_1, loss=vae").click()
    playing = frame.locator(".on input")
    expect(playing).to_have_accessible_name("Second of dog_1, loss=vae")
    expect(playing).not_to_have_value("0")
    page.keyboard.press("0")
    expect(playing).to_have_accessible_name("Second of dog_1, original")
    expect(frame.locator("button[aria-pressed=true]")).to_have_count(1)
    site.keep("listen")


@pytest.mark.parametrize("name", ["listen", "mlflow-listen"])
def test_pictures_of_the_documentation_are_taken(site: Site, tmp_path: Path, name: str) -> None:
    browser = site.page.context.browser
    assert browser
    shot = next(shot for shot in take_pictures.SHOTS if shot.name == name)
    paths = take_pictures.take(browser, site.address, site.status, shot, tmp_path)
    brightness = {}
    for path in paths:
        assert path.stat().st_size <= take_pictures.MAX_BYTES
        with Image.open(path) as picture:
            brightness[path.stem] = picture.convert("L").resize((1, 1)).getpixel((0, 0))
    assert brightness[f"{name}-light"] > 150 > 90 > brightness[f"{name}-dark"]
