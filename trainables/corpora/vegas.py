"""The layout of `corpus: {name: vegas, root: DIR}`: VEGAS (Zhou et al., CVPR 2018) as it is distributed.

<class>/videos/video_00000.mp4
<class>/audios/video_00000.wav      its sound is used instead of the video's
<class>/img/video_00000.jpg         the picture of a recording without a video
<class>/video_info.csv              YTID,start_second,end_second; row n, from 0, is of video_0000n
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from trainables.corpora.files import Recording
from trainables.corpora.folder import visible_folders
from trainables.corpora.tree import Tree
from trainables.errors import InputError

VEGAS_CLASSES = {
    "baby_cry": ("Baby cry, infant cry", "baby babbling", "baby crying", "infant crying"),
    "chainsaw": ("Chainsaw", "chainsawing trees"),
    "dog": ("Dog", "Bark", "dog barking", "dog bow-wow", "Bow-wow"),
    "drum": ("Drum", "Drum kit", "Snare drum", "Bass drum", "playing drum kit", "playing snare drum"),
    "fireworks": ("Fireworks", "fireworks banging"),
    "helicopter": ("Helicopter", "helicopter"),
    "printer": ("Printer", "printer printing"),
    "rail_transport": ("Rail transport", "Train", "railroad car, train wagon", "train wheels squealing"),
    "snoring": ("Snoring", "people snoring"),
    "water_flowing": ("Water", "Stream", "stream burbling", "waterfall burbling"),
}
"""The ten classes of VEGAS, each with the labels of AudioSet and VGGSound that mean it."""
SPELLINGS = {
    "printers": "printer",
    "human_snoring": "snoring",
    "baby_cry_infant_cry": "baby_cry",
    "baby_crying": "baby_cry",
    "drums": "drum",
    "firework": "fireworks",
    "helicopters": "helicopter",
    "chainsaws": "chainsaw",
    "dogs": "dog",
}
"""Names that folders of VEGAS's classes have in copies of it, in small letters with underscores."""
ROOTS = ("", "data", "VEGAS", "VEGAS/data", "VEGAS/VEGAS/data")
"""Where the folders of the classes may be, below the root."""


def find_recordings(tree: Tree) -> list[Recording]:
    """Return every recording, sorted.

    Raises:
        InputError: there is no VEGAS at the root.
    """
    return [recording for folder in class_folders(tree.roots[0]) for recording in _find_in_class(folder, tree)]


def class_folders(root: Path) -> list[Path]:
    """Return the folders of the classes, sorted: those in the first of `ROOTS` that has some.

    Raises:
        InputError: there is no VEGAS at the root.
    """
    for data in (root / inner for inner in ROOTS):
        if data.is_dir() and (folders := [folder for folder in visible_folders(data) if _is_class(folder)]):
            return folders
    raise InputError(
        f"corpus.root: {root}: no VEGAS here; <class>/videos/*.mp4 or <class>/audios/*.wav"
        f" is looked for in it, and in {', '.join(ROOTS[1:])} below it"
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
            class_name=name_class(folder.name),
            group=ids.get(stem, f"{folder.name}/{stem}"),
            picture=pictures.get(stem),
        )
        for stem in sorted(files)
    ]


def name_class(folder: str) -> str:
    """Return VEGAS's own name of a class for the name of its folder; another name is returned as it is."""
    spelling = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    name = SPELLINGS.get(spelling, spelling)
    return name if name in VEGAS_CLASSES else folder


def read_test_groups(path: Path, recordings: Sequence[Recording]) -> set[str]:
    """Return the groups of the recordings that a test list names.

    Args:
        path: the list, with a recording in each line: its class and video, such as `dog/video_00012`,
            `dog/videos/video_00012.mp4` or `dog,video_00012`; or the id of its video on YouTube.
        recordings: the recordings that there are. Those that only the list names are ignored.

    Raises:
        InputError: the list can't be read, or names none of them.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise InputError(
            f"corpus.test_list: {path}: {reason}; a text with a recording in each line is needed"
        ) from error
    named = {_name_recording(line) for line in lines}
    groups = {
        recording.group
        for recording in recordings
        if not named.isdisjoint({recording.group, (recording.class_name, recording.path.stem)})
    }
    if not groups:
        raise InputError(
            f"corpus.test_list: {path}: names none of the {len(recordings)} recordings; lines such as dog/video_00012"
            " are needed"
        )
    return groups


def _name_recording(line: str) -> str | tuple[str, str]:
    """Return the class and the video of a line, or the id that it is."""
    parts = line.replace(",", "/").split("/")
    return (name_class(parts[0].strip()), Path(parts[-1].strip()).stem) if len(parts) > 1 else line


def _read_video_ids(table: Path) -> dict[str, str]:
    """Return the id of the YouTube video that each file was cut from; files of one video may be in several classes."""
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {f"video_{row:05d}": line["YTID"] for row, line in enumerate(csv.DictReader(file)) if line.get("YTID")}
