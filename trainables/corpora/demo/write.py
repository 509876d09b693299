"""The writer of the demo corpus: synthetic recordings of ten classes, as files in the layout of VEGAS.

    root/data/<class>/videos/video_00000.mp4    10 s, 128x128 pixels at 10 frames/s, with the sound
                      audios/video_00000.wav    the sound, 22,050 Hz, 16 bit, mono
                      img/video_00000.jpg       the frame in the middle
                      video_info.csv            YTID,start_second,end_second; a row a recording

The corpus shows that everything works and that models learn. Measurements on it say nothing about VEGAS.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from filelock import FileLock

from trainables.corpora.demo.recording import RECIPES, make_recording
from trainables.corpora.demo.scene import DURATION_S
from trainables.errors import InputError
from trainables.support.cache import write_whole
from trainables.support.processes import without_interrupts
from trainables.support.progress import Progress, silent

VERSION = 1
"""The generator's version. Raise it with any change that changes a byte of a recording."""


def write_demo(
    root: Path,
    *,
    recordings_per_class: int = 10,
    seed: int = 0,
    progress: Progress = silent,
    workers: int | None = None,
) -> Path:
    """Write the missing files of the demo corpus below `root`, and return `root`.

    Recording i of a class depends on the seed alone, so that a larger corpus only adds files. If the process is killed,
    the same call completes the corpus.

    Args:
        root: the folder of the corpus.
        recordings_per_class: the number of recordings of each class, at least one.
        seed: the seed; other seeds give other recordings.
        progress: is called after each recording.
        workers: the number of processes; None for all usable cores.

    Raises:
        InputError: `root` was written with another seed or version, holds other recordings, or can't be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "demo.lock"):
            _claim(root, seed)
            _write_recordings(root, recordings_per_class, seed, progress, workers or len(os.sched_getaffinity(0)))
            for name in RECIPES:
                _write_index(root / "data" / name, name, recordings_per_class)
    except OSError as error:
        cause = error.strerror or error
        raise InputError(f"{root}: can't write the demo corpus here ({cause}); choose another folder") from error
    return root


def _claim(root: Path, seed: int) -> None:
    """Write the seed and the version into `root`, and reject a root that contains anything else."""
    note = root / "demo.json"
    wanted = json.dumps({"seed": seed, "version": VERSION})
    if note.exists():
        existing = note.read_text().strip()
        if existing != wanted:
            raise InputError(
                f"{root}: was written with {existing}, asked for is {wanted}; delete it or choose another folder"
            )
    elif (root / "data").exists():
        raise InputError(
            f"{root}: has a folder data that isn't the demo corpus's (no demo.json); choose another folder"
        )
    else:
        write_whole(note, f"{wanted}\n".encode())


def _write_recordings(root: Path, recordings_per_class: int, seed: int, progress: Progress, workers: int) -> None:
    wanted = [(root, name, index) for index in range(recordings_per_class) for name in RECIPES]
    missing = [recording for recording in wanted if not _is_written(*recording)]
    for recording in missing:
        for path in _files(*recording):
            path.parent.mkdir(parents=True, exist_ok=True)
    there = len(wanted) - len(missing)
    for written, _ in enumerate(_write_in_parallel(missing, seed, min(workers, len(missing))), start=1):
        progress("writing the demo corpus", there + written, len(wanted))


def _write_in_parallel(recordings: list[tuple[Path, str, int]], seed: int, workers: int) -> Iterator[None]:
    """Write recordings in several processes, and yield after each."""
    if workers < 2:
        for recording in recordings:
            _write_recording(*recording, seed)
            yield
        return
    # Spawned, because a fork would copy locks that threads of torch and of Ray hold at that moment.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _follow_parent)
    try:
        with without_interrupts():
            futures = [pool.submit(_write_recording, *recording, seed) for recording in recordings]
        for future in as_completed(futures):
            future.result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Make this worker exit when its parent dies."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_recording(root: Path, name: str, index: int, seed: int) -> None:
    """Write the missing files of a recording, the sound last."""
    for path, content in zip(_files(root, name, index), make_recording(name, index, seed), strict=True):
        if not path.exists():
            write_whole(path, content)


def _is_written(root: Path, name: str, index: int) -> bool:
    return all(path.exists() for path in _files(root, name, index))


def _write_index(folder: Path, name: str, recordings_per_class: int) -> None:
    """Write `video_info.csv` of a class."""
    # If a larger corpus was written before, the rows of its recordings must stay.
    written = [int(path.stem.removeprefix("video_")) + 1 for path in folder.glob("audios/video_*.wav")]
    rows = (f"PROC_{name}_{index},0,{DURATION_S:.0f}\n" for index in range(max([recordings_per_class, *written])))
    content = ("YTID,start_second,end_second\n" + "".join(rows)).encode()
    path = folder / "video_info.csv"
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)


def _files(root: Path, name: str, index: int) -> tuple[Path, Path, Path]:
    """Return the paths of the mp4, jpg and wav of a recording, in the order in which they are written."""
    folder, stem = root / "data" / name, f"video_{index:05d}"
    return folder / "videos" / f"{stem}.mp4", folder / "img" / f"{stem}.jpg", folder / "audios" / f"{stem}.wav"
