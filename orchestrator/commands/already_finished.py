"""Recognize a command that asks for a finished sweep again, without the imports that running it would need.

`record_finished` writes a record after a sweep, and `find_finished` compares the next command with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.command_line import format_command, version
from orchestrator.state.home import REPORTS, SEARCH_SPACE, driver_note, home_option
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.tracking import sender
from orchestrator.tracking.links import link_lines
from orchestrator.tracking.moved_homes import check_place, check_sweep_place

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

RECORD = "finished.json"
"""In a sweep's folder: the record of the request that the finished sweep has fulfilled, with the size of its log."""
PACKAGES = ("orchestrator", "trainables", "reports")
"""The packages whose code results depend on."""


@dataclass(frozen=True)
class Request:
    """The arguments of `orchestrate sweep` for one search space.

    Attributes:
        path: the file of the search space.
        preset: the preset of the file.
        overrides: `key=value` pairs that replace values of the file.
        name: the sweep's name, if it is not the file's.
    """

    path: Path
    preset: str | None = None
    overrides: tuple[str, ...] = ()
    name: str | None = None

    def fingerprint(self, code: Iterable[str]) -> str:
        """Return a hash of the file, the options, the code and the version.

        Args:
            code: the files of the trainable and its components.
        """
        content = hashlib.sha256(self.path.read_bytes()).hexdigest()
        # Relative paths in overrides are relative to the current folder.
        folder = os.getcwd() if self.overrides else ""
        options = (self.preset, self.overrides, self.name, folder)
        parts = (str(self.path.resolve()), content, options, version(), _code_fingerprint(code))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find_finished(home: Path, request: Request) -> str | None:
    """Return the name of the finished sweep that fulfils a request; None if there is none or something has changed.

    Args:
        home: the folder of all sweeps.
        request: the arguments of the command.

    Raises:
        UserError: the home was moved, or the tracking URI can't be used.
    """
    folders = (path.parent for path in home.glob(f"*/{RECORD}"))
    folder = next((folder for folder in folders if _matches(folder, request)), None)
    if folder is None:
        return None
    sender.check_tracking_uri(home)
    check_place(home)
    check_sweep_place(folder)
    return folder.name


def _matches(folder: Path, request: Request) -> bool:
    """Return whether a sweep's record has this request, and neither the sweep nor the code has changed since."""
    try:
        record = json.loads((folder / RECORD).read_text())
        return (
            record["path"] == str(request.path.resolve())
            and _is_settled(folder, record["log_bytes"])
            and record["fingerprint"] == request.fingerprint(record["code"])
        )
    except (OSError, ValueError, TypeError, KeyError):
        # The record is of another version, or the search space is missing; reading it reports that.
        return False


def record_finished(home: Path, request: Request, sweep: Sweep) -> None:
    """Write the record of a request, by which the same command later finds that nothing is left to do.

    Nothing is written unless the sweep is finished, MLflow has all of it, and its report is up to date.

    Args:
        home: the folder of all sweeps.
        request: the arguments of the command.
        sweep: the sweep that the command has run.
    """
    from orchestrator.plugins.loader import imported_files, source_files

    folder = home / sweep.name
    log_bytes = (folder / SWEEP_LOG).stat().st_size
    if not _is_settled(folder, log_bytes) or not _is_log_finished(folder):
        return
    trainable, components = sweep.trainable, sweep.components
    helpers = [path for _, path in imported_files(trainable, components)]
    code = [str(path) for path in (*source_files(trainable, components), *helpers)]
    record = {
        "path": str(request.path.resolve()),
        "fingerprint": request.fingerprint(code),
        "code": code,
        "log_bytes": log_bytes,
    }
    temporary = folder / f"{RECORD}.tmp"
    # Without the record the next command only takes longer.
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(record))
        temporary.replace(folder / RECORD)


def say_finished(home: Path, name: str, say: Callable[[str], None]) -> None:
    """Print that nothing is left to do, and the commands and links to the results.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        say: prints a line.
    """
    say(f"Sweep {name} is finished: nothing left to do.")
    say(f"What it found:          {format_command('compare', name, *home_option(home))}")
    for line in link_lines(name, sender.status(home / name), home):
        say(line)


def has_report(home: Path, name: str) -> bool:
    """Return whether a sweep's report is newer than its log."""
    try:
        return (home / REPORTS / f"{name}.html").stat().st_mtime_ns >= (home / name / SWEEP_LOG).stat().st_mtime_ns
    except OSError:
        return False


def _is_settled(folder: Path, log_bytes: int) -> bool:
    """Return whether a sweep's log has this size, no driver runs, and MLflow and the report are up to date."""
    is_same = (folder / SWEEP_LOG).stat().st_size == log_bytes and (folder / SEARCH_SPACE).exists()
    is_idle = is_same and driver_note(folder) is None
    return is_idle and not sender.is_behind(folder) and has_report(folder.parent, folder.name)


def _is_log_finished(folder: Path) -> bool:
    """Return whether the last event in a sweep's log is that the sweep is finished."""
    from orchestrator.state.ledger import Ledger

    return Ledger(folder, read_only=True).is_finished


def _code_fingerprint(code: Iterable[str]) -> str:
    """Return a fingerprint of the code that reads and runs sweeps."""
    specs = [importlib.util.find_spec(package) for package in PACKAGES]
    roots = [Path(root) for spec in specs if spec for root in spec.submodule_search_locations or ()]
    files = {path for root in roots for path in root.rglob("*.py")} | {Path(path) for path in code}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()
