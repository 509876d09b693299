"""What is seen while a clip sounds: the frame in its middle, and how much moves during it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from PIL import Image

from trainables.components.audio.clip import CLIP_S
from trainables.corpora.picture_files import PICTURE_SUFFIXES, crop_square, read_picture
from trainables.corpora.splits import digest
from trainables.errors import InputError
from trainables.support.cache import write_once
from trainables.support.parallel import map_in_parallel
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

MOTION_HZ = 10
MOTION_STEPS = int(CLIP_S * MOTION_HZ)
MOTION_PX = 32

Pictures = UInt8[np.ndarray, "clips 3 size size"]
Motion = Float32[np.ndarray, "clips 20"]


@dataclass(frozen=True)
class Shown:
    """A recording's file and the clips that are seen in it."""

    path: Path
    starts_s: tuple[float, ...]


def open_pictures(corpus: Corpus, size: int, progress: Progress = silent) -> Pictures:
    """A picture of every clip as a memory map; black where none can be read (`visible` says of which)."""

    def make(path: Path) -> None:
        pictures = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(corpus.clips), 3, size, size))
        rows, shown = _list_shown(corpus)
        work = map_in_parallel(partial(_read_pictures, size=size), shown, "reading the corpus's pictures", progress)
        for clips, frames in zip(rows, work, strict=True):
            if frames is not None:
                pictures[clips] = frames
        pictures.flush()

    pictures: Pictures = np.load(write_once(corpus.folder / f"pictures-{size}-{digest_sources(corpus)}.npy", make), "r")
    return pictures


def open_motion(corpus: Corpus, progress: Progress = silent) -> Motion:
    """How much each clip's picture changes, ten times a second: the mean difference between frames, in 0..1; not a
    number where there is no video."""

    def make(path: Path) -> None:
        motion = np.full((len(corpus.clips), MOTION_STEPS), np.nan, np.float32)
        rows, shown = _list_shown(corpus)
        work = map_in_parallel(_measure_motion, shown, "reading the corpus's motion", progress)
        for clips, recording_motion in zip(rows, work, strict=True):
            if recording_motion is not None:
                motion[clips] = recording_motion
        with path.open("wb") as file:
            np.save(file, motion)

    motion: Motion = np.load(write_once(corpus.folder / f"motion-{digest_sources(corpus)}.npy", make))
    return motion


def select_visible(
    corpus: Corpus, pictures: Pictures, clips: NDArray[np.int64], *, required: bool = True
) -> NDArray[np.int64]:
    """Those of some clips that have a picture.

    Raises:
        InputError: none has, and some are required.
    """
    visible_clips = np.array([clip for clip in clips if pictures[clip].any()], np.int64)
    if required and not len(visible_clips):
        raise InputError(
            f"corpus {corpus.name} has no picture that can be read; sound and image together need videos, or a picture"
            " of the same name beside each sound"
        )
    return visible_clips


def _list_shown(corpus: Corpus) -> tuple[list[NDArray[np.intp]], list[Shown]]:
    """The recordings that can be seen: the rows of their clips, and where to look."""
    recordings = corpus.clips["recording"].to_numpy(str)
    starts_s = corpus.clips["start_s"].to_numpy(float)
    names = [name for name in dict.fromkeys(recordings.tolist()) if name in corpus.pictures]
    order = np.argsort(recordings, kind="stable")
    ends = np.searchsorted(recordings, names, side="right", sorter=order)
    starts = np.searchsorted(recordings, names, side="left", sorter=order)
    rows = [order[start:end] for start, end in zip(starts, ends, strict=True)]
    return rows, [
        Shown(corpus.pictures[name], tuple(starts_s[clip_rows])) for name, clip_rows in zip(names, rows, strict=True)
    ]


def digest_sources(corpus: Corpus) -> str:
    """Tells these files from others of the same names."""
    stats = ((name, path.suffix, path.stat()) for name, path in sorted(corpus.pictures.items()))
    return digest("\n".join(f"{name} {suffix} {stat.st_size} {stat.st_mtime_ns}" for name, suffix, stat in stats))[:12]


def _read_pictures(shown: Shown, size: int) -> Pictures | None:
    """The picture of each clip; None where the file can't be read."""
    if shown.path.suffix.lower() in PICTURE_SUFFIXES:
        try:
            return np.stack([read_picture(shown.path, size)] * len(shown.starts_s))
        except InputError:
            return None
    return read_frames(shown.path, [start + CLIP_S / 2 for start in shown.starts_s], size)


def _measure_motion(shown: Shown) -> Motion | None:
    if shown.path.suffix.lower() in PICTURE_SUFFIXES:
        return None
    steps = np.arange(-1, MOTION_STEPS) + 0.5
    times_s = [start + step / MOTION_HZ for start in shown.starts_s for step in steps]
    frames = read_frames(shown.path, times_s, MOTION_PX)
    if frames is None:
        return None
    greys = frames.astype(np.float32).mean(axis=1).reshape(len(shown.starts_s), len(steps), -1)
    motion: Motion = np.abs(np.diff(greys, axis=1)).mean(axis=2) / 255
    return motion


def read_frames(path: Path, times_s: list[float], size: int) -> Pictures | None:
    """The frame of a video that is seen at each time, the last one behind its end; None where it can't be read."""
    order = np.argsort(times_s, kind="stable")
    picture_by_index: dict[int, UInt8[np.ndarray, "3 size size"]] = {}
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return None
            # The sound, and so the clips, count from here; in some containers it isn't zero.
            begin_s = (container.start_time or 0) / av.time_base
            waiting, last = [int(index) for index in order], None
            for frame in container.decode(video=0):
                while waiting and last is not None and (frame.time or 0.0) - begin_s > times_s[waiting[0]]:
                    picture_by_index[waiting.pop(0)] = _crop_frame(last, size)
                if not waiting:
                    break
                last = frame
            if last is not None:
                picture_by_index |= dict.fromkeys(waiting, _crop_frame(last, size))
    except (av.FFmpegError, OSError, ValueError):
        return None
    return np.stack([picture_by_index[index] for index in range(len(times_s))]) if picture_by_index else None


def _crop_frame(frame: av.VideoFrame, size: int) -> UInt8[np.ndarray, "3 size size"]:
    return crop_square(Image.fromarray(frame.to_ndarray(format="rgb24")), size)
