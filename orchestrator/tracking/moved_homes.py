"""Detection and repair of a home that was moved: MLflow's database and the files of sweeps have absolute paths."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.home import SEARCH_SPACE, lock_sweep, sweep_names
from orchestrator.state.ledger import Ledger
from orchestrator.tracking import sender
from orchestrator.tracking.database import SQLITE, sqlite_path

COLUMNS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}
"""The columns of MLflow 3.17's database with absolute paths, by table."""
FILE = "file://"


def former_home(home: Path) -> Path | None:
    """Return the folder in which a home was when MLflow's database in it was written; None if it was not moved."""
    path = home / "mlflow.db"
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
        try:
            rows = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
        except sqlite3.Error:
            # Another process is making the tables now.
            return None
    for name, location in rows:
        if location and location.endswith(f"/artifacts/{name}"):
            root = Path(location.removeprefix(FILE).removesuffix(f"/artifacts/{name}"))
            if root != home:
                return root
    return None


def former_home_of_sweep(folder: Path) -> Path | None:
    """Return the other home that a sweep's log or its `tracking.json` names; None if the sweep was not moved."""
    home = folder.parent
    roots = (line.get("artifact_root") for line in sender.read_destinations(folder))
    homes = [Path(root).parent for root in roots if root]
    if homes and homes[-1] != home:
        return homes[-1]
    database = sqlite_path(str(sender.status(folder).get("tracking_uri")))
    former = (place for place in homes if place != home)
    return next((place for place in former if database and database.is_relative_to(place)), None)


def find_moved_sweeps(home: Path) -> dict[str, Path]:
    """Return the former homes of the sweeps in a home that were moved there, by name."""
    places = {name: former_home_of_sweep(home / name) for name in sweep_names(home)}
    return {name: place for name, place in places.items() if place is not None}


def relocate_sweep(home: Path, before: Path, name: str) -> None:
    """Replace the former home in a sweep's files with this home.

    Args:
        home: the home in which the sweep is now.
        before: the former home.
        name: the name of the sweep.
    """
    folder = home / name
    with lock_sweep(folder):
        ledger = Ledger(folder)
        destination = {key: _relocate_path(value, home, before) for key, value in ledger.destination.items()}
        if destination != ledger.destination:
            ledger.redirect(destination)
        path = folder / SEARCH_SPACE
        text = path.read_text() if path.exists() else ""
        # Neither a longer path that contains this one, nor a name that begins with it.
        whole = re.compile(rf"(?<![\w./~-]){re.escape(str(before))}(?![\w.-])")
        if whole.search(text):
            _replace(path, whole.sub(lambda _: str(home), text))
        _relocate_status(folder, home, before)


def _relocate_status(folder: Path, home: Path, before: Path) -> None:
    """Replace the former home in a sweep's `tracking.json`."""
    status = sender.status(folder)
    uri = _relocate_path(status.get("tracking_uri"), home, before)
    if not status or uri == status.get("tracking_uri"):
        return
    database = sqlite_path(str(uri))
    path = folder / sender.STATUS_FILE
    if database and not database.exists():
        # Its links would be dead, because nothing of the sweep is in this home's MLflow yet.
        path.unlink()
    else:
        _replace(path, json.dumps(status | {"tracking_uri": uri}))


def _relocate_path(value: Any, home: Path, before: Path) -> Any:
    """Return a path or an SQLite URI with this home in place of the former one; return anything else unchanged."""
    prefix = SQLITE if str(value).startswith(SQLITE) else ""
    path = Path(str(value).removeprefix(prefix))
    return f"{prefix}{home / path.relative_to(before)}" if path.is_relative_to(before) else value


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def relocate_database(home: Path, before: Path) -> dict[str, int]:
    """Replace the former home in MLflow's database; return the number of changed values by table."""
    counts: dict[str, int] = {}
    with contextlib.closing(sqlite3.connect(home / "mlflow.db", timeout=20)) as database, database:
        for table, columns in COLUMNS.items():
            present = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            for column in (column for column in columns if column in present):
                for prefix in ("", FILE):
                    old, new = f"{prefix}{before}/", f"{prefix}{home}/"
                    # Not LIKE, which ignores case, and to which an underscore matches any character.
                    changed = database.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, len(old), old),
                    )
                    counts[table] = counts.get(table, 0) + changed.rowcount
    return counts


def check_place(home: Path) -> None:
    """Check that the paths in MLflow's database are in the home itself.

    Raises:
        UserError: the home was moved. MLflow would not find artifacts, and would write new ones to the old folder.
    """
    if (before := former_home(home)) is not None:
        raise UserError(
            f"{home}: this home was moved or copied from {before}, which mlflow.db still names; "
            f"put that right with: orchestrate doctor --relocate --home {home}"
        )


def check_sweep_place(folder: Path) -> None:
    """Check that the paths in a sweep's files are in its home.

    Raises:
        UserError: the sweep was moved. Its links would open runs in the MLflow of its former home.
    """
    if (before := former_home_of_sweep(folder)) is not None:
        raise UserError(
            f"{folder}: this sweep was moved or copied from {before}, which its files still name; "
            f"put that right with: orchestrate doctor --relocate --home {folder.parent}"
        )
