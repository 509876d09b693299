"""Requests of people to a running sweep, in a file that commands append to and its driver empties; and what they set.

A request is carried out by the driver, the only process that writes to the sweep log.
"""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.state.paths import CONTROLS, REQUESTS
from orchestrator.storage.durable import write_whole

Action = Literal["pause", "continue", "limit", "stop", "retry", "boost"]


class Request(BaseModel):
    """One request.

    Attributes:
        action: what the driver is to do.
        trial: the trial that it is about; None if it is about the sweep.
        at_once: for `limit`, the most trials that run at once; None for as many as there is room for.
    """

    model_config = ConfigDict(frozen=True)
    action: Action
    trial: int | None = None
    at_once: int | None = Field(None, ge=1)


class Controls(BaseModel):
    """What requests have set for the sweep, until its next start.

    Attributes:
        paused: whether no trial may run.
        at_once: the most trials that run at once; None for as many as there is room for.
        boosted: the trials that get the next free places, the first one first.
        stopped: the trials that are to be held after their epoch.
    """

    model_config = ConfigDict(frozen=True)
    paused: bool = False
    at_once: int | None = None
    boosted: tuple[int, ...] = ()
    stopped: tuple[int, ...] = ()


@contextmanager
def _locked(folder: Path) -> Iterator[io.TextIOWrapper]:
    """Open a sweep's requests, which no other process reads or writes meanwhile."""
    with (folder / REQUESTS).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def send(folder: Path, request: Request) -> None:
    """Append a request for the driver of the sweep in a folder."""
    with _locked(folder) as file:
        file.write(request.model_dump_json(exclude_none=True) + "\n")


@contextmanager
def taken(folder: Path) -> Iterator[list[Request]]:
    """Yield the requests that have come, oldest first, and remove them at the end of the block.

    They stay if the block raises or its process is killed, so that the next driver carries them out.
    """
    path = folder / REQUESTS
    if not path.exists() or not path.stat().st_size:
        yield []
        return
    with _locked(folder) as file:
        file.seek(0)
        yield list(_parse(file.read().splitlines()))
        file.truncate(0)


def count_waiting(folder: Path) -> int:
    """Return how many requests the driver has not read yet."""
    try:
        return (folder / REQUESTS).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _parse(lines: list[str]) -> Iterator[Request]:
    for line in lines:
        try:
            yield Request.model_validate_json(line)
        except ValidationError:
            # A command that was killed while it wrote has asked for nothing.
            continue


def read_controls(folder: Path) -> Controls:
    """Return what requests have set for a sweep; nothing if the file is missing or broken."""
    try:
        return Controls.model_validate_json((folder / CONTROLS).read_bytes())
    except (OSError, ValidationError):
        return Controls()


def write_controls(folder: Path, controls: Controls) -> None:
    """Write what requests have set, for other commands and for a driver whose Ray has died."""
    write_whole(folder / CONTROLS, json.dumps(controls.model_dump(mode="json")))


def forget(folder: Path) -> None:
    """Delete the requests to an earlier driver, and what they have set."""
    for name in (REQUESTS, CONTROLS):
        (folder / name).unlink(missing_ok=True)
