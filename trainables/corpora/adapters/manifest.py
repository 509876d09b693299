"""`corpus: {name: manifest, root: FILE}`: a table of files, as csv (.csv, .tsv) or as JSON lines (.jsonl, .ndjson).

path                       the recording; or audio_path with image_path or video_path
label                      its class
split                      train, validation (val) or test; optional
start, end                 a section of the file, in s; optional
group                      recordings of one group are in one split; by default the path; optional
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainables.corpora.adapters.tables import parse_seconds, read_json_rows, read_rows
from trainables.corpora.base import CORPORA, RootedCorpus
from trainables.corpora.files import VIDEO_SUFFIXES, Recording, format_time
from trainables.corpora.splits import Split
from trainables.corpora.tree import Tree
from trainables.errors import InputError
from trainables.support.progress import Progress

SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
JSON_SUFFIXES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
COLUMNS = ("path", "audio_path", "image_path", "video_path", "label", "split", "start", "end", "group")


@CORPORA.register("manifest")
class Manifest(RootedCorpus):
    """A table of files."""

    name: Literal["manifest"] = "manifest"
    root: Path = Field(description="a .csv, .tsv, .jsonl or .ndjson file; its paths are relative to its folder")
    allow_outside: bool = Field(False, description="whether files outside the folder of the table may be read")

    def check_root(self) -> None:
        """Check that the file is there, and has the columns that are needed."""
        next(_read(self.root.expanduser()), None)

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the rows of the table."""
        recordings = [recording for recording, _, _ in self._rows()]
        return recordings if self.allow_outside else [tree.check(recording) for recording in recordings]

    def list_roots(self) -> list[Path]:
        """Return the folder of the table."""
        return [self.root.expanduser().parent]

    def fixed_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return the splits of the table; rows without one fill up the splits that are missing."""
        return super().fixed_splits(recordings) or self._read_splits()

    def list_test_groups(self, recordings: Sequence[Recording]) -> set[str] | None:
        """Return the groups of the test rows of a table without a validation row."""
        splits = self._read_splits()
        if "test" not in splits.values() or "validation" in splits.values():
            return None
        return {group for group, split in splits.items() if split == "test"}

    def _read_splits(self) -> dict[str, Split]:
        splits: dict[str, Split] = {}
        for recording, split, number in self._rows():
            if split and splits.setdefault(recording.group, split) != split:
                raise InputError(
                    f"{self.root}:{number}: group {recording.group!r} is in split {splits[recording.group]} above, and"
                    f" in {split} here; a group is in one split"
                )
        return splits

    def _rows(self) -> list[tuple[Recording, Split | None, int]]:
        path = self.root.expanduser()
        rows: dict[str, tuple[Recording, Split | None, int]] = {}
        for number, fields in _read(path):
            recording = self._make_recording(path, number, fields)
            earlier = rows.get(recording.name, (None,))[0]
            if earlier is not None and earlier.end_s != recording.end_s:
                # Only the second section with this start is named after its end, too: names are part of a fingerprint.
                recording = replace(recording, name=f"{recording.name}-{recording.end_s or 'end'}")
            if recording.name in rows:
                raise InputError(f"{path}:{number}: {recording.name} is in line {rows[recording.name][2]} already")
            split_name = fields.get("split", "")
            if split_name and split_name not in SPLITS:
                raise InputError(f"{path}:{number}: split is {split_name!r}; one of {', '.join(SPLITS)} is needed")
            rows[recording.name] = (recording, SPLITS.get(split_name), number)
        return [rows[name] for name in sorted(rows)]

    def _make_recording(self, path: Path, number: int, fields: Mapping[str, str]) -> Recording:
        media = fields.get("path") or fields.get("audio_path") or fields.get("video_path")
        label = fields.get("label")
        if not media or not label:
            raise InputError(f"{path}:{number}: {'label' if media else 'path'} is empty; every row needs it")
        sound = self._resolve(path, number, media)
        shown = fields.get("video_path") or fields.get("image_path")
        picture = self._resolve(path, number, shown) if shown else None
        if picture is None and sound.suffix.lower() in VIDEO_SUFFIXES:
            picture = sound
        start_s = parse_seconds(path, number, fields["start"], "start") if fields.get("start") else 0.0
        end_s = parse_seconds(path, number, fields["end"], "end") if fields.get("end") else None
        if end_s is not None and end_s <= start_s:
            raise InputError(f"{path}:{number}: end {end_s:g} is not after start {start_s:g}")
        section = f"@{format_time(start_s)}" if start_s or end_s is not None else ""
        return Recording(
            f"{label}/{media}{section}", sound, label, fields.get("group") or media, picture, start_s, end_s
        )

    def _resolve(self, path: Path, number: int, name: str) -> Path:
        if "\0" in name:
            raise InputError(f"{path}:{number}: {name!r} is no path")
        file = path.parent / name
        # Links are followed later, or left out.
        named = Path(os.path.abspath(file))
        folders = (Path(os.path.abspath(path.parent)), path.parent.resolve())
        if not self.allow_outside and not any(named.is_relative_to(folder) for folder in folders):
            raise InputError(
                f"{path}:{number}: {name} is outside the folder of the table; move it there, or set"
                " corpus.allow_outside: true"
            )
        return file


def _read(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the fields of each row.

    Raises:
        InputError: the file can't be read, or columns are missing.
    """
    if path.suffix in JSON_SUFFIXES:
        yield from _read_json(path)
        return
    if path.suffix not in TABLE_SUFFIXES:
        raise InputError(f"corpus.root: {path}: a file named {' '.join((*TABLE_SUFFIXES, *JSON_SUFFIXES))} is needed")
    rows = read_rows(path, delimiter="\t" if path.suffix == ".tsv" else ",")
    _, names = next(rows, (1, []))
    _check_columns(path, 1, names)
    for number, fields in rows:
        if len(fields) > len(names):
            raise InputError(f"{path}:{number}: has {len(fields)} fields, and the first line names {len(names)}")
        yield number, dict(zip(names, fields, strict=False))


def _read_json(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, fields in read_json_rows(path):
        _check_columns(path, number, list(fields))
        yield number, fields


def _check_columns(path: Path, number: int, names: Sequence[str]) -> None:
    missing = [] if "label" in names else ["label"]
    if not {"path", "audio_path", "video_path"} & set(names):
        missing.append("path (or audio_path, or video_path)")
    if missing:
        raise InputError(
            f"{path}:{number}: has no column {' and no column '.join(missing)}; the columns are {', '.join(COLUMNS)}"
        )
