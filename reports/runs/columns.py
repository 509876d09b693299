"""Column names of settings in data frames of runs, which must not clash with the columns of the runs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import vocabulary as words

TAG_PREFIX = "orchestrate."
ADDED_COLUMNS = ("configuration", "duration_s", "epoch", "hours", "recording", "run_id", "run_name", "value")
RUN_COLUMNS = frozenset(ADDED_COLUMNS) | {
    str(tag).removeprefix(TAG_PREFIX) for key, tag in vars(words).items() if key.startswith("TAG_")
}
"""Columns that don't come from settings: a run's tags, and what reports add."""


def column_of(setting: str) -> str:
    """Return the column name of a setting: its own name, or `stage (setting)` if runs have a column `stage`."""
    return f"{setting} (setting)" if setting in RUN_COLUMNS else setting


def rename_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a sweep (`sweep.json`) with its settings renamed to their columns."""
    renamed = dict(record)
    renamed["compare"] = [column_of(str(name)) for name in record["compare"]]
    for section in ("baseline", "at"):
        if record.get(section):
            renamed[section] = _rename(record[section])
    if "arms" in record:
        renamed["arms"] = {name: _rename_in_arm(arm) for name, arm in record["arms"].items()}
    return renamed


def _rename_in_arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    return dict(arm) | {part: _rename(arm[part]) for part in ("compared", "searched") if part in arm}


def _rename(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {column_of(name): value for name, value in settings.items()}
