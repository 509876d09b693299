"""Chromium without a window, for the tests of pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
"""It asks nobody on the network for anything."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that knows nothing from before."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path, "Chromium is not installed: make browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ALONE)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def wide_page(browser: Browser, path: Path) -> Iterator[Page]:
    """Open a file in a wide window; no script of it may fail in the block."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert not errors


SERIOUS = ("serious", "critical")


def find_barriers(page: Page) -> list[str]:
    """What axe-core finds on a page that keeps somebody from using it: a line for each rule, with the first element."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
        for violation in violations
        if violation["impact"] in SERIOUS
    ]


def scrolls_sideways(page: Page) -> bool:
    """Whether a page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
