"""`orchestrate doctor`: what is wrong with this machine and this home, and a cure for a home that was moved."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from orchestrator import follower
from orchestrator.disk import GIB, free_bytes, in_bytes
from orchestrator.errors import UserError
from orchestrator.home import SEARCH_SPACE, driver_note, locked, moved_from, open_home, sweep_names
from orchestrator.ledger import Ledger

COLUMNS = {"experiments": "artifact_location", "runs": "artifact_uri"}
"""Where MLflow 3.17 keeps absolute paths in its database."""
LITTLE_MEMORY_GIB = 4


def examine(home: Path, say: Callable[[str], None]) -> None:
    """Say what there is and what is wrong.

    Raises:
        UserError: something has to be done before a sweep can run.
    """
    memory = psutil.virtual_memory()
    say(f"processors: {os.cpu_count()}")
    say(f"memory: {in_bytes(memory.available)} of {in_bytes(memory.total)} free")
    if memory.available < LITTLE_MEMORY_GIB * GIB:
        say(f"  little: trials may be killed for memory; with resources.cpu={os.cpu_count()} one runs at a time")
    say(f"graphics cards: {_cards() or 'none; trials run on processors'}")
    say(f"home: {home}, {in_bytes(free_bytes(home))} free, {len(sweep_names(home))} sweeps")
    open_home(home)
    say(f"MLflow: {follower.tracking_uri(home)}")
    follower.check_tracking_uri(home)
    check_place(home)
    say("Nothing is wrong.")


def _cards() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    return "; ".join(done.stdout.strip().splitlines())


def check_place(home: Path) -> None:
    """Make sure that MLflow's database still names the home's own folders.

    Raises:
        UserError: the home was moved, so that MLflow would find no sound and write new ones to the old place.
    """
    if (before := moved_from(home)) is not None:
        raise UserError(
            f"{home}: this home was moved or copied from {before}, which mlflow.db still names; "
            f"put that right with: orchestrate doctor --relocate --home {home}"
        )


def relocate(home: Path, say: Callable[[str], None]) -> None:
    """Make everything in a home that was moved name its new place.

    Raises:
        UserError: a sweep runs in it.
    """
    before = moved_from(home)
    if before is None:
        say(f"{home}: it is where mlflow.db says; nothing to do.")
        return
    running = [name for name in sweep_names(home) if driver_note(home / name) is not None]
    if running:
        raise UserError(f"{home}: {', '.join(running)} runs in it; stop it first")
    for name in sweep_names(home):
        _relocate_sweep(home, before, name)
        say(f"sweep {name}")
    # At the end: it is by the database that a home is known to have been moved.
    with _database(home) as database:
        for table, column in COLUMNS.items():
            changed = database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} LIKE ? || '/%'",
                (str(home), len(str(before)) + 1, str(before)),
            )
            say(f"mlflow.db: {changed.rowcount} {table}")
    say(f"{home} no longer names {before}.")


def _relocate_sweep(home: Path, before: Path, name: str) -> None:
    folder = home / name
    with locked(folder):
        ledger = Ledger(folder)
        told = ledger.last("started", "redirected")
        if str(before) in str(told.get("tracking_uri")):
            ledger.write("redirected", **follower.destination(home))
        path = folder / SEARCH_SPACE
        text = path.read_text() if path.exists() else ""
        if f"{before}/" in text:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(text.replace(f"{before}/", f"{home}/"))
            temporary.replace(path)


@contextlib.contextmanager
def _database(home: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(home / "mlflow.db", timeout=20)) as database, database:
        yield database
