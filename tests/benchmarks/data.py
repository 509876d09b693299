"""Corpora: how fast they are prepared, in how much memory, how a large one is opened and grows, what kills cost, and
how fast clips are streamed.

    python tests/benchmarks/data.py speed [--folder DIR]
    python tests/benchmarks/data.py large [--files 28000] [--clips 5]
    python tests/benchmarks/data.py kills [--folder DIR] [--kills 10]
    python tests/benchmarks/data.py stream [--clips 20000] [--repeats 5] [--home DIR]

`speed` compares a preparation in all processes with one process that decodes the same files with PyAV alone. `large`
opens a corpus of hard-linked files, and adds 100. `kills` kills a preparation again and again. Without a folder, the
videos of the demo corpus are used. `stream` compares epochs whose clips are streamed with epochs whose clips are in
memory, in turns: of reading alone, and of training the VAE of vae.yaml on the demo corpus, which `--home` may have.
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
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import psutil
import soundfile
import torch

from trainables.autoencoder.trainable import Autoencoder
from trainables.components.training.batches import Batches
from trainables.corpora.corpus import Corpus
from trainables.corpora.demo.write import write_demo
from trainables.corpora.opening import open_corpus
from trainables.corpora.settings import corpus_model
from trainables.corpora.shards.rows import SplitRows
from trainables.corpora.shards.store import Counts
from trainables.corpora.splits import split_groups
from trainables.support.progress import silent

RATE_HZ, CLIP_SAMPLES = 22_050, 44_100
WATCH_EVERY_S = 0.2
ADDED = 100
BATCH_CLIPS = 64


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


def read_epoch(array: np.ndarray, *, streamed: bool) -> tuple[float, float]:
    """The clips per second of an epoch that only reads, and the milliseconds until its first batch."""
    rows = SplitRows(
        array, np.arange(len(array)), torch.device("cpu"), most_bytes=0 if streamed else 1 << 40, keep=not streamed
    )
    batches = Batches([rows], BATCH_CLIPS, torch.Generator().manual_seed(0))
    began_s = time.perf_counter()
    epoch = batches.epoch()
    next(epoch)
    first_s = time.perf_counter() - began_s
    for _ in epoch:
        pass
    return len(array) / (time.perf_counter() - began_s), 1000 * first_s


def drop_pages(path: Path) -> None:
    """Let the kernel forget a file, which must not be mapped, so that it is read from the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_reading(folder: Path, num_clips: int, repeats: int) -> None:
    path = folder / "features.npy"
    made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(num_clips, 48, 128))
    for start in range(0, num_clips, 1000):
        made[start : start + 1000] = np.random.default_rng(start).standard_normal(made[start : start + 1000].shape)
    made.flush()
    del made
    speeds: dict[str, list[float]] = {"in memory": [], "streamed from the page cache": [], "streamed from the disk": []}
    for _ in range(repeats):
        for how, of_epochs in speeds.items():
            if how.endswith("disk"):
                drop_pages(path)
            speed, first_ms = read_epoch(np.load(path, mmap_mode="r"), streamed=how != "in memory")
            of_epochs.append(speed)
            print(f"  {how}: {speed:.0f} clips/s, the first batch after {first_ms:.0f} ms")
    print(f"reading alone, {num_clips} clips of 48x128, {path.stat().st_size / 1e6:.0f} MB, {repeats} epochs each:")
    for how, of_epochs in speeds.items():
        ratios = np.divide(of_epochs, speeds["in memory"])
        print(f"{how}: {np.median(of_epochs):.0f} clips/s, {np.median(ratios):.2f} of in memory")


def measure_training(home: Path, repeats: int) -> None:
    """Epochs of training alone, without the validation that a trial has in its epochs."""
    corpus = open_corpus({"name": "demo"}, home)
    config = Autoencoder.Config(loss="vae", linear_path="pca", time_roll=True)
    in_memory, streamed = (
        Autoencoder(config, source, device="cpu", seed=0) for source in (corpus, replace(corpus, in_memory_bytes=0))
    )
    epochs = []
    for number in range(repeats + 1):
        # They take turns in both orders, so that what slows the machine down slows both.
        pair = {}
        for trainable in (in_memory, streamed) if number % 2 else (streamed, in_memory):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            trainable._train_epoch()
            pair[trainable] = time.perf_counter() - began_s, time.process_time() - began_cpu_s, trainable.waited_s
        epochs.append([pair[in_memory], pair[streamed]])
    # The first epochs are not counted.
    spent_s = np.array(epochs[1:])
    print(f"training the VAE of vae.yaml, {len(in_memory.train)} clips, {repeats} epochs each:")
    for place, how in enumerate(("in memory", "streamed")):
        seconds, cpu_s, waited_s = np.median(spent_s[:, place], axis=0)
        print(f"{how}: {seconds:.2f} s an epoch ({cpu_s:.2f} s of a processor), {waited_s:.3f} s waiting for data")
    shares = spent_s[:, 1, 2] / spent_s[:, 1, 0]
    print(f"waiting while clips are streamed: {np.median(shares):.2%} of an epoch")
    for place, what in enumerate(("", " by processor time")):
        ratios = spent_s[:, 0, place] / spent_s[:, 1, place]
        low, high = ratios.min(), ratios.max()
        print(f"speed of streaming{what}: {np.median(ratios):.3f} of in memory ({low:.3f} to {high:.3f})")


def prepare_aloud(root: Path, home: Path) -> None:
    open_corpus(settings_of(root), home, observe=lambda counts: print(counts.files, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "large", "kills", "stream", "open", "prepare"))
    parser.add_argument("places", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--files", type=int, default=28_000)
    parser.add_argument("--clips", type=int, help="of each file [default: 5], or that are streamed [default: 20000]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    if options.what in ("open", "prepare"):
        {"open": open_once, "prepare": prepare_aloud}[options.what](*options.places)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "large":
            measure_large(folder / "large", folder / "home", options.files, options.clips or 5)
            return
        if options.what == "stream":
            print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
            measure_reading(folder, options.clips or 20_000, options.repeats)
            measure_training(options.home or folder / "home", options.repeats)
            return
        root = options.folder or link_demo_videos(folder)
        if options.what == "speed":
            measure_speed(root, folder / "home")
        else:
            measure_kills(root, folder / "home", options.kills)


if __name__ == "__main__":
    main()
