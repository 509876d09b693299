"""The home (`runs/`) and the folder of a sweep in it: its lock, its search space, and how it is found by name."""

from __future__ import annotations

import contextlib
import difflib
import errno
import fcntl
import io
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UserError
from orchestrator.state.lock_note import LockNote, take_over
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.storage import durable
from orchestrator.storage.file_system import try_lock
from orchestrator.storage.scratch import delete_scratch

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

LOCK = "driver.lock"
"""In a sweep's folder: the file that its driver locks."""
SEARCH_SPACE = "search_space.yaml"
"""In a sweep's folder: the search space as it was run."""
REPORTS = "reports"
"""In the home: the folder of the reports."""
LOCK_PATIENCE_S = 0.5
"""How long to wait for a lock: `driver_note` holds it for a moment when another process looks for a driver."""
MIN_FREE_BYTES = 100 * 2**20
FREE_TO_CHANGE = ("resources", "limits", "media", "disk", "cache", "notify")
"""Sections of the search space that may differ when a sweep is resumed."""
GROWING = ("trials_per_arm", "seeds", "max_epochs", "hours", "gpu_hours", "cost")
"""Keys of `budget` that may be larger when a sweep is resumed."""
RANGES = ("uniform", "loguniform", "quniform", "int", "logint")
"""Domains of searched parameters whose bounds may differ when a sweep is resumed."""
KINDS = ("trials_per_arm", "seeds")
"""Keys of `budget` that can't replace each other when a sweep is resumed."""
ENDS_ARMS = "stop_when"
"""The key of `budget` that ends arms early; it may only be taken out when a sweep is resumed."""


def find_home(home: Path | None) -> Path:
    """Return the folder of all sweeps: `--home`, else `ORCHESTRATE_HOME`, else `runs` in the current folder."""
    return Path(home or os.environ.get("ORCHESTRATE_HOME") or "runs").expanduser().resolve()


def home_option(home: Path) -> list[str]:
    """Return the option that a command needs to find this home; empty if it is the default from here."""
    return [] if home == find_home(None) else ["--home", str(home)]


def open_home(home: Path) -> None:
    """Make the home if it is missing, and check that it can be written to.

    Raises:
        UserError: it can't be written to, or its disk is full.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".writable-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{home}: can't write here ({error.strerror}); give another folder with --home or ORCHESTRATE_HOME"
        ) from None
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise UserError(f"{home}: its disk has {free / 2**20:.0f} MiB free, at least 100 are needed; free some space")


@contextlib.contextmanager
def lock_sweep(folder: Path) -> Iterator[LockNote]:
    """Hold the lock of a sweep, so that this process is its only driver.

    Args:
        folder: the sweep's folder.

    Yields:
        A dict that is written to the lock file at each change, for other processes to read.

    Raises:
        UserError: another driver holds the lock (the message says where), or the folder can't be written to or locked.
    """
    with take_over(folder / LOCK) or _open_lock(folder) as file:
        file.seek(0)
        before = _parse_note(file.read())
        if not _lock(file):
            raise UserError(_running_line(folder, before))
        note = LockNote(folder / LOCK, file)
        note.update(host=socket.gethostname(), pid=os.getpid())
        delete_scratch(before)
        try:
            yield note
        finally:
            note.clear()


def check_not_running(folder: Path) -> None:
    """Check that no driver runs a sweep, without taking the lock.

    Raises:
        UserError: the sweep is running; the message says where.
    """
    if (note := driver_note(folder)) is not None:
        raise UserError(_running_line(folder, note))


def _running_line(folder: Path, note: dict[str, Any]) -> str:
    """Return the message that a sweep is already running."""
    return (
        f"{folder.name}: this sweep is already running on {note.get('host', 'another machine')}, "
        f"process {note.get('pid', '?')}; wait for it, stop it, or start another one with --name"
    )


def _open_lock(folder: Path) -> io.TextIOWrapper:
    try:
        durable.make_folder(folder)
        return open(folder / LOCK, "r+", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o644))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            # The caller reports a full disk.
            raise
        raise UserError(
            f"{folder}: can't write here ({error.strerror}); ask its owner, or name another folder with --home"
        ) from None


def _lock(file: io.TextIOWrapper) -> bool:
    """Lock a file, and return whether that succeeded within `LOCK_PATIENCE_S`."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while not try_lock(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def driver_note(folder: Path) -> dict[str, Any] | None:
    """Return what the driver of a sweep wrote into its lock file (`host`, `pid`, …); None if no driver runs."""
    try:
        with open(folder / LOCK) as file:
            return None if try_lock(file, fcntl.LOCK_SH) else _parse_note(file.read())
    except FileNotFoundError:
        return None


def _parse_note(text: str) -> dict[str, Any]:
    try:
        note = json.loads(text)
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def was_run(folder: Path) -> bool:
    """Return whether a sweep's log has any event; if not, its search space may still be changed freely."""
    try:
        return (folder / SWEEP_LOG).stat().st_size > 0
    except FileNotFoundError:
        return False


def sweep_names(home: Path) -> list[str]:
    """Return the names of the sweeps that were run in a home, sorted by the time of their last event."""
    logs = [log for log in home.glob(f"*/{SWEEP_LOG}") if was_run(log.parent)]
    return [log.parent.name for log in sorted(logs, key=lambda log: log.stat().st_mtime)]


def find_sweep(home: Path, name: str | None) -> Path:
    """Return the folder of a sweep; without a name, of the one with the latest event.

    Raises:
        UserError: there is no such sweep.
    """
    names = sweep_names(home)
    if not names:
        raise UserError(f"{home}: no sweep has been run here; run one (orchestrate sweep FILE) or name another --home")
    if name is not None and name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UserError(f"{home}: no sweep {name!r}.{hint} Available: {', '.join(sorted(names))}.")
    return home / (name or names[-1])


def keep_search_space(folder: Path, sweep: Sweep) -> None:
    """Write the search space into the sweep's folder, where it may only differ in what a resumed sweep may change.

    Raises:
        UserError: the folder has a search space with other differences; the message shows them and what to do.
    """
    path = folder / SEARCH_SPACE
    if was_run(folder) and path.exists():
        before, after = path.read_text(), sweep.text
        if not _continues(_load_yaml(before), _load_yaml(after)):
            changes = difflib.unified_diff(
                before.splitlines(), after.splitlines(), "as it ran", "as it is now", "", "", 0, ""
            )
            diff = "\n".join(f"  {line}" for line in changes if not line.startswith("@@"))
            raise UserError(
                f"{sweep.path}: sweep {sweep.name} in {folder.parent} was run with another search space:\n{diff}\n"
                f"Start the new one under a name of its own, orchestrate sweep FILE --name {sweep.name}-2; more budget "
                "alone may keep the old one."
            )
    durable.write_whole(path, sweep.text)


def _load_yaml(text: str) -> dict[str, Any]:
    # Imported here because it would double the time of `orchestrate --help`.
    from ruamel.yaml import YAML

    search_space: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return search_space


def _hide_ranges(search_space: dict[str, Any]) -> None:
    """Take the bounds of searched parameters out, since ranges may change when a sweep is resumed."""
    bundles = [values for values in search_space.get("compare", {}).values() if isinstance(values, dict)]
    options = [params for values in bundles for params in values.values()]
    changes = [change.get("params") for change in search_space.get("arms", [])]
    for params in (search_space.get("params"), *options, *changes):
        for setting in params.values() if isinstance(params, dict) else ():
            for kind in RANGES:
                if isinstance(setting, dict) and kind in setting:
                    setting[kind] = "any range"


def _continues(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether a sweep that was run with one search space can be resumed with another; both are changed here."""
    old, new = (search_space.pop("budget", {}) or {} for search_space in (before, after))
    # A confirm stage may be added: the search did not look at the test split. A changed one would look at it twice.
    if before.get("confirm") in (None, "none"):
        before.pop("confirm", None)
        after.pop("confirm", None)
    for search_space in (before, after):
        _hide_ranges(search_space)
        for key in (*FREE_TO_CHANGE, "presets"):
            search_space.pop(key, None)
        changes = []
        for entry in search_space.pop("arms", []):
            change = {key: value for key, value in entry.items() if key != "resources"}
            if change.get("params"):
                changes.append(change)
        search_space["arms"] = changes
    return before == after and _grows(_set_keys(old), _set_keys(new))


def _set_keys(budget: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a budget that set something: neither left out nor `none`."""
    return {key: value for key, value in budget.items() if value not in (None, "none")}


def _grows(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether a budget is of the same kind as another one, and leaves at least as much to do."""
    # A limit that is not set is infinite, so that adding a limit of hours is allowed.
    is_larger = all(new.get(key, float("inf")) >= old.get(key, 0) for key in GROWING)
    is_same_kind = all((key in old) == (key in new) for key in KINDS)
    return is_larger and is_same_kind and new.get(ENDS_ARMS) in (None, old.get(ENDS_ARMS))
