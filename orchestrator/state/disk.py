"""Room on the disk: what trials need, what they may leave behind, and when there is too little."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.state.paths import BEST, CHECKPOINT, LAST, trial_folder
from reports import vocabulary as words

GIB = 2**30
LOOK_EVERY_S = 2.0
CHECKPOINTS_WRITTEN = 2
"""Checkpoints that a running trial adds before it deletes one: the new one, and a best one that is another."""
WAIT_S = 10.0
"""After a write failed the disk counts as full for so long, whatever is said of it."""


def tidy(folder: Path, outcome: str, *, keep_pruned: bool) -> None:
    """Delete the checkpoints that an ended trial has no more use for.

    Args:
        folder: of the trial.
        outcome: how it ended. Completed ones keep their best and their last; failed and diverged ones the last good
            ones too, from which they can be tried again; pruned ones none.
        keep_pruned: whether pruned ones are treated like completed ones.
    """
    if outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
        return
    kept = () if outcome == words.OUTCOME_PRUNED and not keep_pruned else (BEST, LAST)
    with contextlib.suppress(FileNotFoundError):
        for path in (folder / CHECKPOINT).iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """What is free where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def in_bytes(number: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def check_free(folder: Path, min_free_gib: float) -> None:
    """Make sure that a sweep does not begin with a pause.

    Raises:
        UserError: there is less than `disk.min_free_gib`.
    """
    free = free_bytes(folder)
    if free < min_free_gib * GIB:
        raise UserError(
            f"{folder}: its disk has {free / GIB:.2f} GiB free, disk.min_free_gib asks for {min_free_gib:g}; free some "
            "(orchestrate clean NAME), choose another disk with --home, or ask for less"
        )


class Space:
    """Watches the disk of a sweep.

    Attributes:
        shortage: what is short, in words, or nothing.
    """

    def __init__(self, folder: Path, min_free_gib: float) -> None:
        self.folder = folder
        self.min_free = min_free_gib * GIB
        self.shortage = ""
        self._looked_s = self._full_until_s = float("-inf")

    def is_full(self) -> None:
        """Somebody could not write."""
        self._full_until_s = time.monotonic() + WAIT_S
        self._looked_s = float("-inf")

    def look(self, live: Iterable[int]) -> str:
        """What is short, or nothing; looks every two seconds at most.

        Args:
            live: the trials that are about to write.
        """
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            free = shutil.disk_usage(self.folder).free
            needed = max(self.min_free, sum(self._to_write(number) for number in live))
            is_short = free < needed or time.monotonic() < self._full_until_s
            self.shortage = (
                f"{self.folder}: its disk has {free / GIB:.2f} GiB free, {needed / GIB:.2f} are needed "
                "(disk.min_free_gib, or what running trials still write); orchestrate clean frees some."
                if is_short
                else ""
            )
        return self.shortage

    def _to_write(self, number: int) -> int:
        try:
            return CHECKPOINTS_WRITTEN * (trial_folder(self.folder, number) / CHECKPOINT / LAST).stat().st_size
        except FileNotFoundError:
            return 0
