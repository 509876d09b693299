"""The tables of a Hugging Face dataset folder: which there are, their splits, and their rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.corpora.adapters.tables import read_json_rows, read_rows
from trainables.corpora.splits import Split
from trainables.corpora.tree import Tree
from trainables.errors import InputError

KEYWORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words in the name of a file or folder that stand for a split, as in the library `datasets`."""
SUFFIXES = frozenset({".arrow", ".csv", ".json", ".jsonl", ".parquet"})
METADATA = ("metadata.csv", "metadata.jsonl")
BATCH_ROWS = 32
"""The rows that are in memory at once; a video of ten seconds has about a megabyte."""


@dataclass(frozen=True)
class Media:
    """A sound, picture or video in a row: its bytes, or the path of its file.

    Attributes:
        path: the path of the file, or the name that the bytes once had; empty if there is none.
        content: the bytes; None if they are in the file.
    """

    path: str
    content: bytes | None


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        number: its number in the table, from 0.
        label: its class; empty if it has none.
        group: the text in the column of groups; empty without such a column.
        sound: the sound, or the video with it; None if the row has none.
        picture: the picture or video; None if there is none.
    """

    number: int
    label: str
    group: str
    sound: Media | None
    picture: Media | None


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are read; a picture or a group is optional."""

    sound: str
    label: str
    picture: str | None
    group: str | None
    classes: tuple[str, ...]


def find_tables(tree: Tree) -> list[Path]:
    """Return the tables below the root, sorted: Arrow and Parquet files or, without any, those of an audiofolder.

    Raises:
        InputError: there is none, or a table needs an index that `save_to_disk` wrote beside it.
    """
    root = tree.roots[0]
    files = tree.list_files(root, suffixes=SUFFIXES)
    listed: dict[Path, set[Path]] = {}
    for state in (root / name for name in files if Path(name).name == "state.json"):
        content = _read_json(state)
        if content.get("_indices_data_files"):
            raise InputError(f"{state.parent}: its rows are chosen by an index; save it after flatten_indices()")
        listed[state.parent] = {state.parent / item["filename"] for item in content.get("_data_files", [])}
    tables = [root / name for name in sorted(files) if name.endswith((".arrow", ".parquet"))]
    # Beside the tables of `save_to_disk`, the library caches others.
    tables = [path for path in tables if path in listed.get(path.parent, {path}) and not path.name.startswith("cache-")]
    tables = tables or [root / name for name in sorted(files) if Path(name).name in METADATA]
    if not tables:
        raise InputError(
            f"corpus.root: {root}: has no .arrow or .parquet file, and no {' or '.join(METADATA)}; a folder that was"
            " saved by Hugging Face's datasets, or one of its audiofolders, is needed"
        )
    return tables


def read_split(root: Path, table: Path) -> Split | None:
    """Return the split that the name of a table or of a folder above it says; None if none does."""
    for part in reversed(table.relative_to(root).parts):
        words = re.split(r"[^a-z0-9]+", part.lower())
        for split, keywords in KEYWORDS.items():
            if any(word in keywords for word in words):
                return split
    return None


def read_table_rows(table: Path, *, sound: str | None, label: str | None, group: str | None) -> Iterator[Row]:
    """Yield the rows of a table.

    Args:
        table: an Arrow or Parquet file, or the `metadata` of an audiofolder.
        sound: the column of sounds or videos; None: the only one.
        label: the column of classes; None: the only one of that type, or the one named label.
        group: the column of groups; None: there is none.

    Raises:
        InputError: the table can't be read, or lacks a column.
    """
    if table.name in METADATA:
        yield from _read_metadata(table, sound=sound, label=label, group=group)
        return
    import pyarrow as pa  # takes 0.2 s, and most corpora need none

    number = 0
    try:
        schema, open_batches = _open(table)
        columns = find_columns(table, schema, sound=sound, label=label, group=group)
        for batch in open_batches([name for name in vars(columns).values() if isinstance(name, str)]):
            for fields in batch.to_pylist():
                yield _make_row(table, number, fields, columns)
                number += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        with table.open("rb") as file:
            if file.read(20).startswith(b"version https://git"):
                reason = "it is a pointer of Git LFS: run git lfs pull"
        raise InputError(f"{table}: can't be read ({reason}); copy or download it again") from error


def find_columns(table: Path, schema: Any, *, sound: str | None, label: str | None, group: str | None) -> Columns:
    """Return the columns of an Arrow schema; arguments and errors are those of `read_table_rows`."""
    features = _read_features(schema)
    types = {name: str(feature.get("_type", "Value")) for name, feature in features.items()}
    shown = ", ".join(f"{name} ({kind})" if kind != "Value" else name for name, kind in types.items())
    for setting, column in (("sound", sound), ("label", label), ("group", group)):
        if column is not None and column not in types:
            raise InputError(f"corpus.{setting}: {table}: has no column {column}; its columns are {shown}")
    sounds = [name for name, kind in types.items() if kind == "Audio"]
    videos = [name for name, kind in types.items() if kind == "Video"]
    pictures = [name for name, kind in types.items() if kind == "Image"]
    labels = [name for name, kind in types.items() if kind == "ClassLabel"]
    sound = sound or _choose(table, "sound", sounds or videos, "of sounds or videos", shown)
    if types[sound] not in ("Audio", "Video"):
        raise InputError(f"corpus.sound: {table}: {sound} is no column of sounds or videos; its columns are {shown}")
    if label is None:
        label = "label" if "label" in types else _choose(table, "label", labels, "of classes", shown)
    picture = sound if sound in videos else next(iter([*videos, *pictures]), None)
    return Columns(sound, label, picture, group, tuple(features[label].get("names", ())))


def _choose(table: Path, setting: str, columns: Sequence[str], what: str, shown: str) -> str:
    if len(columns) == 1:
        return columns[0]
    count = "no column" if not columns else f"{len(columns)} columns"
    raise InputError(f"{table}: has {count} {what}; set corpus.{setting} to one of {shown}")


def _read_features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return the feature of each column; without the library's metadata, it follows from the type and the name."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features: Mapping[str, Any] = metadata.get("info", {}).get("features") or {}
    answer = {}
    for field in schema:
        feature = features.get(field.name)
        if not isinstance(feature, dict):
            inner = [child.name for child in field.type] if str(field.type).startswith("struct<") else []
            kinds = {"image": "Image", "video": "Video"}
            kind = next((kinds[word] for word in kinds if word in field.name.lower()), "Audio")
            feature = {"_type": kind if set(inner) == {"bytes", "path"} else "Value"}
        answer[field.name] = feature
    return answer


def _open(table: Path) -> tuple[Any, Any]:
    """Return the schema of a table, and a function that yields batches of some of its columns."""
    if table.suffix == ".parquet":
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(table)
        return file.schema_arrow, lambda columns: file.iter_batches(BATCH_ROWS, columns=columns)
    import pyarrow as pa

    source = pa.memory_map(str(table))
    is_file = source.read(6) == b"ARROW1"
    source.seek(0)
    if is_file:
        reader = pa.ipc.open_file(source)
        batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        reader = pa.ipc.open_stream(source)
        batches = iter(reader)
    return reader.schema, lambda columns: (
        batch.slice(start, BATCH_ROWS)
        for batch in (batch.select(list(dict.fromkeys(columns))) for batch in batches)
        for start in range(0, batch.num_rows, BATCH_ROWS)
    )


def _make_row(table: Path, number: int, fields: Mapping[str, Any], columns: Columns) -> Row:
    label = fields[columns.label]
    if columns.classes and isinstance(label, int):
        if label >= len(columns.classes):
            raise InputError(
                f"{table}: row {number}: {columns.label} is {label}; it has {len(columns.classes)} classes"
            )
        # -1 stands for a label that was held back.
        label = columns.classes[label] if label >= 0 else None
    group = fields[columns.group] if columns.group else None
    picture = _make_media(fields[columns.picture]) if columns.picture else None
    label, group = ("" if text is None else str(text) for text in (label, group))
    return Row(number, label, group, _make_media(fields[columns.sound]), picture)


def _make_media(value: Any) -> Media | None:
    if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
        return None
    return Media(value.get("path") or "", value.get("bytes"))


def _read_metadata(table: Path, *, sound: str | None, label: str | None, group: str | None) -> Iterator[Row]:
    for number, (line, fields) in enumerate(_read_lines(table)):
        sound_name = sound or next((name for name in _name_columns("", "audio_", "video_") if name in fields), None)
        label_name = label or "label"
        for setting, name in (("sound", sound_name or "file_name"), ("label", label_name), ("group", group)):
            if name is not None and name not in fields:
                raise InputError(
                    f"{table}:{line}: has no column {name}; set corpus.{setting} to one of {', '.join(fields)}"
                )
        shown = next((fields[name] for name in _name_columns("video_", "image_") if fields.get(name)), "")
        picture = Media(shown, None) if shown else None
        path = fields[sound_name or ""]
        yield Row(
            number, fields[label_name], fields[group] if group else "", Media(path, None) if path else None, picture
        )


def _name_columns(*prefixes: str) -> list[str]:
    return [f"{prefix}file_name" for prefix in prefixes]


def _read_lines(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if table.suffix == ".jsonl":
        yield from read_json_rows(table)
        return
    rows = read_rows(table)
    _, names = next(rows, (1, []))
    for number, fields in rows:
        yield number, dict(zip(names, [*fields, *[""] * len(names)], strict=False))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: can't be read ({error}); save the data set again") from error
    return content if isinstance(content, dict) else {}
