"""Files as people have them: what can be used is used, and the rest is left out with a reason."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from trainables.corpora.corpus import Corpus
from trainables.corpora.files import Recording
from trainables.corpora.opening import open_corpus
from trainables.corpora.pictures import read_frames
from trainables.corpora.recordings import decode, read_clip
from trainables.corpora.shards.decoded import Decoded

RATE_HZ = 22_050
SIDE = 32
TONE_HZ = 440.0


def tone(duration_s: float, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(int(duration_s * rate_hz)) / rate_hz)


def read(path: Path) -> Decoded:
    return decode(Recording(path.name, path, "any", path.stem))


def is_tone(clip: NDArray[np.int16]) -> bool:
    spectrum = np.abs(np.fft.rfft(clip))
    rms = np.sqrt(np.mean((clip / 32767) ** 2))
    return bool(abs(spectrum.argmax() / 2 - TONE_HZ) <= 1 and abs(rms - 0.5 / np.sqrt(2)) < 0.03)


def write_movie(
    path: Path,
    *,
    duration_s: float = 6.0,
    sound: NDArray[np.float64] | None = None,
    late_s: float = 0.0,
    times_s: NDArray[np.float64] | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Write a video whose frames are white from the third to the fourth second, and black otherwise.

    Args:
        path: an mp4.
        duration_s: its duration.
        sound: its sound; None: a tone.
        late_s: when the sound starts.
        times_s: the times of the frames; 25 a second if they are not given.
        options: of the container.
    """
    times_s = np.arange(0, duration_s, 1 / 25) if times_s is None else times_s
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream("libx264", rate=25, width=SIDE, height=SIDE, pix_fmt="yuv420p")
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for time_s in times_s:
            pixels = np.full((SIDE, SIDE, 3), 255 if 3 <= time_s < 4 else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = tone(duration_s - late_s) if sound is None else sound
        block = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts = RATE_HZ, round(late_s * RATE_HZ)
        container.mux(audio.encode(block))
        container.mux(audio.encode())


def white_share(path: Path, times_s: list[float]) -> list[float]:
    frames = read_frames(path, times_s, 16)
    assert frames is not None
    return [float(frame.mean() / 255) for frame in frames]


def test_a_video_that_breaks_off_is_used_up_to_there(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    # The index comes first, as in files for the web; fragments can be read without the rest.
    write_movie(whole, duration_s=10, options={"movflags": "frag_keyframe+empty_moov"})
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 7 // 10])
    decoded = read(cut)
    assert not decoded.problem and 1 <= len(decoded.items) < len(read(whole).items)
    assert is_tone(decoded.items[0])


@pytest.mark.parametrize(
    ("name", "write", "problem"),
    [
        ("zero.mp4", lambda path: path.write_bytes(b""), "unreadable"),
        ("text.mp4", lambda path: path.write_text("no video\n" * 1000), "unreadable"),
        ("half.wav", lambda path: path.write_bytes(b"RIFF\x00\x00"), "unreadable"),
        ("no index.mp4", lambda path: _cut_off_index(path), "unreadable"),
        ("silence.wav", lambda path: soundfile.write(path, np.zeros(3 * RATE_HZ), RATE_HZ), "silent"),
        ("nan.wav", lambda path: soundfile.write(path, np.full(3 * RATE_HZ, np.nan), RATE_HZ, "FLOAT"), "silent"),
        ("nothing.wav", lambda path: soundfile.write(path, np.zeros(0), RATE_HZ), "zero length"),
        ("a folder.wav", lambda path: path.mkdir(), "unreadable"),
        ("pipe.wav", os.mkfifo, "a pipe"),
        ("gone.wav", lambda path: None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_used_has_a_reason(
    name: str, write: Callable[[Path], object], problem: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    decoded = read(tmp_path / name)
    assert decoded.problem.startswith(problem) and len(decoded.items) == 0
    assert "\n" not in decoded.problem


def _cut_off_index(path: Path) -> None:
    """Write a video without its end, where the index is."""
    write_movie(path)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype", "suffix"),
    [
        (8_000, 1, "PCM_U8", "wav"),
        (96_000, 2, "PCM_24", "wav"),
        (48_000, 6, "PCM_24", "flac"),
        (44_100, 1, "PCM_32", "aiff"),
        (22_050, 2, "FLOAT", "wav"),
        (32_000, 1, "DOUBLE", "wav"),
        (48_000, 1, "OPUS", "ogg"),
    ],
)
def test_any_format_of_samples_is_read(rate_hz: int, channels: int, subtype: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(4.0, rate_hz)[:, None].repeat(channels, axis=1), rate_hz, subtype)
    clips = read(path).items
    assert clips.shape == (2, 2 * RATE_HZ) and clips.dtype == np.int16
    assert is_tone(clips[0]) and is_tone(clips[1])


@pytest.mark.parametrize("rate_hz", [22_050, 48_000, 12_345])
def test_a_late_section_is_the_same_sound_and_holds_little_of_what_is_before_it(rate_hz: int, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(60 * rate_hz)
    soundfile.write(tmp_path / "long.wav", noise, rate_hz)
    recording = Recording("long", tmp_path / "long.wav", "a", "long")
    whole = decode(recording)
    section = replace(recording, start_s=50.0, end_s=54.0)
    tracemalloc.start()
    try:
        decoded = decode(section)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoded.starts_s == (50.0, 52.0) and np.array_equal(decoded.items, whole.items[25:27])
    assert peak_bytes < noise.astype(np.float32).nbytes


def test_samples_that_are_no_numbers_count_as_silence(tmp_path: Path) -> None:
    sound = tone(4.0)
    sound[::100] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, "FLOAT")
    clips = read(tmp_path / "a.wav").items
    assert (clips[:, ::100] == 0).all() and np.abs(clips).max() / 32767 == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("file_hz", [RATE_HZ, 96_000])
def test_infinite_samples_count_as_silence(tmp_path: Path, file_hz: int) -> None:
    sound = np.resize(tone(4.0), 4 * file_hz)
    sound[file_hz // 2 :: file_hz] = np.inf, -np.inf, np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", sound, file_hz, "FLOAT")
    clips = read(tmp_path / "a.wav").items
    assert np.abs(clips).max() / 32767 < 0.8


@pytest.mark.filterwarnings("error")
def test_a_clip_to_generate_from_is_clipped_as_those_of_a_corpus(tmp_path: Path) -> None:
    sound = 6 * tone(4.0)
    sound[1000] = 1e30
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, "FLOAT")
    of_corpus = read(tmp_path / "a.wav").items[0] / 32767
    assert read_clip(tmp_path / "a.wav") == pytest.approx(of_corpus, abs=1e-4)


def test_a_video_without_pictures_has_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        block = av.AudioFrame.from_ndarray(tone(4.0)[None].astype(np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts = RATE_HZ, 0
        container.mux(audio.encode(block))
        container.mux(audio.encode())
    assert is_tone(read(tmp_path / "sound.mp4").items[0])
    assert read_frames(tmp_path / "sound.mp4", [1.0], 16) is None


@pytest.mark.parametrize("late_s", [0.0, 1.5])
def test_a_clap_is_seen_when_it_is_heard(late_s: float, tmp_path: Path) -> None:
    sound = 1e-3 * np.random.default_rng(0).standard_normal(round((6.0 - late_s) * RATE_HZ))
    start = round((3.0 - late_s) * RATE_HZ)
    sound[start : start + RATE_HZ] += tone(1.0)
    write_movie(tmp_path / "clap.mp4", sound=sound, late_s=late_s)
    decoded = read(tmp_path / "clap.mp4")
    for clip, start_s in zip(decoded.items, decoded.starts_s, strict=True):
        for time_s in np.arange(0.1, 2.0, 0.2):
            around = clip[round((time_s - 0.05) * RATE_HZ) : round((time_s + 0.05) * RATE_HZ)].astype(float)
            is_heard = np.sqrt(np.mean(around**2)) > 3000
            (share,) = white_share(tmp_path / "clap.mp4", [start_s + time_s])
            instant_s = start_s + time_s
            if min(abs(instant_s - 3), abs(instant_s - 4)) > 0.12:
                assert is_heard == (share > 0.5) == (3 < instant_s < 4), instant_s
    assert decoded.starts_s[0] == pytest.approx(late_s, abs=0.05)


def test_a_frame_of_varying_duration_is_shown_until_the_next_one(tmp_path: Path) -> None:
    times_s = np.array([0.0, 0.04, 2.9, 3.0, 3.7, 4.0, 5.5])
    write_movie(tmp_path / "vfr.mp4", times_s=times_s)
    shares = white_share(tmp_path / "vfr.mp4", [1.0, 2.95, 3.05, 3.6, 3.95, 4.1, 5.0])
    assert [round(share) for share in shares] == [0, 0, 1, 1, 1, 0, 0]


def test_a_video_that_was_turned_is_seen_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=25, width=SIDE, height=SIDE, pix_fmt="yuv420p", options={"qp": "0"}
        )
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        # The stored frame is white at the left; the display matrix turns it clockwise, so that it is seen at the top.
        pixels[:, : SIDE // 2] = 255
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    upright = read_frames(path, [0.1], 16)
    assert upright is not None and upright[0, :, :, :6].min() > 200 and upright[0, :, :, -6:].max() < 50
    _turn_clockwise(path)
    turned = read_frames(path, [0.1], 16)
    assert turned is not None and turned[0, :, :6].min() > 200 and turned[0, :, -6:].max() < 50


def _turn_clockwise(path: Path) -> None:
    """Replace the matrix of the video's track by that of a quarter turn, as telephones write it."""
    content = bytearray(path.read_bytes())
    one, whole = 1 << 16, 1 << 30
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, whole)
    place = content.index(identity, content.index(b"tkhd"))
    content[place : place + len(identity)] = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIDE * one, 0, whole)
    path.write_bytes(content)


def write_class(folder: Path, names: list[str | bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        sound = 0.1 * np.random.default_rng(seed).standard_normal(2 * RATE_HZ)
        soundfile.write(folder / "plain.wav", sound, RATE_HZ)
        os.rename(folder / "plain.wav", os.path.join(os.fsencode(folder), os.fsencode(name)))


def open_folder(root: Path, home: Path) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root)}, home)


def test_odd_names_are_kept_apart(tmp_path: Path) -> None:
    names: list[str | bytes] = [
        *("-hyphen.wav", "über 雨.wav", "two  spaces.wav", "a\nline.wav", 'quo"te,comma.wav', "NA.wav", "007.wav"),
        *("e\u0301.wav", "\u00e9.wav", b"latin \xe9.wav", "{brace}%s.wav", "a\rreturn.wav"),
    ]
    write_class(tmp_path / "sounds" / "odd, names", names)
    write_class(tmp_path / "sounds" / "rain", ["a.wav", "b.wav", "c\rd.wav"])
    corpus = open_folder(tmp_path / "sounds", tmp_path / "home")
    assert corpus.skipped == ()
    recordings = corpus.clips["recording"][corpus.clips["class"] == "odd, names"]
    # What is no UTF-8, and what a terminal would obey, is escaped.
    escaped = {b"latin \xe9.wav": "latin \\xe9.wav", "a\nline.wav": "a\\nline.wav", "a\rreturn.wav": "a\\rreturn.wav"}
    shown = {escaped.get(name, name) for name in names}
    assert set(recordings) == {f"odd, names/{name}" for name in shown}
    again = open_folder(tmp_path / "sounds", tmp_path / "home")
    assert again.clips.equals(corpus.clips)
    assert np.asarray(again.waveforms()).any(axis=1).all()


def test_classes_that_are_numbers_keep_their_names(tmp_path: Path) -> None:
    for number in ("00", "01", "1"):
        write_class(tmp_path / "sounds" / number, ["a.wav", "b.wav", "c.wav"])
    corpus = open_folder(tmp_path / "sounds", tmp_path / "home")
    assert corpus.classes == ("00", "01", "1")
    assert corpus.clips["class"].value_counts().to_dict() == {"00": 3, "01": 3, "1": 3}


def test_files_of_one_stem_are_recordings_of_one_group(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.wav", "a.flac", "b.wav", "c.wav", "d.wav")):
        for class_name in ("dog", "rain"):
            path = tmp_path / "sounds" / class_name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(2 * RATE_HZ), RATE_HZ)
    clips = open_folder(tmp_path / "sounds", tmp_path / "home").clips
    splits = clips.set_index("recording")["split"]
    assert len(clips) == 10
    assert splits["dog/a.wav"] == splits["dog/a.flac"] and splits["rain/a.wav"] == splits["rain/a.flac"]


def test_an_empty_class_folder_and_a_label_that_occurs_once_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "sounds" / "empty").mkdir(parents=True)
    write_class(tmp_path / "sounds" / "dog", ["a.wav", "b.wav", "c.wav"])
    write_class(tmp_path / "sounds" / "once", ["only.wav"])
    (tmp_path / "sounds" / "dog" / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    corpus = open_folder(tmp_path / "sounds", tmp_path / "home")
    assert corpus.classes == ("dog", "once") and corpus.skipped == ("dog/dangling.wav: a link that leads nowhere",)
    assert set(corpus.clips["split"][corpus.clips["class"] == "once"]) == {"train"}
