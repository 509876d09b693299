"""What MLflow accepts of a run's metrics, params and tags: the one that it refuses is left out, the rest is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from orchestrator.tracking.client import Refused

MAX_NAME = 250
"""Characters of the name of a metric, param, tag or run."""
MAX_VALUES = {"param": 6000, "tag": 8000}
"""Characters of a value; what is longer is cut."""
Key = tuple[str, str]
"""What it is (`metric`, `param`, `tag`), and its name in MLflow."""


@dataclass
class Batch:
    """What goes to a run in one call.

    Attributes:
        points: (value, time in ms, step) of each metric.
        texts: the value of each param and tag.
    """

    points: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        """Everything in it."""
        return [*(("metric", name) for name in self.points), *self.texts]

    def only(self, keys: Iterable[Key]) -> Batch:
        """Return the part that has these keys."""
        chosen = set(keys)
        points = {name: points for name, points in self.points.items() if ("metric", name) in chosen}
        return Batch(points, {key: text for key, text in self.texts.items() if key in chosen})


def take_out_unfit(batch: Batch) -> tuple[Batch, dict[Key, str]]:
    """Return what has a form that MLflow accepts, and why the rest has not."""
    reasons: dict[Key, str] = {}
    for kind, name in batch.keys:
        if len(name) > MAX_NAME:
            reasons[kind, name] = f"its name has more than {MAX_NAME} characters"
        elif kind == "metric" and not all(_is_number(value) for value, *_ in batch.points[name]):
            reasons[kind, name] = "its values are not all numbers"
    return batch.only(key for key in batch.keys if key not in reasons), reasons


def cut(texts: Mapping[Key, str]) -> tuple[dict[Key, str], dict[Key, str]]:
    """Return params and tags with values as long as MLflow takes them, and what is said of those that were cut."""
    longer = [key for key, text in texts.items() if len(text) > MAX_VALUES[key[0]]]
    shortened = {key: text[: MAX_VALUES[key[0]]] for key, text in texts.items()}
    return shortened, {key: f"only its first {MAX_VALUES[key[0]]} characters are there" for key in longer}


def send(batch: Batch, call: Callable[[Batch], None]) -> dict[Key, str]:
    """Send a batch; if it is refused, its halves, until what is refused is found.

    Args:
        batch: may be of any size.
        call: sends a batch in one call; raises `Refused`.

    Returns:
        Why MLflow refused what it refused; the rest is there.
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
        return send(batch.only(keys[:half]), call) | send(batch.only(keys[half:]), call)
    return {}


def in_words(left_out: Mapping[str, Mapping[str, str]], most: int = 3) -> str:
    """Return one line of what MLflow did not take: each name once, with a reason and the runs that lack it.

    Args:
        left_out: of each run (`trial 3`), what it lacks (`metric val/x`), each with the reason.
        most: so many names, and so many runs of each.
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
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
