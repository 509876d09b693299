"""`orchestrate data prepare`: decode a corpus before a sweep needs it, and show what is in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from orchestrator.plugins.corpora import ClassCounts, count_clips, open_corpus, skip_reasons
from orchestrator.state.home import open_home
from reports import vocabulary as words

if TYPE_CHECKING:
    from rich.console import Console

    from trainables.corpora.corpus import Corpus
    from trainables.corpora.shards.store import Counts

PLAIN_EVERY_S = 30.0
"""Interval between lines of progress where there is no terminal."""
MOST_REASONS = 8


def prepare(settings: Mapping[str, Any], home: Path, console: Console) -> None:
    """Decode what is not decoded yet, and print a table by class.

    Args:
        settings: the settings of the corpus.
        home: the folder of caches.
        console: prints everything.

    Raises:
        UserError: the corpus can't be used, or the home can't be written.
    """
    open_home(home)
    display = _Display(console)
    with display.bar or nullcontext():
        corpus = open_corpus(settings, home, display.show_writing, display.show_decoding)
    print_corpus(corpus, console)


class _Display:
    """The progress: a bar in a terminal, a line now and then anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since_s: float | None = None
        self._items_before = 0
        self._next_line_s = 0.0
        self.bar: Progress | None = None
        if console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[counts]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self.bar.add_task("listing files", total=None, counts="")

    def show_writing(self, what: str, done: int, total: int) -> None:
        """Show how far a corpus is that is generated first."""
        if self.bar is not None:
            self.bar.update(self._task, description=what, completed=done, total=total)

    def show_decoding(self, counts: Counts) -> None:
        """Show the counts of files, of clips and of skipped files, the clips per second, and the time left."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s, self._items_before = now_s, counts.items
            self._files_before, self._next_line_s = counts.files, now_s + PLAIN_EVERY_S
        speed = (counts.items - self._items_before) / max(1e-3, now_s - self._since_s)
        line = f"{counts.items} clips, {speed:.0f} clips/s, {counts.skipped} skipped"
        if self.bar is not None:
            self.bar.update(
                self._task, description="reading files", completed=counts.files, total=counts.total, counts=line
            )
        elif now_s >= self._next_line_s:
            self._next_line_s = now_s + PLAIN_EVERY_S
            files_per_s = (counts.files - self._files_before) / max(1e-3, now_s - self._since_s)
            minutes = (counts.total - counts.files) / max(1e-9, files_per_s) / 60
            self._console.print(
                f"{counts.files} of {words.amount(counts.total, 'file')}: {line}, {minutes:.0f} min left",
                soft_wrap=True,
            )


def print_corpus(corpus: Corpus, console: Console) -> None:
    """Print what a corpus has of each class, and what was left out and why."""
    table = Table(title=f"corpus {corpus.name} ({corpus.fingerprint})", box=None, pad_edge=False, header_style="bold")
    table.add_column("class", no_wrap=True)
    for heading in ("recordings", "clips", "hours", "train", "validation", "test", "skipped"):
        table.add_column(heading, justify="right")
    for row in count_clips(corpus):
        table.add_row(*_format_row(row))
    console.print(table)
    reasons = skip_reasons(corpus)
    for reason, names in reasons[:MOST_REASONS]:
        console.print(
            f"skipped: {words.amount(len(names), 'file')}: {reason}, such as {names[0]}", soft_wrap=True, markup=False
        )
    if reasons:
        console.print(
            f"All of them: {corpus.folder / 'skipped.csv'}. A file whose reason is gone, such as short memory, is used"
            " once that folder is deleted and the corpus prepared again.",
            soft_wrap=True,
            markup=False,
        )


def _format_row(row: ClassCounts) -> tuple[Text | str, ...]:
    splits = (f"{row.splits.get(split, 0)}" for split in ("train", "validation", "test"))
    # A plain string would be read as markup, and brackets would disappear.
    return Text(row.name), str(row.recordings), str(row.clips), f"{row.hours:.2f}", *splits, str(row.skipped)
