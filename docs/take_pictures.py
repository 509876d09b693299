"""Take the pictures of docs/pictures: the report, the page of sounds and MLflow's views of a recorded sweep.

`make pictures RUNS=runs SWEEP=vae` calls it. The sweep must have ended, so that it has a report.
"""

from __future__ import annotations

import io
import itertools
import re
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Browser, Page
from scipy.spatial import cKDTree

from orchestrator.errors import UserError
from orchestrator.state.home import find_sweep
from orchestrator.tracking import sender, ui
from reports import vocabulary as words
from tests.support.browser import chromium

FOLDER = Path(__file__).parent / "pictures"
Size = tuple[int, int]
Scheme = Literal["light", "dark"]
WIDE, NARROW = (1440, 900), (390, 844)
MAX_BYTES = 150_000
"""The most bytes of a picture: the colours, then the size are reduced until it fits."""
COLOURS = (256, 128, 64, 32)
SHRINK = 0.85
MLFLOW_DARK = "localStorage.setItem('_mlflow_dark_mode_toggle_enabled', 'true')"
"""How MLflow's pages remember that they are dark; they don't follow the browser."""
PATIENCE_MS = 60_000


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        name: the name of the file, without what follows from the other fields.
        page: a file of the sweep's run, or the name of a link to MLflow.
        ready: a selector of what must be visible before the picture is taken.
        schemes: `light`, `dark` or both.
        sizes: widths and heights in pixels.
        key: a key that plays a sound of the wide page.
    """

    name: str
    page: str
    ready: str
    schemes: tuple[Scheme, ...] = ("light", "dark")
    sizes: tuple[Size, ...] = (WIDE,)
    key: str = ""

    @property
    def is_file(self) -> bool:
        """Whether `page` is a file of the run."""
        return self.page.endswith(".html")


SHOTS = (
    Shot("report", words.ARTIFACT_REPORT, "main", sizes=(WIDE, NARROW)),
    Shot("listen", words.ARTIFACT_LISTEN, ".sound", sizes=(WIDE, NARROW), key="1"),
    Shot("mlflow-trials", "trials", "a:has-text('t01-')", schemes=("light",)),
    Shot("mlflow-curves", "curves", ".js-plotly-plot", schemes=("light",)),
    Shot("mlflow-listen", "listen", "iframe"),
)


def take_all(home: Path, name: str, folder: Path) -> list[Path]:
    """Take every picture of `SHOTS`; return their paths.

    Raises:
        UserError: there is no such sweep, or it is recorded on a server.
    """
    status = sender.status(find_sweep(home, name))
    uri = str(status.get("tracking_uri"))
    if not uri.startswith("sqlite"):
        raise UserError(f"{name}: it is recorded at {uri}; pictures are taken of a sweep whose database is in its home")
    with socket.socket() as probe:
        probe.bind((ui.HOST, 0))
        port = probe.getsockname()[1]
    with ui.run_server(home, uri, port), chromium() as browser:
        return [path for shot in SHOTS for path in take(browser, f"http://{ui.HOST}:{port}", status, shot, folder)]


def take(browser: Browser, server: str, status: Mapping[str, Any], shot: Shot, folder: Path) -> list[Path]:
    """Take one picture in all its schemes and sizes; return the paths.

    Args:
        browser: a browser.
        server: the address of MLflow.
        status: the sweep's `tracking.json`, which names its run and its links.
        shot: the picture.
        folder: where the files go.
    """
    paths: list[Path] = []
    with tempfile.TemporaryDirectory() as downloads:
        if shot.is_file:
            file = MlflowClient(status["tracking_uri"]).download_artifacts(status["run_id"], shot.page, downloads)
            address = Path(file).as_uri()
        else:
            address = f"{server}/{status['links'][shot.page]}"
        for scheme, size in itertools.product(shot.schemes, shot.sizes):
            with _open_page(browser, address, scheme, size) as page:
                _prepare(page, shot, size)
                suffix = "-narrow" if size == NARROW else ""
                paths.append(folder / f"{shot.name}-{scheme}{suffix}.png")
                paths[-1].write_bytes(compress(page.screenshot()))
    return paths


@contextmanager
def _open_page(browser: Browser, address: str, scheme: Scheme, size: Size) -> Iterator[Page]:
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    if scheme == "dark" and not address.startswith("file:"):
        context.add_init_script(MLFLOW_DARK)
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def _prepare(page: Page, shot: Shot, size: Size) -> None:
    """Wait until the page shows what it is about; close and hide what belongs to this machine or a first visit."""
    page.locator(shot.ready).first.wait_for()
    if not shot.is_file:
        for button in page.get_by_role("button", name="Close").all():
            button.click()
    if shot.page == "listen":
        page.frame_locator("iframe").locator(".sound").first.wait_for()
        # MLflow shows where the file is on this machine.
        page.get_by_text(re.compile("^Path: ")).evaluate("line => { line.parentElement.style.visibility = 'hidden'; }")
    if shot.key and size == WIDE:
        page.keyboard.press(shot.key)
        page.wait_for_function("position() > 0.7")
        page.keyboard.press("Space")


def compress(png: bytes) -> bytes:
    """Return a picture with as many colours and pixels as `MAX_BYTES` allow."""
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    while True:
        for colours in COLOURS:
            file = io.BytesIO()
            _reduce_colours(picture, colours).save(file, "PNG", optimize=True)
            if file.tell() <= MAX_BYTES:
                return file.getvalue()
        smaller = int(SHRINK * picture.width), int(SHRINK * picture.height)
        picture = picture.resize(smaller, Image.Resampling.LANCZOS)


def _reduce_colours(picture: Image.Image, colours: int) -> Image.Image:
    """Return a picture with a palette, half of which is its most frequent colours.

    So text and lines keep theirs next to spectrograms. Pillow would map them to neighbours, white to a light grey.
    """
    pixels, places, counts = np.unique(
        np.asarray(picture).reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    frequent = pixels[np.argsort(-counts)[: colours // 2]]
    others = picture.quantize(colours - len(frequent), dither=Image.Dither.NONE).getpalette() or []
    palette = np.concatenate([frequent, np.array(others, np.uint8).reshape(-1, 3)])[:colours]
    nearest = np.asarray(cKDTree(palette).query(pixels)[1], np.uint8)
    reduced = Image.fromarray(nearest[places.reshape(picture.height, picture.width)], "P")
    reduced.putpalette(palette.tobytes())
    return reduced


if __name__ == "__main__":
    try:
        for taken in take_all(Path(sys.argv[1]).expanduser().resolve(), sys.argv[2], FOLDER):
            print(f"{taken.name}: {taken.stat().st_size // 1000} kB")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
