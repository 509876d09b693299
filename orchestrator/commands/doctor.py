"""`orchestrate doctor`: check this machine and this home, and repair a home that was moved."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from orchestrator import processor
from orchestrator.errors import UserError
from orchestrator.state.disk import GIB, format_bytes, free_bytes
from orchestrator.state.home import driver_note, open_home, sweep_names
from orchestrator.tracking import sender
from orchestrator.tracking.moved_homes import (
    check_place,
    check_sweep_place,
    find_moved_sweeps,
    former_home,
    relocate_database,
    relocate_sweep,
)
from reports import vocabulary as words

LITTLE_MEMORY_GIB = 4
"""With less free memory than this, the user is warned."""


def examine(home: Path, say: Callable[[str], None]) -> None:
    """Print the CPUs, the memory, the GPUs and the home, with a warning for each problem.

    Args:
        home: the folder of all sweeps.
        say: prints a line.

    Raises:
        UserError: a problem that has to be solved before a sweep can run.
    """
    memory = psutil.virtual_memory()
    outcome = processor.probe()
    say(f"CPUs: {os.cpu_count()}")
    say(f"memory: {format_bytes(memory.available)} of {format_bytes(memory.total)} free")
    if memory.available < LITTLE_MEMORY_GIB * GIB:
        say(f"  little: trials may be killed for memory; with resources.cpu={os.cpu_count()} one runs at a time")
    say(f"instruction set: {processor.instruction_set()}, torch {processor.torch_version()}")
    if processor.is_broken() or outcome in ("crashed", "hung"):
        say(f"  {processor.warning(outcome)}")
    say(f"GPUs: {_list_cards() or 'none; trials run on CPUs'}")
    say(f"home: {home}, {format_bytes(free_bytes(home))} free, {words.amount(len(sweep_names(home)), 'sweep')}")
    open_home(home)
    say(f"MLflow: {sender.tracking_uri(home)}")
    sender.check_tracking_uri(home)
    check_place(home)
    for name in sweep_names(home):
        check_sweep_place(home / name)
    say("Nothing is wrong.")


def _list_cards() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    process = subprocess.run(query, capture_output=True, text=True, timeout=20)
    return "; ".join(process.stdout.strip().splitlines())


def relocate(home: Path, say: Callable[[str], None]) -> None:
    """Replace the old absolute paths in a home that was moved.

    Args:
        home: the folder of all sweeps, at its new place.
        say: prints a line.

    Raises:
        UserError: a sweep runs in it.
    """
    before = former_home(home)
    places = find_moved_sweeps(home)
    if before is None and not places:
        say(f"{home}: mlflow.db has this path already; nothing to do.")
        return
    running = [name for name in sweep_names(home) if driver_note(home / name) is not None]
    if running:
        raise UserError(f"{home}: {', '.join(running)} runs in it; stop it first")
    for name in sweep_names(home):
        for place in dict.fromkeys(filter(None, (before, places.get(name)))):
            relocate_sweep(home, place, name)
            say(f"sweep {name}")
    # The database is last: it shows that the home was moved, so that an interrupted run can be repeated.
    if before is not None:
        counts = relocate_database(home, before)
        for table in filter(counts.get, counts):
            say(f"mlflow.db: {counts[table]} {table}")
    former = dict.fromkeys(str(place) for place in (before, *places.values()) if place is not None)
    say(f"{home} no longer names {', '.join(former)}.")
