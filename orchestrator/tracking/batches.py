"""Sending of metrics, params and tags to a run: MLflow gets all but those that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from orchestrator.tracking.client import Refused

MAX_NAME = 250
"""The most characters in the name of a metric, param, tag or run."""
MAX_VALUES = {"param": 6000, "tag": 8000}
"""The most characters of a value; longer ones are cut."""
Key = tuple[str, str]
"""A kind (`metric`, `param` or `tag`), and a name in MLflow."""


@dataclass
class Batch:
    """Metrics, params and tags that are sent to a run in one call.

    Attributes:
        points: the points of each metric: (value, time in ms, step).
        texts: the value of each param and tag.
    """

    points: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        """The kind and name of everything in the batch."""
        return [*(("metric", name) for name in self.points), *self.texts]

    def select(self, keys: Iterable[Key]) -> Batch:
        """Return a batch with only these keys."""
        chosen = set(keys)
        points = {name: points for name, points in self.points.items() if ("metric", name) in chosen}
        return Batch(points, {key: text for key, text in self.texts.items() if key in chosen})


def split_unfit(batch: Batch) -> tuple[Batch, dict[Key, str]]:
    """Return the part of a batch that MLflow accepts by its form, and the reason for each key that is left out."""
    reasons: dict[Key, str] = {}
    for kind, name in batch.keys:
        if len(name) > MAX_NAME:
            reasons[kind, name] = f"its name has more than {MAX_NAME} characters"
        elif kind == "metric" and not all(_is_number(value) for value, *_ in batch.points[name]):
            reasons[kind, name] = "its values are not all numbers"
    return batch.select(key for key in batch.keys if key not in reasons), reasons


def shorten(texts: Mapping[Key, str]) -> tuple[dict[Key, str], dict[Key, str]]:
    """Return params and tags with values that are short enough for MLflow, and a message for each that was cut."""
    longer = [key for key, text in texts.items() if len(text) > MAX_VALUES[key[0]]]
    shortened = {key: text[: MAX_VALUES[key[0]]] for key, text in texts.items()}
    return shortened, {key: f"only its first {MAX_VALUES[key[0]]} characters are there" for key in longer}


def send(batch: Batch, call: Callable[[Batch], None]) -> dict[Key, str]:
    """Send a batch; if it is refused, send its halves, and so on, until only the refused keys are left out.

    Args:
        batch: the batch, of any size.
        call: sends a batch in one call; raises `Refused`.

    Returns:
        The reason for each key that MLflow refused.
    """
    keys = batch.keys
    if not keys:
        return {}
    try:
        call(batch)
    except Refused as error:
        if len(keys) == 1:
            return {keys[0]: str(error)}
        half = len(keys) // 2
        return send(batch.select(keys[:half]), call) | send(batch.select(keys[half:]), call)
    return {}


def describe_left_out(left_out: Mapping[str, Mapping[str, str]], most: int = 3) -> str:
    """Return one line about everything that MLflow refused: each name once, with a reason and the runs that lack it.

    Args:
        left_out: for each run (`trial 3`) the reasons by name (`metric val/x`).
        most: the most names in the line, and the most runs for each.
    """
    runs: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for run, names in left_out.items():
        for name, reason in names.items():
            runs.setdefault(name, []).append(run)
            reasons.setdefault(name, reason)
    parts = [f"{name} of {_some(runs[name], most)} ({reasons[name]})" for name in islice(runs, most)]
    return ", ".join(parts) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def _some(names: list[str], most: int) -> str:
    """Return the first names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
