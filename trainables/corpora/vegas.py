"""The layout of `corpus: {name: vegas, root: DIR}`: VEGAS (Zhou et al., CVPR 2018) as it is distributed.

<class>/videos/video_00000.mp4
<class>/audios/video_00000.wav      its sound is used instead of the video's
<class>/img/video_00000.jpg         the picture of a recording without a video
<class>/video_info.csv              YTID,start_second,end_second; row n, from 0, is of video_0000n
"""

from __future__ import annotations

import csv
from pathlib import Path

from trainables.corpora.files import Recording
from trainables.corpora.folder import visible_folders
from trainables.corpora.tree import Tree
from trainables.errors import InputError


def find_recordings(tree: Tree) -> list[Recording]:
    """Return every recording, sorted.

    Raises:
        InputError: there is no VEGAS at the root.
    """
    return [recording for folder in class_folders(tree.roots[0]) for recording in _find_in_class(folder, tree)]


def class_folders(root: Path) -> list[Path]:
    """Return the folders of the classes, sorted: those in the root, in its `data` or in its `VEGAS/data`.

    Raises:
        InputError: there is no VEGAS at the root.
    """
    for data in (root, root / "data", root / "VEGAS" / "data"):
        if data.is_dir() and (folders := [folder for folder in visible_folders(data) if _is_class(folder)]):
            return folders
    raise InputError(
        f"corpus.root: {root}: no VEGAS here; <class>/videos/*.mp4 or <class>/audios/*.wav"
        " is looked for in it, in data/ and in VEGAS/data/"
    )


def _is_class(folder: Path) -> bool:
    return (folder / "videos").is_dir() or (folder / "audios").is_dir()


def _find_in_class(folder: Path, tree: Tree) -> list[Recording]:
    videos, sounds, pictures = (
        {
            Path(name).stem: folder / kind / name
            for name in tree.list_files(folder / kind, folder.name)
            if name.endswith(suffix) and "/" not in name
        }
        for kind, suffix in (("videos", ".mp4"), ("audios", ".wav"), ("img", ".jpg"))
    )
    files = videos | sounds
    pictures |= videos
    ids = _read_video_ids(folder / "video_info.csv")
    return [
        Recording(
            name=f"{folder.name}/{stem}",
            path=files[stem],
            class_name=folder.name,
            group=ids.get(stem, f"{folder.name}/{stem}"),
            picture=pictures.get(stem),
        )
        for stem in sorted(files)
    ]


def _read_video_ids(table: Path) -> dict[str, str]:
    """Return the id of the YouTube video that each file was cut from; files of one video may be in several classes."""
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {f"video_{row:05d}": line["YTID"] for row, line in enumerate(csv.DictReader(file)) if line.get("YTID")}
