"""The layout of `corpus: {name: folder, root: DIR}`: any folder with one sub-folder per class."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trainables.corpora.files import MEDIA_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES, Recording
from trainables.corpora.tree import Tree
from trainables.errors import InputError

ESC_NAME = re.compile(r"(?P<source>\d+-\d+)-[A-Z](-\d+)?")
"""The file names of ESC-10 and ESC-50: fold-source-take(-class). Takes of one source are one group."""


def find_recordings(tree: Tree) -> list[Recording]:
    """Return every audio or video file below the root's sub-folders, sorted; hidden files and folders are ignored.

    Raises:
        InputError: the root can't be read as a folder.
    """
    recordings = []
    for folder in visible_folders(tree.roots[0]):
        files = tree.list_files(folder, folder.name)
        # Sorted by parts, as paths are.
        for parts in sorted(tuple(name.split("/")) for name in files if _suffix(name) in MEDIA_SUFFIXES):
            inner_path = Path(*parts)
            recordings.append(
                Recording(
                    name=f"{folder.name}/{'/'.join(parts)}",
                    path=folder / inner_path,
                    class_name=folder.name,
                    group=f"{folder.name}/{_name_group(inner_path)}",
                    picture=find_picture(folder, "/".join(parts), files),
                )
            )
    return recordings


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def find_picture(folder: Path, name: str, files: set[str]) -> Path | None:
    """Return a video itself, or the picture of the same name as a sound; None if there is none.

    Args:
        folder: the folder in which it is looked for.
        name: the path of the video or sound, relative to a folder.
        files: what `Tree.list_files` lists of the folder.
    """
    if _suffix(name) in VIDEO_SUFFIXES:
        return folder / name
    stem = os.path.splitext(name)[0]
    # Cameras write suffixes in capitals.
    spellings = (spelling for suffix in sorted(PICTURE_SUFFIXES) for spelling in (suffix, suffix.upper()))
    return next((folder / f"{stem}{spelling}" for spelling in spellings if f"{stem}{spelling}" in files), None)


def visible_folders(root: Path, setting: str = "root") -> list[Path]:
    """Return the sub-folders of a corpus's root, sorted, without hidden ones.

    Args:
        root: the folder.
        setting: the corpus's setting that names it, for the error message.

    Raises:
        InputError: the root is missing, is no folder or can't be read.
    """
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(Path(path.name)))
    except OSError as error:
        raise InputError(
            f"corpus.{setting}: {root}: {error.strerror};"
            " a folder with one sub-folder of audio or video files per class is needed"
        ) from error


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _name_group(path: Path) -> str:
    match = ESC_NAME.fullmatch(path.stem)
    return match["source"] if match else path.with_suffix("").as_posix()
