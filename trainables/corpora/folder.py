"""`corpus: {name: folder, root: DIR}`: any folder with one sub-folder per class."""

from __future__ import annotations

import re
from pathlib import Path

from trainables.corpora.picture_files import PICTURE_SUFFIXES
from trainables.corpora.recordings import MEDIA_SUFFIXES, VIDEO_SUFFIXES, Recording
from trainables.errors import InputError

ESC_NAME = re.compile(r"(?P<source>\d+-\d+)-[A-Z](-\d+)?")
"""ESC-10 and ESC-50 name a file fold-source-take(-class); takes of one source are one group."""


def find_recordings(root: Path) -> list[Recording]:
    """Every audio or video file below the root's sub-folders, sorted; hidden ones and other kinds are no recordings.

    Raises:
        InputError: the root is no folder.
    """
    return [
        Recording(
            name=path.relative_to(root).as_posix(),
            path=path,
            class_name=folder.name,
            group=f"{folder.name}/{_name_group(path.relative_to(folder))}",
            picture=_find_picture(path),
        )
        for folder in visible_folders(root)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in MEDIA_SUFFIXES and not _is_hidden(path.relative_to(folder)) and path.is_file()
    ]


def visible_folders(root: Path) -> list[Path]:
    """The sub-folders of a corpus's root, sorted.

    Raises:
        InputError: the root is missing, no folder or can't be read.
    """
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(Path(path.name)))
    except OSError as error:
        raise InputError(
            f"corpus.root: {root}: {error.strerror};"
            " a folder with one sub-folder of audio or video files per class is needed"
        ) from error


def _find_picture(path: Path) -> Path | None:
    """The video itself, or a picture of the same name beside a sound."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return path
    # Cameras write JPG.
    suffixes = (spelling for suffix in sorted(PICTURE_SUFFIXES) for spelling in (suffix, suffix.upper()))
    return next((beside for suffix in suffixes if (beside := path.with_suffix(suffix)).is_file()), None)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _name_group(path: Path) -> str:
    match = ESC_NAME.fullmatch(path.stem)
    return match["source"] if match else path.with_suffix("").as_posix()
