"""Clips of a length, a distance and channels that the corpus chooses."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from trainables.components.audio.clip import ClipFormat
from trainables.corpora.corpus import Corpus
from trainables.corpora.estimate import estimate_clips
from trainables.corpora.files import Recording
from trainables.corpora.leaks import describe_leak
from trainables.corpora.opening import open_corpus
from trainables.corpora.pictures import open_motion
from trainables.corpora.recordings import decode, read_clip
from trainables.corpora.shards.decoded import Decoded
from trainables.errors import InputError
from trainables.support.processes import Failed, map_surviving

RATE_HZ = 22_050
DURATION_S = 5
MEMORY_BYTES = 600 << 20
"""Little more than an idle process and 441 clips of 10 s as int16 need; as floats these are 390 MB."""


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(duration_s * RATE_HZ))


def format_of(clip_s: float = 2, hop_s: float = 0) -> ClipFormat:
    return ClipFormat(wanted_samples=round(clip_s * RATE_HZ), wanted_hop=round(hop_s * RATE_HZ))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four recordings of 5 s, whose left channel is another sound than the right one."""
    folder = tmp_path_factory.mktemp("stereo")
    for label, name in enumerate(("dog", "rain")):
        (folder / name).mkdir()
        for index in range(4):
            sides = [noise(DURATION_S, seed=10 * index + 2 * label + side) for side in (0, 1)]
            soundfile.write(folder / name / f"take {index}.wav", np.stack(sides, axis=1), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def open_with(root: Path, home: Path, **settings: Any) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root), **settings}, home)


def first_recording(corpus: Corpus) -> np.ndarray:
    """The clips of one recording, within ±1."""
    return np.asarray(corpus.waveforms()[np.flatnonzero(corpus.clips["recording"] == "dog/take 0.wav")]) / 32767


@pytest.mark.parametrize(
    ("clip_s", "frames", "samples"),
    [(0.5, 48, 10_980), (1, 96, 22_020), (2, 192, 44_100), (4, 384, 88_260), (5, 480, 110_340), (10, 960, 220_740)],
)
def test_a_clip_has_the_nearest_length_with_whole_frames_of_the_coarsest_size(
    clip_s: float, frames: int, samples: int
) -> None:
    clip = format_of(clip_s)
    assert (clip.frames, clip.samples) == (frames, samples)
    assert abs(clip.clip_s - clip_s) <= 920 / RATE_HZ


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_length_is_met_to_within_half_a_frame_of_the_coarsest_size(rate_hz: int) -> None:
    for samples in np.random.default_rng(0).integers(11_000, 30 * rate_hz, 200).tolist():
        clip = ClipFormat(rate_hz, samples)
        assert abs(clip.samples - samples) <= 920 and clip.frames % 8 == 0


@pytest.mark.parametrize(
    ("clip_s", "duration_s", "count"), [(10, 10, 1), (5, 10, 2), (5, 9.9, 1), (1, 10, 10), (4, 10, 2), (10, 3, 1)]
)
def test_a_recording_of_whole_clips_has_as_many(clip_s: float, duration_s: float, count: int, tmp_path: Path) -> None:
    sound = noise(duration_s)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, "FLOAT")
    recording = Recording("a.wav", tmp_path / "a.wav", "any", "a")
    decoded = decode(recording, format_of(clip_s))
    assert decoded.items.shape == (count, format_of(clip_s).samples)
    assert decoded.starts_s == pytest.approx([clip_s * index for index in range(count)])
    for start_s, clip in zip(decoded.starts_s, decoded.items, strict=True):
        # What lacks at the end of the last one is its own beginning.
        expected = np.resize(sound[round(start_s * RATE_HZ) :][: len(clip)], len(clip))
        assert np.abs(clip / 32767 - expected).max() < 1e-4
    assert estimate_clips([recording], format_of(clip_s)).clips == count


def test_without_a_choice_nothing_has_another_name(root: Path, home: Path) -> None:
    usual = open_with(root, home)
    stores = {path.name for path in (home / "cache").glob("clips-*")}
    for settings in ({"clip_s": 2}, {"hop_s": 2}, {"clip_s": 2, "hop_s": 2, "channels": "mix"}):
        assert open_with(root, home, **settings).fingerprint == usual.fingerprint
    assert {path.name for path in (home / "cache").glob("clips-*")} == stores


def test_each_choice_has_a_cache_of_its_own_and_the_same_splits(root: Path, home: Path) -> None:
    choices: list[dict[str, Any]] = [{}, {"clip_s": 1}, {"hop_s": 1}, {"channels": "left"}, {"channels": "right"}]
    corpora = [open_with(root, home, **settings) for settings in choices]
    assert len({corpus.fingerprint for corpus in corpora}) == len(choices)
    assert len({corpus.waveforms().shape for corpus in corpora}) == 3
    splits = [dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True)) for corpus in corpora]
    assert all(split == splits[0] for split in splits)


def test_overlapping_clips_of_a_long_recording_need_little_more_memory_than_they_have(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(120), RATE_HZ)
    recording = Recording("a.wav", tmp_path / "a.wav", "any", "a")
    answers = []
    for hop_s in (0.25, 0.05):
        cut = partial(decode, clip_format=format_of(10, hop_s))
        ((_, answer),) = map_surviving(cut, [recording], memory_bytes=MEMORY_BYTES)
        answers.append(answer)
    some, too_many = answers
    assert isinstance(some, Decoded) and some.items.nbytes == 2 * 441 * 220_740
    assert too_many == Failed(
        "needs more than 0.586 GiB of memory; it has 2,201 clips that overlap; use a larger corpus.hop_s"
    )


def test_overlapping_clips_share_their_sound_and_their_split(root: Path, home: Path) -> None:
    corpus = open_with(root, home, clip_s=2, hop_s=0.5)
    assert corpus.clips.groupby("recording")["start_s"].apply(list).iloc[0] == [0.5 * index for index in range(7)]
    clips, hop = first_recording(corpus), round(0.5 * RATE_HZ)
    for earlier, later in pairwise(clips):
        assert np.array_equal(earlier[hop:], later[:-hop])
    assert (corpus.clips.groupby("recording")["split"].nunique() == 1).all()


def test_a_channel_can_be_chosen_and_a_single_one_is_used_as_it_is(root: Path, home: Path, tmp_path: Path) -> None:
    left, right, mix = (first_recording(open_with(root, home, channels=name)) for name in ("left", "right", "mix"))
    assert np.abs(left[0] - noise(DURATION_S, seed=0)[:44_100]).max() < 1e-3
    assert np.abs(right[0] - noise(DURATION_S, seed=1)[:44_100]).max() < 1e-3
    assert np.abs(mix - (left + right) / 2).max() < 1e-3
    soundfile.write(tmp_path / "mono.wav", noise(2), RATE_HZ)
    heard = [read_clip(tmp_path / "mono.wav", 0.0, ClipFormat(channels=name)) for name in ("left", "right", "mix")]
    assert np.array_equal(heard[0], heard[1]) and np.array_equal(heard[1], heard[2])


def test_a_clip_of_a_file_has_the_length_of_the_corpus(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(3), RATE_HZ)
    assert read_clip(tmp_path / "a.wav", 1.0, format_of(1)) == pytest.approx(noise(3)[22_050:44_070], abs=1e-3)
    assert read_clip(tmp_path / "a.wav", 0.0, format_of(4)).shape == (88_260,)


def test_clips_that_begin_further_apart_than_any_recording_is_long_are_refused(root: Path, home: Path) -> None:
    for hop_s, end_s in ((6, "8.0"), (4, "6.0"), (3.1, "5.1")):
        where = rf"corpus\.hop_s: {hop_s:g}: a second clip would end {end_s} s .* longest recording has 5\.0 s"
        with pytest.raises(InputError, match=where):
            open_with(root, home, clip_s=2, hop_s=hop_s)
    assert len(open_with(root, home, clip_s=2, hop_s=3).clips) == 16, "two clips of each recording"
    corpus = open_with(root, home, clip_s=1, hop_s=3)
    assert corpus.clips["start_s"].drop_duplicates().tolist() == [0, 3]
    # Shorter recordings than clips are repeated, as long as no distance is chosen.
    assert len(open_with(root, home, clip_s=6.03).clips) == 8


def test_a_model_of_longer_clips_is_not_started_from(root: Path, home: Path) -> None:
    usual, long = open_with(root, home), open_with(root, home, clip_s=4)
    settings = {"name": "folder", "root": str(root)}
    leak = describe_leak(settings, usual, home, {**settings, "clip_s": 4}, long.fingerprint)
    assert leak == "its clips have 88260 samples, and those here have 44100"


def test_a_longer_clip_has_more_steps_of_motion(tmp_path: Path) -> None:
    for name in ("dog", "rain"):
        for index in range(3):
            path = tmp_path / "sounds" / name / f"{index}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            with av.open(str(path), "w") as container:
                audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
                video = container.add_stream("libx264", rate=10, width=32, height=32, pix_fmt="yuv420p")
                for number in range(45):
                    level = 255 if number == 25 else 0
                    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))
                    container.mux(video.encode(frame))
                container.mux(video.encode())
                samples = av.AudioFrame.from_ndarray(noise(4.5)[None].astype(np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts = RATE_HZ, 0
                container.mux(audio.encode(samples))
                container.mux(audio.encode())
    corpus = open_with(tmp_path / "sounds", tmp_path / "home", clip_s=4)
    motion = open_motion(corpus)
    assert motion.shape == (6, 40)
    assert set(np.flatnonzero(motion[0] > 0.1)) <= {24, 25, 26} and motion.max() > 0.5
