"""The layout of `corpus: {name: folder, root: DIR}`: any folder with one sub-folder per class."""

from __future__ import annotations

import re
from pathlib import Path

from trainables.corpora.files import MEDIA_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES, Recording
from trainables.errors import InputError

ESC_NAME = re.compile(r"(?P<source>\d+-\d+)-[A-Z](-\d+)?")
"""The file names of ESC-10 and ESC-50: fold-source-take(-class). Takes of one source are one group."""


def find_recordings(root: Path) -> list[Recording]:
    """Return every audio or video file below the root's sub-folders, sorted; hidden files and folders are ignored.

    Raises:
        InputError: the root can't be read as a folder.
    """
    recordings = []
    for folder in visible_folders(root):
        for path in sorted(folder.rglob("*")):
            inner_path = path.relative_to(folder)
            if path.suffix.lower() not in MEDIA_SUFFIXES or _is_hidden(inner_path) or not path.is_file():
                continue
            recordings.append(
                Recording(
                    name=path.relative_to(root).as_posix(),
                    path=path,
                    class_name=folder.name,
                    group=f"{folder.name}/{_name_group(inner_path)}",
                    picture=find_picture(path),
                )
            )
    return recordings


def visible_folders(root: Path) -> list[Path]:
    """Return the sub-folders of a corpus's root, sorted, without hidden ones.

    Raises:
        InputError: the root is missing, is no folder or can't be read.
    """
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(Path(path.name)))
    except OSError as error:
        raise InputError(
            f"corpus.root: {root}: {error.strerror};"
            " a folder with one sub-folder of audio or video files per class is needed"
        ) from error


def find_picture(path: Path) -> Path | None:
    """Return a video itself, or the picture of the same name beside a sound; None if there is none."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return path
    for suffix in sorted(PICTURE_SUFFIXES):
        # Cameras write suffixes in capitals.
        for spelling in (suffix, suffix.upper()):
            if (picture := path.with_suffix(spelling)).is_file():
                return picture
    return None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _name_group(path: Path) -> str:
    match = ESC_NAME.fullmatch(path.stem)
    return match["source"] if match else path.with_suffix("").as_posix()
