"""Hugging Face datasets: what is in their tables, what is unpacked of it, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.hf_tables import FEATURES, embed, write_hf_table
from trainables.corpora.files import Recording
from trainables.corpora.opening import open_corpus
from trainables.corpora.settings import CORPORA
from trainables.errors import InputError
from trainables.support.progress import silent

RATE_HZ = 22_050


def make_sound(folder: Path, name: str, seed: int) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(2 * RATE_HZ)
    soundfile.write(folder / name, noise, RATE_HZ)
    return embed(folder / name)


def make_rows(tmp_path: Path, count: int = 6, first: int = 0) -> list[dict[str, Any]]:
    """Rows of two classes in turn, each with another sound."""
    numbers = range(first, first + count)
    sounds = [make_sound(tmp_path / "source", f"{number}.wav", number) for number in numbers]
    return [{"audio": sound, "label": number % 2} for number, sound in zip(numbers, sounds, strict=True)]


def list_recordings(root: Path, **settings: Any) -> list[Recording]:
    model = CORPORA["hf"].model_validate({"root": root, **settings})
    return model.list_recordings(root.parent / "home", silent)


def collect_splits(root: Path, **settings: Any) -> Counter[str]:
    """The number of recordings of each split."""
    corpus = open_corpus({"name": "hf", "root": str(root), **settings}, root.parent / "home")
    return Counter(corpus.clips["split"])


def test_what_was_unpacked_stays_where_a_table_grows_or_a_file_is_deleted(tmp_path: Path) -> None:
    root, table = tmp_path / "root", tmp_path / "root" / "data.parquet"
    write_hf_table(table, make_rows(tmp_path))
    before = list_recordings(root)
    states = {item.name: item.key for item in before}
    assert [item.name for item in before] == [
        "dog/0.wav",
        "dog/2.wav",
        "dog/4.wav",
        *(f"drum/{n}.wav" for n in (1, 3, 5)),
    ]
    before[0].path.unlink()
    assert {item.name: item.key for item in list_recordings(root)} == states, "it is unpacked again, and is the same"
    write_hf_table(table, [*make_rows(tmp_path), *make_rows(tmp_path, 2, first=6)])
    after = {item.name: item.key for item in list_recordings(root)}
    assert after.items() > states.items() and len(after) == 8
    files = set((tmp_path / "home" / "corpora").glob("hf-*/*.wav"))
    assert {item.path for item in list_recordings(root)} == files and len(files) == 8


def test_the_types_of_columns_are_enough_and_paths_need_no_bytes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_sound(root / "files", "a.wav", 1)
    rows = [
        {"sound": {"bytes": None, "path": "files/a.wav"}, "label": "dog"},
        {"sound": {"bytes": None, "path": "gone.wav"}, "label": "dog"},
        {"sound": {"bytes": None, "path": str(tmp_path / "outside.wav")}, "label": "drum"},
    ]
    write_hf_table(root / "a.arrow", rows, {})
    recordings = list_recordings(root)
    assert [item.path for item in recordings][:2] == [root / "files" / "a.wav", root / "gone.wav"]
    assert [item.problem[:6] for item in recordings] == ["", "", "out of"]


def test_rows_without_a_sound_or_a_label_are_left_out_with_a_reason(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 4)
    rows[0]["audio"] = None
    rows[1]["label"] = -1
    rows[2]["label"] = None
    write_hf_table(tmp_path / "root" / "train.parquet", rows)
    problems = [item.problem for item in list_recordings(tmp_path / "root")]
    assert Counter(problems) == {"its row has no sound": 1, "its row has no label": 2, "": 1}


def test_rows_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 4)
    for row in rows:
        row["audio"] = {**row["audio"], "path": "audio.wav"}
    rows[3]["audio"] = {**rows[3]["audio"], "path": None}
    write_hf_table(tmp_path / "root" / "a.parquet", rows)
    names = [item.name for item in list_recordings(tmp_path / "root")]
    assert names == ["dog/audio.wav", "dog/audio.wav#2", "drum/000003", "drum/audio.wav"]


def test_splits_that_a_data_set_lacks_are_held_out(tmp_path: Path) -> None:
    for name, splits in (("train and test", ("train", "test")), ("train alone", ("train",)), ("dev", ("train", "dev"))):
        root = tmp_path / name
        for number, split in enumerate(splits):
            write_hf_table(root / f"{split}-00000-of-00001.parquet", make_rows(tmp_path, 12, first=12 * number))
        assert collect_splits(root).keys() == {"train", "validation", "test"}
    assert collect_splits(tmp_path / "train and test")["test"] == 12
    assert collect_splits(tmp_path / "train and test", official_splits=False)["test"] < 12
    assert collect_splits(tmp_path / "dev")["validation"] == 12


def test_rows_of_a_group_are_in_one_split(tmp_path: Path) -> None:
    rows = [row | {"speaker": f"s{number % 4}"} for number, row in enumerate(make_rows(tmp_path, 8))]
    write_hf_table(tmp_path / "root" / "a.parquet", rows)
    assert {item.group for item in list_recordings(tmp_path / "root", group="speaker")} == {"s0", "s1", "s2", "s3"}


def message(root: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as error:
        list_recordings(root, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_column_that_is_missing_or_of_another_type_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    write_hf_table(tmp_path / "root" / "a.parquet", make_rows(tmp_path, 2))
    shown = "its columns are audio (Audio), label (ClassLabel)"
    assert f"corpus.label: {tmp_path / 'root' / 'a.parquet'}: has no column kind; {shown}" in message(
        tmp_path / "root", label="kind"
    )
    assert "label is no column of sounds or videos; " + shown in message(tmp_path / "root", sound="label")
    two = [{**row, "far": row["audio"], "near": row["audio"]} for row in make_rows(tmp_path, 2)]
    features = {**FEATURES, "far": FEATURES["audio"], "near": FEATURES["audio"]}
    write_hf_table(tmp_path / "two" / "a.parquet", two, features)
    assert "has 3 columns of sounds or videos; set corpus.sound to one of audio (Audio)" in message(tmp_path / "two")
    assert len(list_recordings(tmp_path / "two", sound="far")) == 2
    write_hf_table(tmp_path / "none" / "a.parquet", [{"text": "x", "label": 0}])
    assert "has no column of sounds or videos" in message(tmp_path / "none")
    rows = [row | {"label": 7} for row in make_rows(tmp_path, 2)]
    write_hf_table(tmp_path / "seven" / "a.parquet", rows)
    assert "row 0: label is 7; it has 2 classes" in message(tmp_path / "seven")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "can't be read"),
        (b"no table", "can't be read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
    ],
)
def test_a_file_that_is_no_table_is_refused(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "root" / name
    file.parent.mkdir()
    file.write_bytes(content)
    assert message(file.parent).startswith(f"{file}: ") and expected in message(file.parent)


def test_an_audiofolder_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file,label\na.wav,dog\n")
    assert "metadata.csv:2: has no column file_name; set corpus.sound to one of file, label" in message(tmp_path)
    assert list_recordings(tmp_path, sound="file")[0].path == tmp_path / "a.wav"
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.wav", "kind": "dog"}\n')
    assert "metadata.jsonl:1: has no column label" in message(tmp_path)
    assert list_recordings(tmp_path, label="kind")[0].class_name == "dog"


def test_a_table_whose_rows_are_chosen_by_an_index_is_refused(tmp_path: Path) -> None:
    write_hf_table(tmp_path / "data.arrow", make_rows(tmp_path, 2))
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}], "_indices_data_files": [{}]}')
    assert "save it after flatten_indices()" in message(tmp_path)
    (tmp_path / "state.json").write_text("{")
    assert "state.json: can't be read" in message(tmp_path)
