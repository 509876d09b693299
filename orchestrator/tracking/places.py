"""Where a home was when its files were written: MLflow's database and each sweep's files have absolute paths."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.home import SEARCH_SPACE, locked, sweep_names
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.tracking import sender
from orchestrator.tracking.database import SQLITE, sqlite_path

COLUMNS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}
"""Where MLflow 3.17 keeps absolute paths in its database."""
FILE = "file://"


def moved_from(home: Path) -> Path | None:
    """Return where a home was when MLflow's database in it was written, if that was elsewhere."""
    path = home / "mlflow.db"
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
        try:
            rows = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
        except sqlite3.Error:
            # It is just being made.
            return None
    for name, location in rows:
        if location and location.endswith(f"/artifacts/{name}"):
            root = Path(location.removeprefix(FILE).removesuffix(f"/artifacts/{name}"))
            if root != home:
                return root
    return None


def sweep_moved_from(folder: Path) -> Path | None:
    """Return the other home that a sweep's log or its `tracking.json` names as the sweep's own, if one does."""
    home = folder.parent
    homes = [Path(root).parent for root in _artifact_roots(folder) if root]
    if homes and homes[-1] != home:
        return homes[-1]
    database = sqlite_path(str(sender.status(folder).get("tracking_uri")))
    former = (place for place in homes if place != home)
    return next((place for place in former if database and database.is_relative_to(place)), None)


def moved_sweeps(home: Path) -> dict[str, Path]:
    """Return the sweeps of a home that name another home as theirs, each with that one."""
    places = {name: sweep_moved_from(home / name) for name in sweep_names(home)}
    return {name: place for name, place in places.items() if place is not None}


def _artifact_roots(folder: Path) -> Iterable[str | None]:
    """Read what the starts of a sweep say; its log may be large, and few of its lines are starts."""
    with (folder / SWEEP_LOG).open("rb") as file:
        for line in file:
            if b'"artifact_root"' in line and line.endswith(b"\n"):
                with contextlib.suppress(ValueError, AttributeError):
                    yield json.loads(line).get("artifact_root")


def relocate_sweep(home: Path, before: Path, name: str) -> None:
    """Make a sweep's files name this home where they name the one before."""
    folder = home / name
    with locked(folder):
        ledger = Ledger(folder)
        destination = {key: _relocated(value, home, before) for key, value in ledger.destination.items()}
        if destination != ledger.destination:
            ledger.redirect(destination)
        path = folder / SEARCH_SPACE
        text = path.read_text() if path.exists() else ""
        # A path that only ends alike is another one.
        whole = re.compile(rf"(?<![\w./~-]){re.escape(str(before))}(?![\w.-])")
        if whole.search(text):
            _replace(path, whole.sub(lambda _: str(home), text))
        _relocate_status(folder, home, before)


def _relocate_status(folder: Path, home: Path, before: Path) -> None:
    status = sender.status(folder)
    uri = _relocated(status.get("tracking_uri"), home, before)
    if not status or uri == status.get("tracking_uri"):
        return
    database = sqlite_path(str(uri))
    path = folder / sender.STATUS_FILE
    if database and not database.exists():
        # Its links would lead nowhere: nothing of the sweep is in this home's MLflow yet.
        path.unlink()
    else:
        _replace(path, json.dumps(status | {"tracking_uri": uri}))


def _relocated(value: Any, home: Path, before: Path) -> Any:
    """Return a path or an sqlite URI with one home instead of another; anything else as it is."""
    prefix = SQLITE if str(value).startswith(SQLITE) else ""
    path = Path(str(value).removeprefix(prefix))
    return f"{prefix}{home / path.relative_to(before)}" if path.is_relative_to(before) else value


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def relocate_database(home: Path, before: Path) -> dict[str, int]:
    """Make MLflow's database name this home where it names the one before; return the changed rows of each table."""
    counts: dict[str, int] = {}
    with contextlib.closing(sqlite3.connect(home / "mlflow.db", timeout=20)) as database, database:
        for table, columns in COLUMNS.items():
            present = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            for column in (column for column in columns if column in present):
                for prefix in ("", FILE):
                    old, new = f"{prefix}{before}/", f"{prefix}{home}/"
                    # Not LIKE, to which an underscore in a path is any character, and capitals are small letters.
                    changed = database.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, len(old), old),
                    )
                    counts[table] = counts.get(table, 0) + changed.rowcount
    return counts


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


def check_sweep_place(folder: Path) -> None:
    """Make sure that a sweep's files name the home that it lies in.

    Raises:
        UserError: they name another one, whose runs its links would open.
    """
    if (before := sweep_moved_from(folder)) is not None:
        raise UserError(
            f"{folder}: this sweep was moved or copied from {before}, which its files still name; "
            f"put that right with: orchestrate doctor --relocate --home {folder.parent}"
        )
