"""The renderings of the best trials that are shown side by side: sounds on one page, pictures in one chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import Rank
from orchestrator.state.history import History
from orchestrator.state.paths import MEDIA
from orchestrator.state.trial import Trial
from orchestrator.state.trial_files import TrialFiles
from orchestrator.tracking import artifacts
from orchestrator.tracking.notes import best_name, main_metrics


@dataclass(frozen=True)
class Column:
    """The best trial of one arm, as the page of sounds shows it.

    Attributes:
        arm: the name of the arm.
        trial: the name of the trial, with its outcome if it did not train to the end.
        epoch: its best epoch.
        heard_epoch: the epoch of its sounds; an earlier or a later one while it trains.
        value: the objective at its best epoch.
        rank: what orders the arms; the largest is the best.
        metrics: the other main metrics at that epoch, by name.
        searched: the searched parameters as text, by name.
        fixed: the parameters that are equal in all trials of the arm, as text, by name.
        media: the folder with its sounds, pictures and `clips.json`.
        made_ns: the time of the folder's making, in nanoseconds.
    """

    arm: str
    trial: str
    epoch: int
    heard_epoch: int
    value: float
    rank: Rank
    metrics: Mapping[str, float]
    searched: Mapping[str, str]
    fixed: Mapping[str, str]
    media: Path
    made_ns: int


def make_columns(history: History) -> list[Column]:
    """Return a column for the best trial of each arm that has renderings, in the order of the arms."""
    columns = []
    for best in history.best_trials():
        files = history.files[best.number]
        media = max(files.media, default=None, key=_preference)
        if media and best.number in history.with_media:
            columns.append(_make_column(history, best, media))
    return columns


def _make_column(history: History, best: Trial, media: str) -> Column:
    """Return the column of an arm's best trial; `media` is the name of the folder with its renderings."""
    files = history.files[best.number]
    row, rank = best.curve.best_row, best.rank(history.objective)
    # A trial is an arm's best by a number of its best epoch.
    assert row is not None and rank is not None
    metrics: Mapping[str, float] = row["metrics"]
    objective = history.objective.metric
    beside = [name for name in main_metrics(history) if name in metrics and name != objective]
    fixed = {name: value for name, value in best.params.items() if name not in best.searched | best.compared}
    return Column(
        arm=best.arm,
        trial=best_name(best),
        epoch=row["epoch"],
        heard_epoch=row["epoch"] if media.endswith(artifacts.BEST) else int(media.rpartition("_")[2]),
        value=metrics[objective],
        rank=rank,
        metrics={name: metrics[name] for name in beside},
        searched=_to_texts(best.searched),
        fixed=_to_texts(fixed),
        media=files.folder / media,
        made_ns=files.made_ns[media],
    )


def _to_texts(params: Mapping[str, Value]) -> dict[str, str]:
    """Return parameters as people read them: numbers with three digits."""
    texts = {}
    for name, value in params.items():
        if isinstance(value, float):
            texts[name] = f"{value:.3g}"
        else:
            texts[name] = value if isinstance(value, str) else json.dumps(value)
    return texts


def find_best_pictures(bests: Sequence[TrialFiles]) -> list[str]:
    """Return the keys of the pictures of the best epoch that all of these trials with pictures have.

    Args:
        bests: the files of the trials.
    """
    media = f"{MEDIA}/{artifacts.BEST}"
    keys = [list(artifacts.make_picture_keys(best.folder / media).values()) for best in bests if media in best.media]
    return [key for key in keys[0] if all(key in others for others in keys)] if keys else []


def _preference(media: str) -> tuple[bool, str]:
    """Return a sort key whose largest value is the best epoch's renderings, then those of the latest epoch."""
    return media.endswith(artifacts.BEST), media
