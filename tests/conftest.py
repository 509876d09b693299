"""What several tests share: a tiny corpus, and a home whose database exists already."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# The networks of tests are tiny: several threads would only wait for each other, in the drivers that tests start too.
# Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests start hundreds of processes; without compiled files each of them compiles the whole project first.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from PIL import Image, ImageDraw

from orchestrator.tracking.client import Store
from tests.support.browser import chromium
from tests.support.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from trainables.corpora.corpus import Corpus

sys.dont_write_bytecode = False
# Whoever runs the tests in the background ignores these, and the drivers that are sent them would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONG_FILES = (
    "test_sweep.py",
    "test_recovery.py",
    "test_machines.py",
    "test_sent_sweeps.py",
    "test_linked_sweeps.py",
    "test_power_cut.py",
    "test_generate.py",
    "test_recipes.py",
    "test_examples.py",
    "test_resume.py",
    "test_end_to_end.py",
    "test_picture_judge.py",
    "test_processors.py",
)
"""What takes a minute or more, longest first: begun last, it would be waited for alone."""
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


STORES = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store")


@pytest.fixture(autouse=True)
def closed_databases() -> Iterator[None]:
    """Close the connections to MLflow's databases after each test; MLflow keeps those of every database for ever.

    A thousand tests would need more open files than most machines allow.
    """
    yield
    for store in (sys.modules[name].SqlAlchemyStore for name in STORES if name in sys.modules):
        for engine in store._engine_map.values():
            engine.dispose()


@pytest.fixture(autouse=True)
def restored_environment() -> Iterator[None]:
    """Give each test the same variables: the program sets some for the processes that it starts, as does Ray."""
    variables = dict(os.environ)
    yield
    # Only what differs: Ray's threads read variables meanwhile, and one that reads while many change may crash.
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    # A Ray of the next test refuses this process if only one of the two sends a token.
    if raylet := sys.modules.get("ray._raylet"):
        raylet.Config.initialize("")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    folder = tmp_path_factory.getbasetemp()
    # Below pytest-xdist each process has a folder of its own in the one of the run.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def make_once(path: Path, make: Callable[[Path], None]) -> Path:
    """Let one process of the run make a file or a folder, and return its path; the others wait for it."""
    with FileLock(f"{path}.lock"):
        if not path.exists():
            temporary = path.with_name(f"{path.name}.part")
            make(temporary)
            temporary.rename(path)
    return path


def write_tiny_corpus(root: Path) -> None:
    """Write three classes with five recordings each, and a picture beside each of them."""
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        (root / kind).mkdir(parents=True)
        for index in range(5):
            soundfile.write(root / kind / f"take {index}.wav", tiny_sound(kind, rng), RATE_HZ)
            tiny_picture(kind, np.random.default_rng(index)).save(root / kind / f"take {index}.png")


def write_empty_database(path: Path) -> None:
    """Write a new MLflow database."""
    Store(f"sqlite:///{path}", None).open()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="session")
def tiny_corpus(shared_folder: Path) -> Path:
    """A folder of three classes with five recordings each, and a picture beside each of them."""
    return make_once(shared_folder / "tiny_corpus", write_tiny_corpus)


@pytest.fixture(scope="session")
def empty_database(shared_folder: Path) -> Path:
    """A new MLflow database, whose making takes seconds."""
    return make_once(shared_folder / "empty.db", write_empty_database)


@pytest.fixture(scope="session")
def tiny_home(shared_folder: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for sweeps on the tiny corpus, whose features and judges are computed once in a run of the tests."""
    folder = tmp_path_factory.mktemp("tiny_home")
    for name in ("cache", "corpora"):
        # Sweeps may share both: whoever needs a file first makes it, under a lock.
        (shared_folder / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(shared_folder / name)
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="session")
def corpus(tiny_corpus: Path, tiny_home: Path) -> Corpus:
    # Imported any earlier, its shapes would not be checked.
    from trainables.corpora.opening import open_corpus

    return open_corpus({"name": "folder", "root": str(tiny_corpus)}, tiny_home)


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
