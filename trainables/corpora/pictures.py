"""The pictures of clips: the frame in the middle of each, and the motion during it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import av
import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from PIL import Image

from trainables.components.audio.clip import ClipFormat
from trainables.components.audio.sizes import FRAMES
from trainables.corpora.files import PICTURE_SUFFIXES
from trainables.corpora.picture_files import crop_square, read_picture
from trainables.corpora.shards.array import ShardedArray, open_places, write_places
from trainables.corpora.shards.decoded import Decoded, can_be_read
from trainables.corpora.shards.store import Observe, Placed, ShardStore, Wanted
from trainables.corpora.splits import digest
from trainables.errors import InputError
from trainables.support.cache import write_once
from trainables.support.parallel import map_in_parallel
from trainables.support.progress import Progress, silent

MOTION_STEPS = 20
"""The number of times in a clip of the usual 192 frames at which motion is measured, 0.1 s apart in one of 2 s."""
PICTURES_VERSION = 1
"""Raise it with any change of the pictures of a recording: they are read anew."""
MOTION_PX = 32
"""The side of the frames that motion is measured on."""

Pictures = UInt8[np.ndarray, "clips 3 size size"]
Motion = Float32[np.ndarray, "clips steps"]


@runtime_checkable
class HasPictures(Protocol):
    """What is read of a `Corpus` here; `Corpus.frames` uses this module, so that it can't import that one."""

    @property
    def name(self) -> str:
        """The name in messages."""

    @property
    def folder(self) -> Path:
        """The folder in the cache."""

    @property
    def source(self) -> str:
        """The name of the source of the recordings."""

    @property
    def clip_format(self) -> ClipFormat:
        """The format of every clip."""

    @property
    def clips(self) -> pd.DataFrame:
        """The table of clips."""

    @property
    def pictures(self) -> Mapping[str, Path]:
        """The video or picture of each recording, by the recording's name."""

    @property
    def pictures_digest(self) -> str:
        """The digest of their files, where these are on another machine."""


@dataclass(frozen=True)
class Shown:
    """The picture or video of a recording, and the starts and the length of its clips."""

    path: Path
    starts_s: tuple[float, ...]
    clip_s: float

    @property
    def key(self) -> str:
        """The state of the file, and the times of its clips.

        Raises:
            OSError: the file is gone.
        """
        stat = self.path.stat()
        times = digest(" ".join(map(str, self.starts_s)))[:12]
        return f"{self.path.suffix} {stat.st_size} {stat.st_mtime_ns} {times}"


def open_pictures(corpus: HasPictures, size: int, progress: Progress = silent) -> ShardedArray:
    """Open a picture of every clip, of shape (clips, 3, size, size); the first time, the files are read.

    The picture of a clip is the frame in its middle or, without a video, the recording's picture. Clips without a
    readable picture are black; `select_visible` leaves them out.

    Args:
        corpus: the corpus.
        size: the side in pixels.
        progress: is called while files are read.
    """
    store = _open_store(corpus.folder.parents[1], corpus.source, corpus.clip_format, size)
    path = store.places_of(corpus.folder, digest_sources(corpus))
    if (pictures := open_places(path, store)) is not None:
        return pictures
    names, rows, sources = _list_shown(corpus)
    wanted = [Wanted(name, source.key, source) for name, source in zip(names, sources, strict=True)]
    places = store.prepare(wanted, partial(_decode_pictures, size=size), _report_to(progress), _has_changed)
    by_clip: list[tuple[Placed | None, int]] = [(None, 0)] * len(corpus.clips)
    for clips, task in zip(rows, wanted, strict=True):
        if not (place := places[task.name]).entry.problem:
            for index, clip in enumerate(clips):
                by_clip[clip] = (place, index)
    write_places(path, by_clip)
    opened = open_places(path, store)
    assert opened is not None
    return opened


def _open_store(home: Path, source: str, clip_format: ClipFormat, size: int) -> ShardStore:
    """Return the shards of the pictures of a source in one size; clips of another format have other pictures."""
    name = digest(f"{source} {PICTURES_VERSION}{clip_format.name}")[:12]
    return ShardStore(home / "cache" / f"pictures-{size}-{name}", (3, size, size), np.uint8)


def find_stores(home: Path, source: str, clip_format: ClipFormat) -> list[ShardStore]:
    """Return the shards of the pictures of a source in each size that was used."""
    pattern = _open_store(home, source, clip_format, 0).folder.name.replace("-0-", "-*-")
    sizes = sorted(int(folder.name.split("-")[1]) for folder in (home / "cache").glob(pattern))
    return [_open_store(home, source, clip_format, size) for size in sizes]


def _report_to(progress: Progress) -> Observe:
    return lambda counts: progress("reading the corpus's pictures", counts.files, counts.total)


def _has_changed(task: Wanted[Shown]) -> bool:
    try:
        return task.value.key != task.key
    except OSError:
        return True


def _decode_pictures(shown: Shown, size: int) -> Decoded:
    pictures = _read_pictures(shown, size)
    if pictures is None:
        problem, is_passing = "no picture that can be read", not can_be_read(shown.path)
        return Decoded(np.empty((0, 3, size, size), np.uint8), (), problem, is_passing)
    return Decoded(pictures, shown.starts_s)


def open_motion(corpus: HasPictures, progress: Progress = silent) -> Motion:
    """Return the motion in the video of every clip; the first time, it is computed and cached.

    Args:
        corpus: the corpus.
        progress: is called while videos are read.

    Returns:
        Shape (clips, steps): the mean absolute difference between frames a step apart, in 0..1; a clip of the usual
        length has `MOTION_STEPS`, and a longer one more. NaN for clips without a video.
    """

    def make(path: Path) -> None:
        num_steps = MOTION_STEPS * corpus.clip_format.frames // FRAMES
        motion = np.full((len(corpus.clips), num_steps), np.nan, np.float32)
        _, rows, shown = _list_shown(corpus)
        work = map_in_parallel(
            partial(_measure_motion, num_steps=num_steps), shown, "reading the corpus's motion", progress
        )
        for clips, recording_motion in zip(rows, work, strict=True):
            if recording_motion is not None:
                motion[clips] = recording_motion
        with path.open("wb") as file:
            np.save(file, motion)

    motion: Motion = np.load(write_once(corpus.folder / f"motion-{digest_sources(corpus)}.npy", make))
    return motion


def select_visible(
    corpus: HasPictures, pictures: ShardedArray, clips: NDArray[np.int64], *, required: bool = True
) -> NDArray[np.int64]:
    """Return those of some clips that have a picture, which may be black.

    Args:
        corpus: the corpus, which the error message names.
        pictures: the pictures of all clips.
        clips: rows of `corpus.clips`.
        required: whether it is an error if none has a picture.

    Raises:
        InputError: no clip has a picture.
    """
    visible_clips = clips[~pictures.is_absent[clips]]
    if required and not len(visible_clips):
        raise InputError(
            f"corpus {corpus.name} has no picture that can be read; sound and image together need videos, or a picture"
            " of the same name beside each sound"
        )
    return visible_clips


def _list_shown(corpus: HasPictures) -> tuple[list[str], list[NDArray[np.intp]], list[Shown]]:
    """Return the recordings that have a picture or video: their names, the rows of their clips, and the files."""
    recordings = corpus.clips["recording"].to_numpy(str)
    starts_s = corpus.clips["start_s"].to_numpy(float)
    names = [name for name in dict.fromkeys(recordings.tolist()) if name in corpus.pictures]
    order = np.argsort(recordings, kind="stable")
    ends = np.searchsorted(recordings, names, side="right", sorter=order)
    starts = np.searchsorted(recordings, names, side="left", sorter=order)
    rows = [order[start:end] for start, end in zip(starts, ends, strict=True)]
    return (
        names,
        rows,
        [
            Shown(corpus.pictures[name], tuple(starts_s[clip_rows]), corpus.clip_format.clip_s)
            for name, clip_rows in zip(names, rows, strict=True)
        ],
    )


def digest_sources(corpus: HasPictures) -> str:
    """Return a digest of the names, sizes and times of the picture files, which changes with any of them."""
    if corpus.pictures_digest:
        return corpus.pictures_digest
    stats = ((name, path.suffix, path.stat()) for name, path in sorted(corpus.pictures.items()))
    return digest("\n".join(f"{name} {suffix} {stat.st_size} {stat.st_mtime_ns}" for name, suffix, stat in stats))[:12]


def _read_pictures(shown: Shown, size: int) -> Pictures | None:
    """Return the picture of each clip; None if the file can't be read."""
    if shown.path.suffix.lower() in PICTURE_SUFFIXES:
        try:
            return np.stack([read_picture(shown.path, size)] * len(shown.starts_s))
        except InputError:
            return None
    return read_frames(shown.path, [start + shown.clip_s / 2 for start in shown.starts_s], size)


def _measure_motion(shown: Shown, num_steps: int) -> Motion | None:
    """Return the motion of each clip; None without a video."""
    if shown.path.suffix.lower() in PICTURE_SUFFIXES:
        return None
    steps = np.arange(-1, num_steps) + 0.5
    times_s = [start + step * shown.clip_s / num_steps for start in shown.starts_s for step in steps]
    frames = read_frames(shown.path, times_s, MOTION_PX)
    if frames is None:
        return None
    greys = frames.astype(np.float32).mean(axis=1).reshape(len(shown.starts_s), len(steps), -1)
    motion: Motion = np.abs(np.diff(greys, axis=1)).mean(axis=2) / 255
    return motion


def read_frames(path: Path, times_s: list[float], size: int) -> Pictures | None:
    """Return the frame that a video shows at each time; None if the video can't be read.

    Args:
        path: the video.
        times_s: times in any order; after the end of the video, its last frame is returned.
        size: the side of the returned squares in pixels.
    """
    order = np.argsort(times_s, kind="stable")
    picture_by_index: dict[int, UInt8[np.ndarray, "3 size size"]] = {}
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return None
            # The sound, and so the clips, start at this time, which is not zero in some containers.
            begin_s = (container.start_time or 0) / av.time_base
            waiting = [int(index) for index in order]
            last: av.VideoFrame | None = None
            for frame in container.decode(video=0):
                # A frame is shown until the next one starts.
                while waiting and last is not None and (frame.time or 0.0) - begin_s > times_s[waiting[0]]:
                    picture_by_index[waiting.pop(0)] = _crop_frame(last, size)
                if not waiting:
                    break
                last = frame
            if last is not None:
                picture_by_index |= dict.fromkeys(waiting, _crop_frame(last, size))
    except (av.FFmpegError, OSError, ValueError):
        return None
    if not picture_by_index:
        return None
    return np.stack([picture_by_index[index] for index in range(len(times_s))])


def _crop_frame(frame: av.VideoFrame, size: int) -> UInt8[np.ndarray, "3 size size"]:
    # A telephone that was held upright stores the rotation beside the frame; a quarter turn loses nothing.
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    return crop_square(Image.fromarray(np.ascontiguousarray(pixels)), size)
