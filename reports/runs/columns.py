"""Names of the columns that settings have in tables of runs, where a run's own columns have some names already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import vocabulary as words

TAG_PREFIX = "orchestrate."
ADDED = ("configuration", "duration_s", "epoch", "hours", "recording", "run_id", "run_name", "value")
OF_RUNS = frozenset(ADDED) | {
    str(tag).removeprefix(TAG_PREFIX) for key, tag in vars(words).items() if key.startswith("TAG_")
}
"""What a run's row says of the run itself: its tags, and what reports add."""


def column_of(setting: str) -> str:
    """The column of a setting: its name, marked where that is a column of the run itself."""
    return f"{setting} (setting)" if setting in OF_RUNS else setting


def with_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a sweep (`sweep.json`) with its settings named as their columns are."""
    renamed = dict(record)
    renamed["compare"] = [column_of(str(name)) for name in record["compare"]]
    for section in ("baseline", "at"):
        if record.get(section):
            renamed[section] = _renamed(record[section])
    if "arms" in record:
        renamed["arms"] = {
            name: arm | {part: _renamed(arm[part]) for part in ("compared", "searched") if part in arm}
            for name, arm in record["arms"].items()
        }
    return renamed


def _renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {column_of(name): value for name, value in settings.items()}
