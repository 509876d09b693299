"""Preparing corpora: how fast, in how much memory, how a large one is opened and grows, and what kills cost.

    python tests/benchmarks/data.py speed [--folder DIR]
    python tests/benchmarks/data.py large [--files 28000] [--clips 5]
    python tests/benchmarks/data.py kills [--folder DIR] [--kills 10]

`speed` compares a preparation in all processes with one process that decodes the same files with PyAV alone. `large`
opens a corpus of hard-linked files, and adds 100. `kills` kills a preparation again and again. Without a folder, the
videos of the demo corpus are used.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np
import psutil
import soundfile

from trainables.corpora.corpus import Corpus
from trainables.corpora.demo.write import write_demo
from trainables.corpora.opening import open_corpus
from trainables.corpora.settings import corpus_model
from trainables.corpora.shards.store import Counts
from trainables.corpora.splits import split_groups
from trainables.support.progress import silent

RATE_HZ, CLIP_SAMPLES = 22_050, 44_100
WATCH_EVERY_S = 0.2
ADDED = 100


def settings_of(root: Path) -> dict[str, str]:
    return {"name": "folder", "root": str(root)}


def link_demo_videos(folder: Path) -> Path:
    """Write the demo corpus, and link its videos as a folder of classes."""
    write_demo(folder / "demo", recordings_per_class=10, seed=0, progress=silent)
    for path in (folder / "demo").rglob("*.mp4"):
        link = folder / "videos" / path.parents[1].name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
    return folder / "videos"


def decode_alone(paths: list[Path]) -> tuple[float, float]:
    """The clips per second, and per second of its processor, of a process that decodes with PyAV alone."""
    began_s, began_cpu_s, samples = time.perf_counter(), time.process_time(), 0
    for path in paths:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                samples += sum(part.to_ndarray().size for part in resampler.resample(frame))
    clips = samples / CLIP_SAMPLES
    return clips / (time.perf_counter() - began_s), clips / (time.process_time() - began_cpu_s)


class Watch(threading.Thread):
    """The processes below this one.

    Attributes:
        most_bytes: the largest memory of one, without the pages that it shares.
        cpu_s: the processor time of each so far.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most_bytes = 0
        self.cpu_s: dict[int, float] = {}
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(WATCH_EVERY_S):
            for process in psutil.Process().children(recursive=True):
                try:
                    self.cpu_s[process.pid] = sum(process.cpu_times()[:2])
                    memory = process.memory_info()
                    self.most_bytes = max(self.most_bytes, memory.rss - memory.shared)
                except psutil.Error:
                    continue


def measure_speed(root: Path, home: Path) -> None:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    # The first preparation starts the process that the decoders are forked from.
    open_corpus(settings_of(root), home / "first")
    alone = [decode_alone(paths)]
    before = {process.pid: sum(process.cpu_times()[:2]) for process in psutil.Process().children(recursive=True)}
    watch = Watch()
    watch.start()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    corpus = open_corpus(settings_of(root), home / "second")
    clips, seconds, own_cpu_s = len(corpus.clips), time.perf_counter() - began_s, time.process_time() - began_cpu_s
    watch.is_over.set()
    cpu_s = own_cpu_s + sum(spent_s - before.get(pid, 0.0) for pid, spent_s in watch.cpu_s.items())
    alone.append(decode_alone(paths))
    cores = len(os.sched_getaffinity(0))
    wall_ratio = clips / seconds / (cores * np.mean([by_wall for by_wall, _ in alone]))
    cpu_ratio = clips / cpu_s / np.mean([by_cpu for _, by_cpu in alone])
    print(f"{len(paths)} files, {clips} clips, {cores} cores, load {os.getloadavg()[0]:.1f}")
    for (by_wall, by_cpu), when in zip(alone, ("before", "after"), strict=True):
        print(f"PyAV alone, one process, {when}: {by_wall:.0f} clips/s, {by_cpu:.0f} for each second of a processor")
    print(f"preparation: {clips / seconds:.0f} clips/s, {clips / cpu_s:.0f} for each second of a processor")
    print(f"the preparation's share: {wall_ratio:.2f} x cores x PyAV alone; {cpu_ratio:.2f} by processor time")
    print(f"largest decoder: {watch.most_bytes / 1e6:.0f} MB")


def write_large(root: Path, count: int, clips: int) -> None:
    """Ten classes of hard links to ten sounds."""
    for number in range(10):
        folder = root / f"class {number}"
        folder.mkdir(parents=True)
        sound = 0.1 * np.random.default_rng(number).standard_normal(2 * clips * RATE_HZ)
        soundfile.write(folder / "00000.wav", sound, RATE_HZ)
        for index in range(1, count // 10):
            os.link(folder / "00000.wav", folder / f"{index:05d}.wav")


def measure_large(root: Path, home: Path, count: int, clips: int) -> None:
    write_large(root, count, clips)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    recordings = corpus_model(settings_of(root))(**settings_of(root)).list_recordings(home, silent)
    groups: dict[str, list[str]] = {}
    for recording in recordings:
        groups.setdefault(recording.class_name, []).append(recording.group)
    split_groups(groups)
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    print(f"listing and splitting {len(recordings)} files: {seconds:.1f} s, {cpu_s:.1f} s of a processor")
    began_s = time.perf_counter()
    corpus = open_corpus(settings_of(root), home)
    print(f"preparing {len(corpus.clips)} clips: {time.perf_counter() - began_s:.0f} s")
    print(
        subprocess.run(
            [sys.executable, __file__, "open", str(root), str(home)], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    before = splits_of(corpus)
    for index in range(ADDED):
        path = root / f"class {index % 10}" / f"added {index}.wav"
        os.link(root / f"class {index % 10}" / "00000.wav", path)
    counts: list[Counts] = []
    began_s = time.perf_counter()
    grown = open_corpus(settings_of(root), home, observe=counts.append)
    seconds = time.perf_counter() - began_s
    moved = sum(splits_of(grown)[name] != split for name, split in before.items())
    print(
        f"adding {ADDED} files: {counts[-1].total - counts[0].files} decoded in {seconds:.1f} s, {moved} moved splits"
    )


def splits_of(corpus: Corpus) -> dict[str, str]:
    return dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True))


def open_once(root: Path, home: Path) -> None:
    process = psutil.Process()
    before_bytes, began_s, began_cpu_s = process.memory_info().rss, time.perf_counter(), time.process_time()
    corpus = open_corpus(settings_of(root), home)
    waveforms = corpus.waveforms()
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    grown_mb = (process.memory_info().rss - before_bytes) / 1e6
    print(
        f"opening {waveforms.shape[0]} prepared clips: {seconds:.2f} s, {cpu_s:.2f} s of a processor, {grown_mb:.0f} MB"
    )


def measure_kills(root: Path, home: Path, kills: int) -> None:
    rng, done, again, num_kills = random.Random(0), 0, 0, 0
    while True:
        command = [sys.executable, __file__, "prepare", str(root), str(home)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines: list[int] = []
        patience = rng.randint(2, 12)
        for line in child.stdout:
            lines.append(int(line))
            if num_kills < kills and len(lines) > patience:
                child.kill()
                break
        rest = [int(line) for line in child.stdout]
        child.wait()
        # What was reported as done is done at the next start.
        again += max(0, done - lines[0]) if lines else 0
        done = (lines + rest)[-1] if lines else done
        if child.returncode == 0:
            break
        num_kills += 1
    corpus = open_corpus(settings_of(root), home)
    whole = open_corpus(settings_of(root), home / "undisturbed")
    is_equal = np.array_equal(np.asarray(corpus.waveforms()), np.asarray(whole.waveforms()))
    print(
        f"{num_kills} kills: {again} of {done} finished files were decoded again;"
        f" clips equal to the undisturbed ones: {is_equal}"
    )


def prepare_aloud(root: Path, home: Path) -> None:
    open_corpus(settings_of(root), home, observe=lambda counts: print(counts.files, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "large", "kills", "open", "prepare"))
    parser.add_argument("places", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--files", type=int, default=28_000)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    if options.what in ("open", "prepare"):
        {"open": open_once, "prepare": prepare_aloud}[options.what](*options.places)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "large":
            measure_large(folder / "large", folder / "home", options.files, options.clips)
            return
        root = options.folder or link_demo_videos(folder)
        if options.what == "speed":
            measure_speed(root, folder / "home")
        else:
            measure_kills(root, folder / "home", options.kills)


if __name__ == "__main__":
    main()
