"""MLflow's pages of a sweep in a real browser: every link that a sweep prints shows what it promises."""

from __future__ import annotations

import contextlib
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from docs import take_pictures
from orchestrator.tracking import ui
from orchestrator.tracking.__main__ import follow
from tests.support.browser import chromium
from tests.support.sweep_folder import SweepFolder

PATIENCE_MS = 60_000
HEIGHT_PX = 1400


class Site:
    """A server over a finished sweep, and a browser."""

    def __init__(self, page: Page, address: str, status: dict[str, Any], screenshots: Path) -> None:
        self.page = page
        self.address = address
        self.status = status
        self.links: dict[str, str] = status["links"]
        self._screenshots = screenshots

    def open(self, name: str) -> Page:
        # A page of the same address with another fragment would not load again.
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{self.links[name]}")
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
    sweep.start()
    for trial, loss in enumerate(("vae", "vae", "l2", "l2"), 1):
        sweep.whole_trial(trial, loss, epochs=3)
        sweep.render(trial, "epoch_01", 1, level=0.1 * trial)
        sweep.render(trial, "best", 3, level=0.2 * trial, seconds=2.0)
    sweep.close()
    follow(sweep.path, once=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with behind_a_proxy(), ui.run_server(home, sweep.uri, port), chromium() as browser:
        page = browser.new_page(viewport={"width": 2200, "height": HEIGHT_PX})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        site = Site(page, f"http://127.0.0.1:{port}", sweep.status(), home)
        # The first visit opens a pane over a quarter of the page.
        site.open("trials").get_by_role("button", name="Close").click()
        yield site


def test_the_table_has_the_trials_best_first_with_their_scores(site: Site) -> None:
    page = site.open("trials")
    names = page.get_by_role("link", name=re.compile(r"^t0\d-"))
    expect(names).to_have_count(4)
    tops = {name.inner_text()[:3]: (name.bounding_box() or {"y": 0})["y"] for name in names.all()}
    assert sorted(tops, key=lambda name: tops[name]) == ["t04", "t03", "t02", "t01"]
    for column in (
        "orchestrate.arm",
        "best/val_judge_probability",
        "best/val_fvu",
        "best/val_lsd_db",
        "orchestrate.outcome",
    ):
        expect(page.get_by_text(column, exact=True).first).to_be_attached()
    site.keep("trials")


@pytest.mark.parametrize("name", ["curves", "by-arm", "top"])
def test_the_charts_draw_the_objective(site: Site, name: str) -> None:
    page = site.open(name)
    expect(page.get_by_text("val/judge_probability").first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    site.keep(name)


def test_by_arm_has_a_line_an_arm(site: Site) -> None:
    page = site.open("by-arm")
    for arm in ("loss=vae", "loss=l2"):
        expect(page.get_by_text(arm).first).to_be_visible()


def test_the_parameters_are_drawn_in_parallel_and_one_by_one(site: Site) -> None:
    page = site.open("parameters")
    expect(page.get_by_text("lr").first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    site.keep("parameters")


def test_the_best_of_each_arm_can_be_seen(site: Site) -> None:
    page = site.open("top")
    expect(page.locator("img[src*='spectrogram']").first).to_be_visible()
    site.keep("top")


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
