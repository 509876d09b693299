"""What several tests share: a tiny corpus, and a home whose database exists already."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# The networks of tests are tiny: several threads would only wait for each other, in the drivers that tests start too.
# Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from orchestrator.tracking.client import Store
from tests.support.browser import chromium
from tests.support.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from trainables.corpora.corpus import Corpus

# Whoever runs the tests in the background ignores these, and the drivers that are sent them would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONG_FILES = ("test_sweep.py", "test_chaos.py", "test_recovery.py", "test_generate.py", "test_resume.py")
"""What takes minutes, longest first: begun last, it would be waited for alone."""
RATE_HZ = 16_000
RECORDING_S = 4.2
CLASSES = ("hiss", "low hum", "siren")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, the rest as it is."""
    order = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def tiny_sound(kind: str, rng: np.random.Generator) -> np.ndarray:
    """4.2 s of a hiss, a hum or a siren, no two alike; shape (samples,)."""
    time_s = np.arange(int(RECORDING_S * RATE_HZ)) / RATE_HZ
    noise = rng.standard_normal(len(time_s))
    match kind:
        case "hiss":
            sound = np.diff(noise, prepend=0.0)
        case "low hum":
            base_hz = rng.uniform(80, 160)
            sound = sum(np.sin(2 * np.pi * base_hz * k * time_s) / k for k in range(1, 6)) + 0.05 * noise
        case _:
            sweep_hz = rng.uniform(700, 1200) + 400 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time_s)
            sound = np.sin(2 * np.pi * np.cumsum(sweep_hz) / RATE_HZ) + 0.05 * noise
    return 0.3 * sound / np.abs(sound).max()


def tiny_picture(kind: str, rng: np.random.Generator) -> Image.Image:
    """A square, a disc or a triangle of any colour and size on grey."""
    side = int(rng.integers(20, 40))
    picture = Image.new("RGB", (64, 64), (128, 128, 128))
    draw, colour = ImageDraw.Draw(picture), tuple(int(each) for each in rng.integers(0, 256, 3))
    x, y = (int(each) for each in rng.integers(2, 62 - side, 2))
    match kind:
        case "hiss":
            draw.rectangle((x, y, x + side, y + side), colour)
        case "low hum":
            draw.ellipse((x, y, x + side, y + side), colour)
        case _:
            draw.polygon([(x, y), (x + side, y), (x, y + side)], colour)
    return picture


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes with five recordings each, and a picture beside each of them."""
    root = tmp_path_factory.mktemp("tiny_corpus")
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        (root / kind).mkdir()
        for index in range(5):
            soundfile.write(root / kind / f"take {index}.wav", tiny_sound(kind, rng), RATE_HZ)
            tiny_picture(kind, np.random.default_rng(index)).save(root / kind / f"take {index}.png")
    return root


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that keeps the tiny corpus's features and judge for the whole session."""
    return tmp_path_factory.mktemp("tiny_home")


@pytest.fixture(scope="session")
def corpus(tiny_corpus: Path, tiny_home: Path) -> Corpus:
    # Imported any earlier, its shapes would not be checked.
    from trainables.corpora.corpus import open_corpus

    return open_corpus({"name": "folder", "root": str(tiny_corpus)}, tiny_home)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database, whose making takes seconds."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    Store(f"sqlite:///{path}", None).open()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def home(tmp_path: Path, empty_database: Path) -> Path:
    """A home of one's own, with an empty MLflow database."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def sweep(tmp_path: Path, empty_database: Path) -> SweepFolder:
    """The folder of a sweep that nobody has started."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return SweepFolder(tmp_path)
