"""The rows of the page of sounds: each probe clip with its original, the arms' reconstructions and their values."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state.curve import Objective
from orchestrator.tracking.best_renderings import Column
from orchestrator.tracking.clip_drawings import DrawnSound, draw_sounds, read_picture, split_pictures
from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.sounds import Sound, read_sound

DECIMALS, DECIBEL_DECIMALS = 3, 2
MAX_REMEMBERED = 16
"""How many clips stay drawn in memory; a page has hardly more, and all that fit into it are a few megabytes."""


@dataclass(frozen=True)
class Clip:
    """One probe clip in the tables of all columns.

    Attributes:
        name: the name of the clip.
        entries: its entry in the `clips.json` of each column; empty where a column lacks it.
        spreads: for each number in the tables the largest minus the smallest over the columns.
    """

    name: str
    entries: tuple[Mapping[str, Any], ...]
    spreads: Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """The original of a clip, or one arm's reconstruction of it.

    Attributes:
        label: `original`, or the name of the arm.
        key: the key that switches to the cell, or None.
        sound: the drawn sound, or None.
        remark: why the sound can't be played; empty if it can, or if the trial made none.
        pictures: pictures other than the spectrogram of the sound, as data URLs, by their descriptions.
        values: each number of the clip as text, and whether it is the best of its row.
    """

    label: str
    key: int | None
    sound: DrawnSound | None
    remark: str
    pictures: Mapping[str, str]
    values: Sequence[tuple[str, bool]]


def read_clips(columns: Sequence[Column]) -> list[Clip]:
    """Return all probe clips that are in the table of at least one column."""
    tables: list[dict[str, Mapping[str, Any]]] = []
    for column in columns:
        table = json.loads((column.media / words.ARTIFACT_CLIPS).read_text())
        tables.append({str(entry[words.CLIP_NAME]): entry for entry in table["clips"]})
    clips: list[Clip] = []
    for name in dict.fromkeys(name for table in tables for name in table):
        entries = tuple(table.get(name, {}) for table in tables)
        clips.append(Clip(name, entries, _measure_spreads(entries)))
    return clips


def metric_names(clips: Iterable[Clip], objective: Objective) -> list[str]:
    """Return the numbers by which arms can differ on a clip: the objective first if the tables have it."""
    names = dict.fromkeys(name for clip in clips for name in clip.spreads)
    return sorted(names, key=lambda name: name != own_name(objective))


def own_name(objective: Objective) -> str:
    """Return the name that the objective has in tables of clips."""
    return objective.metric.removeprefix(words.VAL_PREFIX)


def draw_row(clip: Clip, columns: Sequence[Column], objective: Objective) -> list[Cell]:
    """Return the cells of a clip: the original, then one for each column.

    Args:
        clip: the clip.
        columns: the columns that `read_clips` got.
        objective: decides which value of a row is the best.
    """
    drawn, remarks = _draw_clip(clip.name, tuple((column.media, column.made_ns) for column in columns))
    shared, pictures = _collect_pictures(clip, columns, drawn)
    cells = [Cell(words.ORIGINAL, 0, drawn.get(words.ORIGINAL), remarks.get(words.ORIGINAL, ""), shared, [])]
    best = _best_value(clip, objective)
    for number, (column, entry) in enumerate(zip(columns, clip.entries, strict=True), 1):
        key = number if number < 10 else None
        values = [
            (format_metric(name, value), best is not None and name == own_name(objective) and value == best)
            for name, value in _numbers(entry).items()
        ]
        sound, remark = drawn.get(_key(column)), remarks.get(_key(column), "")
        cells.append(Cell(column.arm, key, sound, remark, pictures[number - 1], values))
    return cells


def split_unit(name: str) -> tuple[str, str]:
    """Return the label of a metric and its unit with a space before it: `lsd_db` gives `lsd` and ` dB`."""
    return (words.label_of(name.removesuffix("_db")), " dB") if name.endswith("_db") else (words.label_of(name), "")


def format_number(name: str, value: float) -> str:
    """Return a metric's value with its unit: two decimals for decibels, three for others."""
    unit = split_unit(name)[1]
    return f"{value:.{DECIBEL_DECIMALS if unit else DECIMALS}f}{unit}"


def format_metric(name: str, value: float) -> str:
    """Return a metric with its value: `judge probability 0.945`."""
    return f"{split_unit(name)[0]} {format_number(name, value)}"


def _measure_spreads(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for entry in entries:
        for name, value in _numbers(entry).items():
            values.setdefault(name, []).append(value)
    return {name: max(numbers) - min(numbers) for name, numbers in values.items() if len(numbers) > 1}


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in entry.items() if isinstance(value, float) and math.isfinite(value)}


def _best_value(clip: Clip, objective: Objective) -> float | None:
    """Return the best value of the objective in a row; None if fewer than two columns have one."""
    name = own_name(objective)
    if name not in clip.spreads:
        return None
    values = [numbers[name] for entry in clip.entries if name in (numbers := _numbers(entry))]
    return max(values) if objective.mode == "max" else min(values)


def _key(column: Column) -> str:
    """Return the key of a column's sound, which no original has."""
    return str(column.media)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _draw_clip(name: str, media: tuple[tuple[Path, int], ...]) -> tuple[Mapping[str, DrawnSound], Mapping[str, str]]:
    """Return the drawn sounds of a clip, and why others can't be read; the arms' by the paths of their folders.

    The result is remembered, because the page is written again whenever a number of a trial changes.

    Args:
        name: the name of the clip.
        media: the folder of each arm with the time of its making, in nanoseconds.
    """
    sounds: dict[str, Sound] = {}
    remarks: dict[str, str] = {}
    paths = {str(folder): folder / f"{name}_{words.RECONSTRUCTION}.wav" for folder, _ in media}
    originals = [folder / f"{name}_{words.ORIGINAL}.wav" for folder, _ in media]
    # All arms have a copy of the original.
    paths[words.ORIGINAL] = next((path for path in originals if path.exists()), originals[0])
    for key, path in paths.items():
        if path.exists():
            try:
                sounds[key] = read_sound(path)
            except ReportError as error:
                remarks[key] = str(error)
    return draw_sounds(sounds, words.ORIGINAL), remarks


def _collect_pictures(
    clip: Clip, columns: Sequence[Column], drawn: Mapping[str, DrawnSound]
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return what all columns share of their pictures of a clip, and the pictures of each column, by description.

    A trial's picture of spectrograms also shows the original, so that it is left out where there is a sound to draw.
    """
    paths = {
        kind: [_find_picture(column, entry.get(kind)) for column, entry in zip(columns, clip.entries, strict=True)]
        for kind in (words.CLIP_SPECTROGRAM, words.CLIP_IMAGE)
    }
    shared, images = split_pictures(paths[words.CLIP_IMAGE])
    pictures: list[dict[str, str]] = []
    for column, spectrogram, image in zip(columns, paths[words.CLIP_SPECTROGRAM], images, strict=True):
        own: dict[str, str] = {}
        is_drawn = _key(column) in drawn
        if spectrogram and not is_drawn:
            own[f"spectrogram of {clip.name}"] = read_picture(spectrogram)
        # Right of a shared photo are spectrograms, if there are sounds.
        if image and not (is_drawn and shared):
            own[f"image of {clip.name}"] = image
        pictures.append(own)
    return {f"image of {clip.name}": shared} if shared else {}, pictures


def _find_picture(column: Column, stem: str | None) -> Path | None:
    path = column.media / f"{stem}.png"
    return path if stem and path.exists() else None
