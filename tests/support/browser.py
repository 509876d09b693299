"""Chromium without a window, for the tests of pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

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
