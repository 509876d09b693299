"""`corpus: {name: hf, root: DIR}`: a folder that Hugging Face's library `datasets` saved or reads.

state.json, data-00000-of-00001.arrow      of `save_to_disk`; of several splits, in a folder for each
data/train-00000-of-00001.parquet          of `to_parquet` and of the Hub
train/metadata.csv, train/a.wav            of an audiofolder; or metadata.jsonl. Its column file_name names the file

What is embedded in a table is unpacked into files in the home, because decoders read files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainables.corpora.adapters.hf_tables import find_tables, read_split, read_table_rows
from trainables.corpora.adapters.unpacking import Unpacked, unpack
from trainables.corpora.base import CORPORA, RootedCorpus
from trainables.corpora.files import Recording
from trainables.corpora.splits import Split, digest
from trainables.corpora.tree import Tree
from trainables.support.progress import Progress


@CORPORA.register("hf")
class HuggingFace(RootedCorpus):
    """A local Hugging Face dataset of sounds or videos."""

    name: Literal["hf"] = "hf"
    root: Path = Field(description="folder of a dataset: Arrow or Parquet files, or an audiofolder with its metadata")
    sound: str | None = Field(None, description="column of sounds or videos [default: the only one]")
    label: str | None = Field(None, description="column of classes [default: label, or the only ClassLabel]")
    group: str | None = Field(
        None, description="column, such as speaker_id, whose rows with one value are in one split [default: each sound]"
    )
    official_splits: bool = Field(True, description="whether the splits are those of the dataset")

    def check_root(self) -> None:
        """Check that there is a table."""
        find_tables(Tree(self.list_roots(), follow_links=self.follow_links))

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the rows of the tables; what is embedded in them is unpacked first."""
        folder = home.absolute() / "corpora" / f"hf-{digest(self.source())[:12]}"
        recordings = []
        num_rows: Counter[str] = Counter()
        tables = find_tables(tree)
        for number, table in enumerate(tables):
            progress("reading the tables", number, len(tables))
            split = read_split(tree.roots[0], table)
            for row in self._read_rows(table, folder):
                recording = self._make_recording(row, split, num_rows)
                is_in_root = recording.problem or recording.path.parent == folder
                recordings.append(recording if is_in_root else tree.check(recording))
        return sorted(recordings, key=lambda recording: (recording.class_name, recording.name))

    def fixed_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return the splits of the dataset; without a test split, one is held out of what is not for validation."""
        splits = self._collect_splits(recordings)
        if "test" not in splits.values():
            return {group: split for group, split in splits.items() if split == "validation"}
        return super().fixed_splits(recordings) or splits

    def list_test_groups(self, recordings: Sequence[Recording]) -> set[str] | None:
        """Return the groups of the test split of a dataset without a validation split."""
        splits = self._collect_splits(recordings)
        if set(splits.values()) != {"train", "test"}:
            return None
        return {group for group, split in splits.items() if split == "test"}

    def _read_rows(self, table: Path, folder: Path) -> list[Unpacked]:
        stat = table.stat()
        state = f"{table.name} {stat.st_size} {stat.st_mtime_ns} {self.sound} {self.label} {self.group}"
        return unpack(
            table,
            folder,
            digest(f"{table} {state}")[:24],
            lambda: read_table_rows(table, sound=self.sound, label=self.label, group=self.group),
        )

    def _make_recording(self, row: Unpacked, split: Split | None, num_rows: Counter[str]) -> Recording:
        """Return a recording.

        Args:
            row: its row.
            split: the split of its table.
            num_rows: the number of rows of each name so far. A second row of one name gets a number.
        """
        name = "/".join(part for part in (row.label, split, row.name) if part)
        num_rows[name] += 1
        number = num_rows[name]
        # A group, such as a speaker, may be in several splits of the dataset, which then count.
        own_group = _add_number(row.name, number)
        group = "/".join([*([split] if split and self.official_splits else []), row.group or own_group])
        problem = "" if row.label else "its row has no label"
        if not row.sound:
            problem = "its row has no sound"
        picture = Path(row.picture) if row.picture else None
        return Recording(_add_number(name, number), Path(row.sound), row.label, group, picture, problem=problem)

    def _collect_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return the split of each group, from its name; none where the dataset has one split only."""
        names: tuple[Split, ...] = ("train", "validation", "test")
        splits = {
            recording.group: split
            for recording in recordings
            for split in names
            if recording.group.startswith(f"{split}/") and not recording.problem
        }
        return splits if self.official_splits and len(set(splits.values())) > 1 else {}


def _add_number(name: str, number: int) -> str:
    return name if number == 1 else f"{name}#{number}"
