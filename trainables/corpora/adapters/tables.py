"""What the adapters share: rows of tables, media files by their stems, and maps from labels to classes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.corpora.files import MEDIA_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from trainables.corpora.tree import Tree
from trainables.corpora.vegas import VEGAS_CLASSES
from trainables.errors import InputError

MOST_CHARACTERS = 1_000_000
"""The longest line of a table: a longer one is no table of files."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not empty.

    Raises:
        InputError: the file can't be read, is no UTF-8, or has a line of more than `MOST_CHARACTERS`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            number = 0
            while line := file.readline(MOST_CHARACTERS + 1):
                number += 1
                if len(line) > MOST_CHARACTERS:
                    raise InputError(
                        f"{path}:{number}: has more than {MOST_CHARACTERS:,} characters, so this is not a table of "
                        "files; give a CSV or JSON-lines file"
                    )
                # VGGSound's own table has carriage returns within lines.
                if line := line.replace("\r", "").strip():
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; a table of the corpus's files is needed there") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from error


def read_rows(path: Path, *, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each row of a table; spaces around fields are left out.

    Raises:
        InputError: see `read_lines`; or a quote is not closed, or not followed by the next field.
    """
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in read_lines(path):
            numbers.append(number)
            yield line

    reader = csv.reader(texts(), delimiter=delimiter, skipinitialspace=True, strict=True)
    num_lines = 0
    try:
        for fields in reader:
            num_lines = len(numbers)
            yield numbers[-1], [field.strip() for field in fields]
    except csv.Error as error:
        # The line in which the row begins: a quote that is not closed takes in all that follow.
        raise InputError(f"{path}:{numbers[num_lines]}: {error}; close each quote, or save the table again") from error


def read_json_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the fields of each line of a file of JSON lines; fields that are null are left out.

    Raises:
        InputError: see `read_lines`; or a line is no JSON object.
    """
    for number, line in read_lines(path):
        try:
            fields: Any = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: is no JSON ({error}); one object in each line is needed") from error
        if not isinstance(fields, dict):
            raise InputError(f"{path}:{number}: is no JSON object; one in each line is needed")
        yield number, {name: str(value) for name, value in fields.items() if value is not None}


def require_columns(path: Path, number: int, fields: Sequence[str], count: int, names: str) -> None:
    """Check that a row has enough fields.

    Raises:
        InputError: it has fewer.
    """
    if len(fields) < count:
        raise InputError(f"{path}:{number}: has {len(fields)} fields; {count} are needed: {names}")


def parse_seconds(path: Path, number: int, text: str, name: str) -> float:
    """Parse a time in seconds that a row of a table has.

    Raises:
        InputError: it is not a number of at least 0 and below 1,000,000.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise InputError(
            f"{path}:{number}: {name} is {text!r}; a number of seconds, at least 0 and below 1,000,000, is needed"
        )
    return seconds


def index_media(tree: Tree, suffixes: frozenset[str] = MEDIA_SUFFIXES) -> dict[str, Path]:
    """Return the media files below the root by their stems, videos before sounds.

    Hidden files and those in hidden folders are ignored.

    Raises:
        InputError: the folder can't be read.
    """
    root = tree.roots[0]
    if not root.is_dir():
        raise InputError(f"corpus.root: {root}: no such folder; the folder of the data set is needed")
    files: dict[str, Path] = {}
    paths = [root / name for name in tree.list_files(root, suffixes=suffixes)]
    for path in sorted(paths, key=lambda path: (path.suffix.lower() not in VIDEO_SUFFIXES, path)):
        files.setdefault(path.stem, path)
    return files


def find_sound_and_picture(
    stem: str, media: Mapping[str, Path], pictures: Mapping[str, Path]
) -> tuple[Path, Path | None] | None:
    """Return the file with the sound of a stem, and its video or picture; None if there is no sound."""
    if (path := media.get(stem)) is None:
        return None
    return path, path if path.suffix.lower() in VIDEO_SUFFIXES else pictures.get(stem)


def index_pictures(tree: Tree) -> dict[str, Path]:
    """Return the pictures below the root by their stems."""
    return index_media(tree, PICTURE_SUFFIXES)


def read_classes(root: Path, classes: str) -> Mapping[str, str] | None:
    """Return the class of each label that is used; None: every label is a class of its own.

    Args:
        root: the folder of the data set.
        classes: `all`, `vegas`, or a csv file with a label and its class in each row, relative to the root.

    Raises:
        InputError: the file can't be read, or a row has no two fields.
    """
    if classes == "all":
        return None
    if classes == "vegas":
        return {label.lower(): name for name, labels in VEGAS_CLASSES.items() for label in labels}
    path = root / Path(classes).expanduser()
    class_of = {}
    for number, fields in read_rows(path):
        require_columns(path, number, fields, 2, "a label, and its class")
        class_of[fields[0].lower()] = fields[1]
    return class_of
