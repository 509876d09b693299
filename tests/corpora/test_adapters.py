"""One contract for every corpus that this repository reads, each in its own layout, written here."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.support.hf_tables import embed, write_hf_table
from trainables.corpora.adapters.tables import index_media
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.corpora.settings import CORPORA
from trainables.corpora.splits import hold_out_validation
from trainables.corpora.tree import LEADS_NOWHERE, LEADS_OUT, Tree
from trainables.errors import InputError
from trainables.support.progress import silent
from trainables.testing.corpus import CORPUS

RATE_HZ = 22_050
CLASSES = ("dog", "drum")
PER_CLASS = 6


def write_sound(path: Path, seed: int, duration_s: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(int(duration_s * RATE_HZ))
    soundfile.write(path, noise, RATE_HZ)


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), "red").save(path)


def write_table(path: Path, rows: list[list[Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def samples() -> list[tuple[str, str, int]]:
    """A class, an id and a seed for each recording. One id begins with a hyphen, as some of YouTube do."""
    return [
        (name, f"{'-' if index == 0 else ''}{name}{index}", 10 * number + index)
        for number, name in enumerate(CLASSES)
        for index in range(PER_CLASS)
    ]


def write_folder(root: Path) -> dict[str, Any]:
    for name, stem, seed in samples():
        write_sound(root / name / f"{stem}.wav", seed)
    return {"name": "folder", "root": str(root)}


def write_vegas(root: Path) -> dict[str, Any]:
    for name, _, seed in samples():
        write_sound(root / "data" / name / "audios" / f"video_{seed:05d}.wav", seed)
        write_picture(root / "data" / name / "img" / f"video_{seed:05d}.jpg")
    return {"name": "vegas", "root": str(root)}


def write_esc50(root: Path) -> dict[str, Any]:
    rows = [["filename", "fold", "target", "category", "esc10", "src_file", "take"]]
    for name, _, seed in samples():
        file = f"{seed % 5 + 1}-{1000 + seed}-A-{CLASSES.index(name)}.wav"
        write_sound(root / "audio" / file, seed)
        rows.append([file, file[0], "0", name, "True", str(1000 + seed), "A"])
    write_table(root / "meta" / "esc50.csv", rows)
    return {"name": "esc50", "root": str(root)}


def write_pairs(root: Path) -> dict[str, Any]:
    for name, stem, seed in samples():
        write_sound(root / "sounds" / name / f"{stem}.wav", seed)
        write_picture(root / "images" / name / f"{stem}.png")
    write_sound(root / "sounds" / "dog" / "blind.wav", 99)
    return {"name": "pairs", "root": str(root / "sounds"), "images": "../images"}


def write_vggsound(root: Path) -> dict[str, Any]:
    rows: list[list[Any]] = [["not downloaded", 3, "dog barking", "train"]]
    for name, stem, seed in samples():
        start_s = 7 * seed
        file = f"{stem}_{start_s:06d}" if seed % 2 else f"{stem}_{1000 * start_s}_{1000 * (start_s + 10)}"
        write_sound(root / "videos" / f"{file}.wav", seed)
        label = {"dog": "dog barking", "drum": "playing drum kit"}[name]
        # A carriage return, as VGGSound's own table has some.
        rows.append([stem, start_s, label + "\r" * (seed % 3 == 0), "test" if seed % 10 < 2 else "train"])
    write_table(root / "vggsound.csv", rows)
    return {"name": "vggsound", "root": str(root), "classes": "vegas"}


def write_audioset(root: Path) -> dict[str, Any]:
    labels = [
        ["index", "mid", "display_name"],
        [0, "/m/0bt9lr", "Dog"],
        [1, "/m/026t6", "Drum"],
        [2, "/m/09x0r", "Speech"],
    ]
    write_table(root / "class_labels_indices.csv", labels)
    lines = {
        "eval_segments.csv": ["# Segments csv created", "# num_ytids=4", "# YTID, start_seconds, end_seconds, labels"]
    }
    lines["balanced_train_segments.csv"] = list(lines["eval_segments.csv"])
    for name, stem, seed in samples():
        mid = {"dog": "/m/0bt9lr", "drum": "/m/026t6"}[name]
        table = "eval_segments.csv" if seed % 10 < 2 else "balanced_train_segments.csv"
        lines[table].append(f'{stem}, 1.000, 3.500, "/m/09x0r,{mid}"')
        write_sound(root / "audio" / f"{f'Y{stem}' if seed % 2 else f'{stem}_000001'}.wav", seed, 5.0)
    lines["eval_segments.csv"].append('dog9, 1.000, 3.000, "/m/0bt9lr,/m/026t6"')
    write_sound(root / "audio" / "dog9.wav", 99)
    for table, texts in lines.items():
        (root / table).write_text("\n".join(texts) + "\n")
    return {"name": "audioset", "root": str(root), "cut": False}


def write_ave(root: Path) -> dict[str, Any]:
    rows = [[name, stem, "good", 1, 4] for name, stem, _ in samples()]
    write_table(root / "Annotations.txt", [["Category", "VideoID", "Quality", "StartTime", "EndTime"], *rows], "&")
    for number, file in enumerate(("trainSet.txt", "valSet.txt", "testSet.txt")):
        write_table(root / file, [row for place, row in enumerate(rows) if place % 3 == number], "&")
    for _, stem, seed in samples():
        write_sound(root / "AVE" / f"{stem}.wav", seed, 4.0)
    return {"name": "ave", "root": str(root)}


def write_manifest(root: Path) -> dict[str, Any]:
    rows: list[list[Any]] = [["audio_path", "image_path", "label", "split", "start", "end", "group"]]
    for name, stem, seed in samples():
        write_sound(root / "files" / f"{stem}.wav", seed, 5.0)
        write_picture(root / "files" / f"{stem}.png")
        split = ("train", "val", "test")[seed % 3]
        rows.append([f"files/{stem}.wav", f"files/{stem}.png", name, split, "1.0", "3.0", stem])
    write_table(root / "manifest.csv", rows)
    return {"name": "manifest", "root": str(root / "manifest.csv")}


def write_json_manifest(root: Path) -> dict[str, Any]:
    for _, stem, seed in samples():
        write_sound(root / "files" / f"{stem}.wav", seed)
    lines = [json.dumps({"path": f"files/{stem}.wav", "label": name}) for name, stem, _ in samples()]
    (root / "list.jsonl").write_text("\n".join(lines) + "\n")
    return {"name": "manifest", "root": str(root / "list.jsonl")}


def make_hf_rows(source: Path, stems: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with the sounds and pictures of some recordings."""
    rows = []
    for name, stem, seed in samples():
        if stem in stems:
            write_sound(source / f"{stem}.wav", seed)
            write_picture(source / f"{stem}.png")
            media = {"audio": embed(source / f"{stem}.wav"), "image": embed(source / f"{stem}.png")}
            rows.append({**media, "label": CLASSES.index(name)})
    return rows


def stems_of_splits() -> dict[str, list[str]]:
    """The ids of the recordings in the splits of a data set."""
    stems = [stem for _, stem, _ in samples()]
    return {split: stems[number::3] for number, split in enumerate(("train", "validation", "test"))}


def write_hf(root: Path) -> dict[str, Any]:
    for split, stems in stems_of_splits().items():
        table = root / "data" / f"{split}-00000-of-00001.parquet"
        write_hf_table(table, make_hf_rows(root.with_name("source"), stems))
    return {"name": "hf", "root": str(root)}


def write_hf_arrow(root: Path) -> dict[str, Any]:
    for split, stems in stems_of_splits().items():
        table = root / split / "data-00000-of-00001.arrow"
        write_hf_table(table, make_hf_rows(root.with_name("source"), stems))
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (root / split / "state.json").write_text(json.dumps(state))
        (root / split / "cache-92341baf.arrow").write_bytes(b"what the library cached")
    return {"name": "hf", "root": str(root)}


def write_hf_audiofolder(root: Path) -> dict[str, Any]:
    for split, stems in stems_of_splits().items():
        rows = [["file_name", "image_file_name", "label"]]
        for name, stem, seed in samples():
            if stem in stems:
                write_sound(root / split / f"{stem}.wav", seed)
                write_picture(root / split / f"{stem}.png")
                rows.append([f"{stem}.wav", f"{stem}.png", name])
        write_table(root / split / "metadata.csv", rows)
    return {"name": "hf", "root": str(root)}


WRITERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "folder": write_folder,
    "vegas": write_vegas,
    "esc50": write_esc50,
    "pairs": write_pairs,
    "vggsound": write_vggsound,
    "audioset": write_audioset,
    "ave": write_ave,
    "manifest": write_manifest,
    "manifest, JSON": write_json_manifest,
    "hf, audiofolder": write_hf_audiofolder,
    "hf, Arrow": write_hf_arrow,
    "hf": write_hf,
}
NAMED = {"esc50", "manifest", "manifest, JSON", "hf, audiofolder"}
"""Those that read only the files which a table names."""
EMBEDDED = {"hf, Arrow", "hf"}
"""Those whose sounds are in tables."""


def test_every_corpus_but_the_demo_is_tested_here() -> None:
    own = {name for name in CORPORA if (CORPORA.owner(name) or "").startswith("trainables.")}
    assert own - {"demo"} == {name.partition(",")[0] for name in WRITERS}


@pytest.mark.parametrize("name", WRITERS)
def test_a_corpus_keeps_the_contract(name: str, tmp_path: Path) -> None:
    settings = WRITERS[name](tmp_path / "data set")
    corpus = open_corpus(settings, tmp_path / "home")
    for promise in CORPUS:
        promise.check(corpus)
    assert corpus.classes == CLASSES
    assert corpus.clips["recording"].nunique() == len(CLASSES) * PER_CLASS
    assert corpus.skipped == ()
    again = open_corpus(settings, tmp_path / "home")
    assert again.fingerprint == corpus.fingerprint and again.clips.equals(corpus.clips)
    assert np.array_equal(np.asarray(again.waveforms()), np.asarray(corpus.waveforms()))
    elsewhere = open_corpus(settings, tmp_path / "other home")
    assert elsewhere.clips.equals(corpus.clips), "the same splits in every home"


def write_links(root: Path, name: str) -> None:
    """Move the file of a recording out of the root, with a link in its place, and add links to folders."""
    moved = next(path for path in sorted(root.rglob("*.wav")) if "audios" in path.parts or name != "vegas")
    outside = root.parent / "outside"
    outside.mkdir()
    moved.rename(outside / moved.name)
    moved.symlink_to(outside / moved.name)
    folder = moved.parent
    write_sound(outside / "more" / "1-777-A-0.wav", 777)
    (folder / "more").symlink_to(outside / "more")
    (folder / "again").symlink_to(folder)
    (folder / "up").symlink_to(root.parent)
    (folder / "itself.wav").symlink_to(folder / "itself.wav")


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - EMBEDDED))
def test_a_link_out_of_the_root_is_followed_only_if_that_is_allowed(name: str, tmp_path: Path) -> None:
    settings = WRITERS[name](tmp_path / "root")

    def list_all(**more: Any) -> tuple[set[str], list[str]]:
        """The names of the recordings that are used, and why others are not."""
        listed = CORPORA[settings["name"]].model_validate(settings | more).list_recordings(tmp_path, silent)
        return {item.name for item in listed if not item.problem}, [item.problem for item in listed if item.problem]

    before, _ = list_all()
    write_links(tmp_path / "root", name)
    names, problems = list_all()
    assert names < before and len(names) == len(before) - 1
    if name == "hf, audiofolder":
        assert problems == [LEADS_OUT] * 3, "its tables are looked for in folders"
    elif name in NAMED:
        assert problems == [LEADS_OUT], "only the files of the table are looked at"
    else:
        assert sorted(problems) == sorted([LEADS_NOWHERE, *[LEADS_OUT] * 3])
    names, problems = list_all(follow_links=True)
    assert names >= before and LEADS_OUT not in problems


def test_a_class_that_is_a_link_and_a_picture_that_is_one_are_left_out(tmp_path: Path) -> None:
    settings = write_folder(tmp_path / "root")
    write_folder(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere" / "dog")
    (tmp_path / "root" / "wolf").symlink_to(tmp_path / "root" / "dog")
    write_picture(tmp_path / "elsewhere" / "dog1.png")
    (tmp_path / "root" / "dog" / "dog1.png").symlink_to(tmp_path / "elsewhere" / "dog1.png")
    corpus = open_corpus(settings, tmp_path / "home")
    assert corpus.classes == ("dog", "drum", "wolf"), "a link within the root is followed"
    assert set(corpus.skipped) == {f"cat: {LEADS_OUT}", f"dog/dog1.png: {LEADS_OUT}", f"wolf/dog1.png: {LEADS_OUT}"}
    assert not corpus.pictures
    corpus = open_corpus({**settings, "follow_links": True}, tmp_path / "home")
    assert corpus.classes == ("cat", "dog", "drum", "wolf") and not corpus.skipped
    assert set(corpus.pictures) == {"dog/dog1.wav", "wolf/dog1.wav"}


def test_a_corpus_of_links_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere")
    (tmp_path / "root").mkdir()
    for name in CLASSES:
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere" / name)
    settings = {"name": "folder", "root": str(tmp_path / "root")}
    assert "has no recording; 2 files can't be used, such as dog: out of" in message(settings, tmp_path / "home")
    assert len(open_corpus({**settings, "follow_links": True}, tmp_path / "home").clips) == 2 * PER_CLASS


def split_of(corpus: Corpus) -> dict[str, str]:
    """The split of each recording, by the stem of its id."""
    names = corpus.clips["recording"].str.extract(r"(-?(?:dog|drum)\d)", expand=False)
    return dict(zip(names, corpus.clips["split"], strict=True))


@pytest.mark.parametrize("name", ["vggsound", "audioset"])
def test_an_official_test_list_is_the_test_split(name: str, tmp_path: Path) -> None:
    settings = WRITERS[name](tmp_path)
    official = split_of(open_corpus(settings, tmp_path / "home"))
    test = {stem for stem, split in official.items() if split == "test"}
    assert test == {stem for _, stem, seed in samples() if seed % 10 < 2}
    assert list(official.values()).count("validation") == 2
    own = open_corpus({**settings, "official_test": False}, tmp_path / "home")
    assert {stem for stem, split in split_of(own).items() if split == "test"} != test


def test_classes_of_vegas_are_recognized_by_other_names_and_in_other_places(tmp_path: Path) -> None:
    folders = {
        "Rail transport": "rail_transport",
        "printers": "printer",
        "Baby cry, infant cry": "baby_cry",
        "cough": "cough",
    }
    for number, (folder, data) in enumerate(
        zip(folders, ("a", "a/data", "a/VEGAS", "a/VEGAS/VEGAS/data"), strict=True)
    ):
        root = tmp_path / str(number)
        write_sound(root / data / folder / "audios" / "video_00000.wav", 0)
        (recording,) = CORPORA["vegas"].model_validate({"root": root / "a"}).list_recordings(tmp_path, silent)
        assert (recording.class_name, recording.name) == (folders[folder], f"{folder}/video_00000")


@pytest.mark.parametrize("style", ["{}/{}", "{}/videos/{}.mp4", "{},{}"])
def test_a_test_list_of_vegas_is_the_test_split(style: str, tmp_path: Path) -> None:
    settings = write_vegas(tmp_path) | {"test_list": "test.txt"}
    (tmp_path / "data" / "dog").rename(tmp_path / "data" / "Dogs")
    info = [["YTID", "start_second", "end_second"], *([f"id {row // 2}", 0, 10] for row in range(16))]
    write_table(tmp_path / "data" / "drum" / "video_info.csv", info)
    lines = [
        style.format("dog", "video_00001"),
        style.format("Dogs", "video_00003"),
        style.format("dog", "video_99999"),
    ]
    (tmp_path / "test.txt").write_text("\n".join([*lines, "id 6", ""]))
    corpus = open_corpus(settings, tmp_path / "home")
    assert set(corpus.clips["recording"][corpus.clips["split"] == "test"]) == {
        *("Dogs/video_00001", "Dogs/video_00003"),
        *("drum/video_00012", "drum/video_00013"),
    }
    (tmp_path / "test.txt").write_text("cat/video_00000\n")
    assert f"corpus.test_list: {tmp_path}/test.txt: names none of the 12 recordings" in message(
        settings, tmp_path / "home"
    )
    (tmp_path / "test.txt").unlink()
    assert "test.txt: No such file or directory; a text with a recording" in message(settings, tmp_path / "home")


def test_the_splits_of_lists_are_used(tmp_path: Path) -> None:
    expected = {stem: ("train", "validation", "test")[place % 3] for place, (_, stem, _) in enumerate(samples())}
    assert split_of(open_corpus(write_ave(tmp_path / "ave"), tmp_path / "home")) == expected
    expected = {stem: ("train", "validation", "test")[seed % 3] for _, stem, seed in samples()}
    assert split_of(open_corpus(write_manifest(tmp_path / "list"), tmp_path / "home")) == expected
    expected = {stem: split for split, stems in stems_of_splits().items() for stem in stems}
    assert split_of(open_corpus(write_hf(tmp_path / "hf"), tmp_path / "home")) == expected


@pytest.mark.parametrize(("name", "setting"), [("manifest", {}), ("audioset", {}), ("ave", {"events_only": True})])
def test_a_section_of_a_file_is_cut_out(name: str, setting: dict[str, Any], tmp_path: Path) -> None:
    settings = WRITERS[name](tmp_path)
    corpus = open_corpus(settings | setting, tmp_path / "home")
    seeds = {stem: seed for _, stem, seed in samples()}
    assert (corpus.clips["start_s"] == 1).all()
    for clip, stem in enumerate(corpus.clips["recording"].str.extract(r"(-?(?:dog|drum)\d)", expand=False)):
        whole = 0.1 * np.random.default_rng(seeds[stem]).standard_normal(5 * RATE_HZ)
        if name == "ave":
            whole = 0.1 * np.random.default_rng(seeds[stem]).standard_normal(4 * RATE_HZ)
        assert np.abs(corpus.waveforms()[clip] / 32767 - whole[RATE_HZ : 3 * RATE_HZ]).max() < 1e-3


@pytest.mark.parametrize("name", ["pairs", "manifest", "vegas", "hf, audiofolder", "hf"])
def test_pictures_are_found(name: str, tmp_path: Path) -> None:
    corpus = open_corpus(WRITERS[name](tmp_path), tmp_path / "home")
    assert np.asarray(corpus.frames(16)).any(axis=(1, 2, 3)).all()


def test_a_split_without_a_recording_is_refused(tmp_path: Path) -> None:
    settings = write_vggsound(tmp_path)
    table = tmp_path / "vggsound.csv"
    table.write_text(table.read_text().replace(",train", ",test"))
    assert "has no recording in the train split" in message(settings, tmp_path / "home")
    assert open_corpus({**settings, "official_test": False}, tmp_path / "home").indices("train").size


def test_a_map_of_ones_own_names_the_classes(tmp_path: Path) -> None:
    settings = write_vggsound(tmp_path)
    write_table(tmp_path / "classes.csv", [["dog barking", "pet"], ["Playing drum kit", "band"]])
    assert open_corpus({**settings, "classes": "classes.csv"}, tmp_path / "home").classes == ("band", "pet")
    assert open_corpus({**settings, "classes": "all"}, tmp_path / "home").classes == ("dog barking", "playing drum kit")


def test_a_validation_split_is_held_out_of_what_is_not_for_the_test() -> None:
    groups = [("a", f"a{k}") for k in range(30)] + [("b", "b0"), ("b", "b1"), ("b", "a3")]
    splits = hold_out_validation(groups, {"a0", "a1"})
    assert splits["a0"] == splits["a1"] == "test" and list(splits.values()).count("test") == 2
    assert list(splits.values()).count("validation") in (2, 3)
    assert splits.keys() == {group for _, group in groups}
    assert hold_out_validation(groups[::-1], {"a0", "a1"}) == splits


def test_what_leaves_an_official_test_list_gets_a_split_that_it_keeps(tmp_path: Path) -> None:
    settings = write_vggsound(tmp_path / "root")
    home, table = tmp_path / "home", tmp_path / "root" / "vggsound.csv"
    before = split_of(open_corpus(settings, home))
    was_test = next(name for name, split in before.items() if split == "test")
    # As bytes: the table has carriage returns within its lines.
    lines = table.read_bytes().split(b"\n")
    name = was_test.encode()
    table.write_bytes(b"\n".join(line.replace(b",test", b",train") if name in line else line for line in lines))
    after = split_of(open_corpus(settings, home))
    assert after[was_test] != "test"
    (record,) = (home / "corpora").glob("splits-*.json")
    recorded = json.loads(record.read_text())["splits"]
    assert "test" not in recorded.values() and len(recorded) == sum(split != "test" for split in after.values())
    # The list is opened without the lock, and nothing is recorded anew.
    written_ns = record.stat().st_mtime_ns
    assert split_of(open_corpus(settings, home)) == after and record.stat().st_mtime_ns == written_ns


def test_recordings_keep_their_splits_beside_an_official_test_split(tmp_path: Path) -> None:
    settings = write_vggsound(tmp_path / "root")
    home = tmp_path / "home"
    first = open_corpus(settings, home)
    table = tmp_path / "root" / "vggsound.csv"
    (record,) = (home / "corpora").glob("splits-*.json")
    record.unlink()
    assert open_corpus(settings, home).fingerprint == first.fingerprint, "as it was cached before there was a record"
    rows = []
    for index in range(24):
        (source, *_) = (tmp_path / "root").rglob("dog1_*")
        shutil.copy(source, source.with_name(f"more{index}_000010{source.suffix}"))
        rows.append(f"more{index},10,dog,train")
    table.write_text(table.read_text().rstrip("\n") + "\n" + "\n".join(rows) + "\n")

    def splits_in(corpus: Corpus) -> dict[str, str]:
        return dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True))

    before, grown = splits_in(first), open_corpus(settings, home)
    assert splits_in(grown).items() >= before.items()
    assert open_corpus(settings, home).fingerprint == grown.fingerprint != first.fingerprint
    anew = splits_in(open_corpus(settings, tmp_path / "other home"))
    assert any(anew[name] != split for name, split in before.items()), "or nothing would have to be kept"
    assert {name for name, split in anew.items() if split == "test"} == {
        name for name, split in before.items() if split == "test"
    }


def message(settings: dict[str, Any], home: Path) -> str:
    """The one line in which a corpus is refused."""
    with pytest.raises(InputError) as error:
        open_corpus(settings, home)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,class\na.wav,dog\n", "m.csv:1: has no column label; the columns are path, audio_path"),
        ("label\ndog\n", "m.csv:1: has no column path (or audio_path, or video_path)"),
        ("path,label\n../a.wav,dog\n", "m.csv:2: ../a.wav is outside the folder of the table; move it there, or set"),
        ("path,label\na.wav,\n", "m.csv:2: label is empty"),
        ("path,label\na.wav,dog,extra\n", "m.csv:2: has 3 fields, and the first line names 2"),
        ("path,label,split\na.wav,dog,training\n", "m.csv:2: split is 'training'; one of train, validation, val, test"),
        ("path,label,start,end\na.wav,dog,x,\n", "m.csv:2: start is 'x'; a number of seconds"),
        ("path,label,start,end\na.wav,dog,3,2\n", "m.csv:2: end 2 is not after start 3"),
        ("path,label\na.wav,dog\na.wav,dog\n", "m.csv:3: dog/a.wav is in line 2 already"),
        (
            "path,label,split,group\na.wav,dog,train,g\nb.wav,dog,test,g\n",
            "group 'g' is in split train above, and in test",
        ),
        ("path,label\n" + 10_000_000 * "x", "m.csv:2: has more than 1,000,000 characters, so this is not a table"),
        ("path,label\n" + 200_000 * "x" + ",dog\n", "m.csv:2: field larger than field limit"),
        (b"path,label\n\xff\xfe.wav,dog\n", "m.csv: is not UTF-8"),
        ('path,label\na.wav,"dog\nb.wav,dog\n', "m.csv:2: unexpected end of data; close each quote"),
        (
            "path,label,start,end\na.wav,dog,0,1\na.wav,dog,0,2\na.wav,dog,0,2\n",
            "m.csv:4: dog/a.wav@0-2.0 is in line 3",
        ),
        ("", "m.csv:1: has no column label"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(text: str | bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    path = tmp_path / "list" / "m.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for name in ("a.wav", "b.wav", "list/a.wav", "list/b.wav"):
        write_sound(tmp_path / name, 0)
    assert expected in message({"name": "manifest", "root": str(path)}, tmp_path / "home")


def test_a_manifest_may_be_allowed_to_leave_its_folder_and_names_what_is_missing(tmp_path: Path) -> None:
    settings = write_json_manifest(tmp_path / "list")
    write_sound(tmp_path / "outside.wav", 77)
    with (tmp_path / "list" / "list.jsonl").open("a") as file:
        file.write(json.dumps({"path": "../outside.wav", "label": "dog"}) + "\n")
        file.write(json.dumps({"path": "gone.wav", "label": "dog"}) + "\n")
        file.write(json.dumps({"path": "once.wav", "label": "once"}) + "\n")
        file.write(json.dumps({"path": "once.wav/x.wav", "label": "dog"}) + "\n")
        file.write(json.dumps({"path": 300 * "x", "label": "dog"}) + "\n")
        file.write(json.dumps({"path": "gone.mp4", "label": "dog"}) + "\n")
    write_sound(tmp_path / "list" / "once.wav", 78)
    corpus = open_corpus({**settings, "allow_outside": True}, tmp_path / "home")
    assert "dog/../outside.wav" in set(corpus.clips["recording"])
    assert corpus.skipped[:3] == tuple(
        f"dog/{name}: no such file" for name in ("gone.mp4", "gone.wav", "once.wav/x.wav")
    )
    assert corpus.skipped[3].endswith(": unreadable (File name too long)")
    assert "dog/gone.mp4" not in corpus.pictures and len(corpus.frames(8)) == len(corpus.clips)
    assert set(corpus.clips["split"][corpus.clips["class"] == "once"]) == {"train"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vggsound", "has no vggsound.csv"),
        ("audioset", "has no class_labels_indices.csv, or no *_segments.csv"),
        ("ave", "has no Annotations.txt, trainSet.txt, valSet.txt, testSet.txt"),
        ("pairs", "has no sub-folder"),
        ("hf", "has no .arrow or .parquet file, and no metadata.csv or metadata.jsonl"),
        ("manifest", "a file named .csv .tsv .jsonl .ndjson is needed"),
    ],
)
def test_a_folder_without_the_layout_is_refused_before_anything_is_read(
    name: str, expected: str, tmp_path: Path
) -> None:
    settings = CORPORA[name](root=tmp_path)
    with pytest.raises(InputError) as error:
        settings.check_root()
    assert str(error.value).startswith(f"corpus.root: {tmp_path}: ") and expected in str(error.value)


def test_sounds_without_any_picture_are_no_pairs(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    assert "none of 12 sounds has a picture of the same name" in message(
        {**settings, "name": "pairs"}, tmp_path / "home"
    )


def test_sections_of_one_file_are_kept_apart(tmp_path: Path) -> None:
    times = [(0, 1), (0, 2), (1, ""), (1, 2), (12345.61, 12346), (12345.64, 12346)]
    rows = [["a.wav", "dog", *section] for section in times]
    write_table(tmp_path / "list.csv", [["path", "label", "start", "end"], *rows])
    recordings = CORPORA["manifest"].model_validate({"root": tmp_path / "list.csv"}).list_recordings(tmp_path, silent)
    names = "@0 @0-2.0 @1 @1-2.0 @12345.61 @12345.64".split()
    assert [recording.name for recording in recordings] == [f"dog/a.wav{name}" for name in names]
    write_sound(tmp_path / "a.wav", 0)
    assert len({recording.key for recording in recordings}) == len(times)


def test_rows_without_a_split_fill_up_those_that_no_row_has_and_keep_theirs(tmp_path: Path) -> None:
    settings = {"name": "manifest", "root": str(tmp_path / "list.csv")}
    rows = [[f"{stem}.wav", name, "train" if seed % 2 else ""] for name, stem, seed in samples()]
    for path, *_ in rows:
        write_sound(tmp_path / path, len(path))

    def open_rows(home: Path) -> dict[str, str]:
        write_table(tmp_path / "list.csv", [["path", "label", "split"], *rows])
        corpus = open_corpus(settings, home)
        return dict(zip(corpus.clips["recording"], corpus.clips["split"], strict=True))

    before = open_rows(tmp_path / "home")
    assert set(before.values()) == {"train", "validation", "test"}
    assert all(before[f"{label}/{path}"] == "train" for path, label, split in rows if split)
    for index in range(24):
        rows.append([f"more{index}.wav", "dog", ""])
        write_sound(tmp_path / f"more{index}.wav", index)
    assert open_rows(tmp_path / "home").items() >= before.items()
    anew = open_rows(tmp_path / "other home")
    assert any(anew[name] != split for name, split in before.items()), "or nothing would have to be kept"
    rows[0][2] = "train" if before[f"dog/{rows[0][0]}"] != "train" else "test"
    assert open_rows(tmp_path / "home")[f"dog/{rows[0][0]}"] == rows[0][2], "what the table says counts"


def test_files_in_hidden_folders_are_ignored(tmp_path: Path) -> None:
    root = tmp_path / ".root"
    for path in (root / "a.wav", root / ".hidden" / "b.wav", root / "folder" / ".c.wav", root / "folder" / "d.wav"):
        write_sound(path, 0)
    assert index_media(Tree([root])) == {"a": root / "a.wav", "d": root / "folder" / "d.wav"}


def test_a_folder_of_pictures_that_is_missing_is_named_by_its_setting(tmp_path: Path) -> None:
    settings = {**write_pairs(tmp_path), "images": "nowhere"}
    with pytest.raises(InputError, match=r"corpus\.images: .*nowhere: No such file"):
        CORPORA["pairs"].model_validate(settings).check_root()


def test_a_broken_line_of_json_is_named(tmp_path: Path) -> None:
    settings = write_json_manifest(tmp_path)
    for line, expected in (("{", "list.jsonl:13: is no JSON"), ("[1]", "list.jsonl:13: is no JSON object")):
        text = (tmp_path / "list.jsonl").read_text()
        (tmp_path / "list.jsonl").write_text(f"{text}{line}\n")
        assert expected in message(settings, tmp_path / "home")
        (tmp_path / "list.jsonl").write_text(text)
