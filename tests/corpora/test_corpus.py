from __future__ import annotations

import os
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
import soundfile
from pydantic import Field

from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import open_features
from trainables.corpora.files import Recording
from trainables.corpora.leaks import describe_leak
from trainables.corpora.opening import open_corpus
from trainables.corpora.recordings import decode
from trainables.corpora.settings import CORPORA, CorpusSettings, corpus_model
from trainables.corpora.shards.decoded import Decoded
from trainables.corpora.shards.waveforms import open_store
from trainables.corpora.splits import split_groups
from trainables.errors import InputError
from trainables.support.progress import Progress


def noise(duration_s: float, *, rate_hz: int = 8000, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(duration_s * rate_hz))


def write_class(folder: Path, count: int, *, name: str = "take {}.wav") -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        soundfile.write(folder / name.format(index), noise(2, seed=index), 8000)


def write_video(path: Path, sound: np.ndarray | None) -> None:
    """A video of 1 s at 5 frames a second, with or without sound at 22,050 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=5, width=32, height=32, pix_fmt="yuv420p")
        audio = container.add_stream("aac", rate=22050, layout="mono") if sound is not None else None
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * index, np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 5)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 22050, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode())


def decode_file(path: Path) -> Decoded:
    return decode(Recording(path.name, path, "any", path.stem))


def shards_in(home: Path) -> dict[Path, int]:
    """The shards of clips, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in (home / "cache").glob("clips-*/[!.]*.npy")}


def open_folder(root: Path, home: Path, **more: Any) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root), **more}, home)


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    for name in ("big dog", "rain"):
        write_class(root / name, 6)
    return root


def test_a_table_says_what_every_clip_is(tiny_corpus: Path, tiny_home: Path) -> None:
    corpus = open_folder(tiny_corpus, tiny_home)
    assert corpus.classes == ("hiss", "low hum", "siren")
    assert len(corpus.clips) == 3 * 5 * 2, "two clips of 2 s in each 4.2 s"
    assert list(corpus.clips["clip"][:2]) == ["hiss_1", "hiss_2"]
    assert list(corpus.clips["start_s"][:2]) == [0, 2]
    assert corpus.clips["clip"].is_unique
    assert {"low_hum_1"} <= set(corpus.clips["clip"])
    assert (corpus.clips["class"] == np.array(corpus.classes)[corpus.clips["label"]]).all()
    assert corpus.skipped == ()


def test_waveforms_are_clips_of_two_seconds_at_22050_hz(tiny_corpus: Path, tiny_home: Path) -> None:
    corpus = open_folder(tiny_corpus, tiny_home)
    waveforms = corpus.waveforms()
    assert waveforms.shape == (30, 44100)
    assert waveforms.dtype == np.int16
    hums = waveforms[corpus.clips["class"] == "low hum"].astype(float)
    loudest_hz = np.abs(np.fft.rfft(hums)).argmax(axis=1) / 2
    assert (loudest_hz > 75).all() and (loudest_hz < 165).all()


def test_recordings_are_never_split(tiny_corpus: Path, tiny_home: Path) -> None:
    clips = open_folder(tiny_corpus, tiny_home).clips
    assert (clips.groupby("recording")["split"].nunique() == 1).all()
    counts = clips.groupby(["class", "split"])["recording"].nunique().unstack()
    assert (counts["validation"] == 1).all() and (counts["test"] == 1).all() and (counts["train"] == 3).all()


def test_a_tenth_of_a_class_is_held_out_and_at_least_two_of_six() -> None:
    groups = {"large": [f"l{k}" for k in range(100)], "six": [f"s{k}" for k in range(6)], "two": ["t0", "t1"]}
    splits = split_groups(groups)
    counts = {name: Counter(splits[group] for group in members) for name, members in groups.items()}
    assert counts == {
        "large": {"train": 80, "validation": 10, "test": 10},
        "six": {"train": 2, "validation": 2, "test": 2},
        "two": {"train": 2},
    }
    assert split_groups({name: members[::-1] for name, members in groups.items()}) == splits


def test_a_group_of_several_classes_stays_whole_and_a_large_one_fills_no_split() -> None:
    many_takes = ["source"] * 20
    splits = split_groups({"a": [f"a{k}" for k in range(20)] + ["both"], "b": [f"b{k}" for k in range(9)] + many_takes})
    assert splits["source"] == "train"
    assert list(splits).count("both") == 1


def test_takes_of_one_source_are_one_group(tmp_path: Path) -> None:
    for name in ("dog", "rain"):
        write_class(tmp_path / "esc" / name, 3, name="1-77{}-A.wav")
        write_class(tmp_path / "more" / name, 3, name="1-77{}-B.wav")
        for path in (tmp_path / "more" / name).iterdir():
            path.rename(tmp_path / "esc" / name / path.name)
    clips = open_folder(tmp_path / "esc", tmp_path / "home").clips
    source = clips["class"] + clips["recording"].str.extract(r"(1-77\d)")[0]
    assert (clips.groupby(source)["split"].nunique() == 1).all()
    assert set(clips["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(("rate_hz", "channels", "format"), [(44100, 2, "ogg"), (48000, 1, "flac"), (11025, 6, "wav")])
def test_any_rate_and_channels_are_read(tmp_path: Path, rate_hz: int, channels: int, format: str) -> None:
    time_s = np.arange(5 * rate_hz) / rate_hz
    sound = 0.5 * np.sin(2 * np.pi * 440 * time_s)[:, None].repeat(channels, axis=1)
    soundfile.write(tmp_path / f"a.{format}", sound, rate_hz)
    clips = decode_file(tmp_path / f"a.{format}").items
    assert clips.shape == (2, 44100)
    assert np.abs(np.fft.rfft(clips[1])).argmax() / 2 == 440
    assert np.abs(clips[1]).max() / 32767 == pytest.approx(0.5, abs=0.05)


def test_a_short_recording_is_repeated_and_a_silent_clip_dropped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", noise(0.5, rate_hz=22050), 22050)
    short = decode_file(tmp_path / "short.wav").items
    assert np.array_equal(short[0, :11025], short[0, 11025:22050])
    padded = np.concatenate([np.zeros(2 * 22050), noise(2, rate_hz=22050)])
    soundfile.write(tmp_path / "padded.wav", padded, 22050)
    assert decode_file(tmp_path / "padded.wav").starts_s == (2.0,)


def test_files_that_cannot_be_used_are_skipped_and_named(two_classes: Path, tmp_path: Path) -> None:
    folder = two_classes / "rain"
    (folder / "broken.wav").write_bytes(b"no sound at all")
    soundfile.write(folder / "empty.wav", np.zeros(0), 8000)
    soundfile.write(folder / "quiet.wav", np.zeros(16000), 8000)
    write_video(folder / "mute.mp4", None)
    (folder / ".hidden.wav").write_bytes(b"")
    (folder / "notes.txt").write_text("not a recording")
    corpus = open_folder(two_classes, tmp_path / "home")
    reasons = dict(line.removeprefix("rain/").split(": ", 1) for line in corpus.skipped)
    assert reasons.keys() == {"broken.wav", "empty.wav", "quiet.wav", "mute.mp4"}
    assert reasons["broken.wav"].startswith("unreadable")
    assert (reasons["empty.wav"], reasons["quiet.wav"], reasons["mute.mp4"]) == (
        "zero length",
        "silent",
        "no audio stream",
    )
    assert len(corpus.clips) == 12


def test_the_second_opening_decodes_nothing_and_a_changed_file_is_another_corpus(
    two_classes: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = open_folder(two_classes, home)
    written = shards_in(home)
    again = open_folder(two_classes, home)
    assert shards_in(home) == written and len(written) == 1
    assert again.clips.equals(first.clips)
    soundfile.write(two_classes / "rain" / "take 0.wav", noise(4), 8000)
    changed = open_folder(two_classes, home)
    assert changed.fingerprint != first.fingerprint
    assert shards_in(home).items() > written.items()
    places = open_store(home, changed.source, changed.clip_format).read()
    assert [place.entry.name for place in places].count("rain/take 0.wav") == 2
    assert np.array_equal(first.waveforms()[:6], changed.waveforms()[:6])


def test_probes_are_validation_clips_of_each_class_in_turn(tiny_corpus: Path, tiny_home: Path) -> None:
    corpus = open_folder(tiny_corpus, tiny_home)
    probes = corpus.clips.iloc[corpus.probes(6)]
    assert list(probes["label"]) == [0, 1, 2, 0, 1, 2]
    assert set(probes["split"]) == {"validation"}
    assert list(corpus.probes(3)) == list(corpus.probes(6)[:3])


def test_copies_of_the_recordings_in_two_places_do_not_take_the_clips_from_each_other(
    two_classes: Path, tmp_path: Path
) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    # The times of the files are copied too: both are one corpus, with one fingerprint.
    shutil.copytree(two_classes, copy)
    first, second = open_folder(two_classes, home), open_folder(copy, home)
    assert first.folder == second.folder
    assert np.array_equal(np.asarray(first.waveforms()), np.asarray(second.waveforms()))
    again = open_folder(two_classes, home)
    assert np.array_equal(np.asarray(again.waveforms()), np.asarray(second.waveforms()))


def test_features_are_shared_as_one_memory_map(tiny_corpus: Path, tiny_home: Path) -> None:
    corpus = open_folder(tiny_corpus, tiny_home)
    features = open_features(corpus.folder, corpus.waveforms(), Feature(Grid("24x64")))
    assert isinstance(features, np.memmap)
    assert features.shape == (30, 24, 64)
    assert features.dtype == np.float16
    assert features.max(axis=(1, 2)).std() > 0
    file = Path(str(features.filename))
    assert file.parent == corpus.folder.resolve() and not file.with_name(f".{file.name}.part").exists()


@pytest.mark.parametrize("above", ["", "data", "VEGAS/data"])
def test_vegas_is_found_at_its_root_or_above(tmp_path: Path, above: str) -> None:
    for name in ("dog", "drum"):
        folder = tmp_path / "root" / above / name
        write_class(folder / "audios", 3, name="video_0000{}.wav")
        (folder / "video_info.csv").write_text(
            "YTID,start_second,end_second\n" + "".join(f"{name}{k % 3},0,10\n" for k in range(4))
        )
        write_video(folder / "videos" / "video_00003.mp4", noise(2, rate_hz=22050))
        write_video(folder / "videos" / "video_00000.mp4", None)
    corpus = open_corpus({"name": "vegas", "root": str(tmp_path / "root")}, tmp_path / "home")
    assert corpus.classes == ("dog", "drum")
    assert corpus.skipped == (), "the wav is read where there is one, and the video's sound otherwise"
    assert set(corpus.clips["recording"]) >= {"dog/video_00000", "dog/video_00003"}
    split = corpus.clips.drop_duplicates("recording").set_index("recording")["split"]
    assert split["dog/video_00000"] == split["dog/video_00003"], "one YouTube video"


def test_what_is_wrong_with_a_folder_is_said_in_one_line(tmp_path: Path) -> None:
    def message(root: Path) -> str:
        with pytest.raises(InputError) as error:
            open_folder(root, tmp_path / "home")
        assert "\n" not in str(error.value)
        return str(error.value)

    assert f"{tmp_path / 'nowhere'}: No such file" in message(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no recording" in message(tmp_path / "empty")
    write_class(tmp_path / "one" / "rain", 4)
    assert "one class only, 'rain'" in message(tmp_path / "one")
    write_class(tmp_path / "one" / "dog", 1)
    (tmp_path / "one" / "dog" / "take 0.wav").write_bytes(b"")
    assert "1 files can't be used, such as dog/take 0.wav: unreadable" in message(tmp_path / "one")
    write_class(tmp_path / "few" / "rain", 2)
    write_class(tmp_path / "few" / "dog", 2)
    assert "2 independent recordings in its largest class" in message(tmp_path / "few")
    assert "no VEGAS here" in vegas_message(tmp_path)


def test_a_corpus_of_ones_own_without_a_recording_says_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CORPORA, "_parts", dict(CORPORA))

    @CORPORA.register("numbered")
    class Numbered(CorpusSettings):
        name: Literal["numbered"] = "numbered"
        root: Path = Field(description="folder of files named <class>_<number>.wav")

        def source(self) -> str:
            return "numbered"

        def recordings(self, home: Path, progress: Progress) -> list[Recording]:
            return []

    def message(root: Path) -> str:
        with pytest.raises(InputError) as error:
            open_corpus({"name": "numbered", "root": str(root)}, tmp_path / "home")
        return str(error.value)

    reads = "has no recording; corpus.root needs: folder of files named <class>_<number>.wav"
    assert message(tmp_path) == f"corpus numbered ({tmp_path}) {reads}"
    missing = tmp_path / "nowhere"
    assert message(missing) == f"corpus numbered ({missing}, which does not exist) {reads}"


def vegas_message(root: Path) -> str:
    with pytest.raises(InputError) as error:
        open_corpus({"name": "vegas", "root": str(root)}, root / "home")
    return str(error.value)


def test_an_unknown_corpus_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'folder'"):
        corpus_model({"name": "foldr"})


def test_a_home_that_cannot_be_written_is_named(two_classes: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    with pytest.raises(InputError, match=f"{tmp_path}/home/cache/.*can't write the cache"):
        open_folder(two_classes, tmp_path / "home")


def test_classes_of_the_same_letters_keep_clip_names_apart(tmp_path: Path) -> None:
    for name in ("a dog", "a-dog"):
        write_class(tmp_path / "sounds" / name, 3)
    assert open_folder(tmp_path / "sounds", tmp_path / "home").clips["clip"].is_unique


def test_many_files_are_decoded_in_order_by_several_processes(tmp_path: Path) -> None:
    for name in ("dog", "rain"):
        write_class(tmp_path / "sounds" / name, 16, name="take {:02d}.wav")
    told: list[tuple[str, int, int]] = []
    corpus = open_corpus(
        {"name": "folder", "root": str(tmp_path / "sounds")}, tmp_path / "home", lambda *report: told.append(report)
    )
    assert told[-1] == ("reading the corpus", 32, 32)
    for index in (0, 17):
        path = tmp_path / "sounds" / str(corpus.clips["recording"][index])
        assert np.array_equal(corpus.waveforms()[index], decode_file(path).items[0])


HELD_OUT = ("validation", "test")


def splits_in(corpus: Corpus) -> dict[str, str]:
    return dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True))


def test_recordings_keep_their_splits_while_a_folder_grows_and_shrinks(tmp_path: Path) -> None:
    root, home = tmp_path / "sounds", tmp_path / "home"
    for name in ("dog", "rain"):
        write_class(root / name, 6)
    before = first = splits_in(open_folder(root, home))
    fingerprints = set()
    for count in (6, 14):
        for index in range(count, count + 8):
            soundfile.write(root / "rain" / f"take {index}.wav", noise(2, seed=index), 8000)
        corpus = open_folder(root, home)
        assert splits_in(corpus).items() >= before.items()
        before = splits_in(corpus)
        fingerprints.add(corpus.fingerprint)
    counts = Counter((recording.split("/")[0], split) for recording, split in before.items())
    assert counts == Counter(
        {("dog", "train"): 2, ("rain", "train"): 18}
        | {(name, split): 2 for name in ("dog", "rain") for split in HELD_OUT}
    )
    assert len(fingerprints) == 2

    anew = splits_in(open_folder(root, tmp_path / "other home"))
    assert any(anew[recording] != split for recording, split in before.items()), "or nothing would have to be kept"
    assert open_folder(root, tmp_path / "other home").fingerprint not in fingerprints, "other splits, another corpus"

    gone = [recording for recording, split in first.items() if split == "train"]
    for recording in gone:
        (root / recording).unlink()
    left = splits_in(open_folder(root, home))
    assert left == {recording: split for recording, split in before.items() if recording not in gone}


def test_a_split_that_deleted_recordings_have_emptied_is_said_with_the_file_that_keeps_it(
    two_classes: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    clips = open_folder(two_classes, home).clips
    for name in clips.loc[clips["split"] == "validation", "recording"].unique():
        (two_classes / name).unlink()
    (record,) = (home / "corpora").glob("splits-*.json")
    for _ in range(2):
        with pytest.raises(InputError) as error:
            open_folder(two_classes, home)
        assert f"has no recording in the validation split; {record} keeps the splits that" in str(error.value)
        assert "move that file away" in str(error.value) and "\n" not in str(error.value)
    record.rename(tmp_path / "moved.json")
    assert "validation" in set(open_folder(two_classes, home).clips["split"])


def test_splits_are_kept_when_the_cache_is_deleted(two_classes: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_folder(two_classes, home)
    for index in range(6, 16):
        soundfile.write(two_classes / "rain" / f"take {index}.wav", noise(2, seed=index), 8000)
    grown = open_folder(two_classes, home)
    shutil.rmtree(home / "cache")
    again = open_folder(two_classes, home)
    assert again.fingerprint == grown.fingerprint
    assert splits_in(again) == splits_in(grown)


def test_a_table_that_the_clips_no_longer_fit_is_refused(two_classes: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    corpus = open_folder(two_classes, home)
    (shards,) = (home / "cache").glob("clips-*")
    shutil.rmtree(shards)
    # It can't be decoded now, and has the same state as before.
    path = two_classes / "big dog" / "take 1.wav"
    content, stat = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match=r"big dog/take 1.wav had 1 clips and now has 0 \(unreadable .*delete this"):
        open_folder(two_classes, home)
    shutil.rmtree(corpus.folder)
    assert open_folder(two_classes, home).skipped[0].startswith("big dog/take 1.wav: unreadable")


def test_a_corpus_that_was_cached_before_splits_were_remembered_keeps_them_from_now_on(
    two_classes: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    before = open_folder(two_classes, home)
    (record,) = (home / "corpora").glob("splits-*.json")
    record.unlink()
    assert open_folder(two_classes, home).fingerprint == before.fingerprint
    for index in range(6, 20):
        soundfile.write(two_classes / "rain" / f"take {index}.wav", noise(2, seed=index), 8000)
    assert splits_in(open_folder(two_classes, home)).items() >= splits_in(before).items()


def test_a_corpus_chooses_its_rate_and_so_the_length_of_its_clips(tmp_path: Path) -> None:
    time_s = np.arange(8 * 22_050) / 22_050
    for kind, tone_hz in (("low", 500), ("high", 2000)):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        for index in range(4):
            sound = 0.5 * np.sin(2 * np.pi * (tone_hz + index) * time_s)
            soundfile.write(tmp_path / "sounds" / kind / f"take {index}.wav", sound, 22_050)
    settings = {"name": "folder", "root": str(tmp_path / "sounds")}
    usual, slow, fast = (
        open_corpus({**settings, "rate_hz": rate_hz}, tmp_path / "home") for rate_hz in (22_050, 11_025, 44_100)
    )
    assert usual.fingerprint == open_corpus(settings, tmp_path / "home").fingerprint
    assert len({corpus.fingerprint for corpus in (usual, slow, fast)}) == 3
    assert [len(corpus.clips) for corpus in (usual, slow, fast)] == [32, 16, 64]
    assert slow.clips["start_s"].drop_duplicates().tolist() == [0, 4] and fast.clip_s == 1
    for corpus in (usual, slow, fast):
        clip = corpus.clips.index[corpus.clips["recording"] == "high/take 1.wav"][0]
        spectrum = np.abs(np.fft.rfft(corpus.waveforms()[clip].astype(float)))
        assert spectrum.argmax() / corpus.clip_s == pytest.approx(2001, abs=1)
    leak = describe_leak({**settings, "rate_hz": 11_025}, slow, tmp_path / "home", settings, usual.fingerprint)
    assert leak == "its sounds have 22050 samples per second, and those here have 11025"
    # A recording is in the same split at every rate.
    splits = [
        dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True)) for corpus in (usual, slow, fast)
    ]
    assert splits[0] == splits[1] == splits[2]
