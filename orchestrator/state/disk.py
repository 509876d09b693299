"""Disk space: the checkpoints that ended trials keep, and a check that running trials have enough space."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.state.paths import BEST, CHECKPOINT, LAST, TRAINABLE_FOLDER, trial_folder
from reports import vocabulary as words

GIB = 2**30
LOOK_EVERY_S = 2.0
"""The shortest time between two looks at the disk."""
CHECKPOINTS_WRITTEN = 2
"""The most checkpoints that a running trial adds before it deletes one: the newest one, and the best one."""
WAIT_S = 10.0
"""How long the disk counts as full after a write failed, even if it has free space (as under a quota)."""


def tidy(folder: Path, outcome: str, *, keep_pruned: bool) -> None:
    """Delete the checkpoints that an ended trial no longer needs.

    Args:
        folder: the trial's folder.
        outcome: how the trial ended. A completed one keeps its best and its last checkpoint. A failed or diverged one
            keeps all, so that it can be retried. A pruned one keeps none, nor files of its trainable's own.
        keep_pruned: whether a pruned trial keeps the same checkpoints as a completed one.
    """
    if outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
        return
    keeps_nothing = outcome == words.OUTCOME_PRUNED and not keep_pruned
    kept = () if keeps_nothing else (BEST, LAST)
    if keeps_nothing:
        # Its command may still be writing, and is stopped in a moment.
        shutil.rmtree(folder / TRAINABLE_FOLDER, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        for path in (folder / CHECKPOINT).iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def format_bytes(number: float) -> str:
    """Return a number of bytes as text with a decimal unit: `25 MB`."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def check_free(folder: Path, min_free_gib: float) -> None:
    """Check that a sweep has the free space that its search space asks for; without it no trial would start.

    Raises:
        UserError: there is less free space than `disk.min_free_gib`.
    """
    free = free_bytes(folder)
    if free < min_free_gib * GIB:
        raise UserError(
            f"{folder}: its disk has {free / GIB:.2f} GiB free, disk.min_free_gib asks for {min_free_gib:g}; free some "
            "(orchestrate clean NAME), choose another disk with --home, or ask for less"
        )


class Space:
    """The free space of a sweep's disk.

    Attributes:
        shortage: the message that space is short, as of the last look; empty if there is enough.
    """

    def __init__(self, folder: Path, min_free_gib: float) -> None:
        """Look at nothing yet.

        Args:
            folder: the sweep's folder.
            min_free_gib: the space to be kept free, in GiB.
        """
        self.folder = folder
        self.min_free = min_free_gib * GIB
        self.shortage = ""
        self._looked_s = self._full_until_s = float("-inf")
        self._elsewhere = ""

    def note_full(self, reason: str = "") -> None:
        """Note that a write failed for lack of space.

        Args:
            reason: the error of a trial's process, which says where if that is another disk.
        """
        self._elsewhere = reason
        self._full_until_s = time.monotonic() + WAIT_S
        self._looked_s = float("-inf")

    def look(self, live: Iterable[int]) -> str:
        """Look at the disk, at most every two seconds, and return the message that space is short; "" if it is not.

        Args:
            live: numbers of the trials that will write checkpoints.
        """
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            free = shutil.disk_usage(self.folder).free
            needed = max(self.min_free, sum(self._to_write(number) for number in live))
            is_short = free < needed or time.monotonic() < self._full_until_s
            message = (
                f"{self.folder}: its disk has {free / GIB:.2f} GiB free, {needed / GIB:.2f} are needed "
                "(disk.min_free_gib, or what running trials still write); orchestrate clean frees some."
            )
            if is_short and free >= needed and self._elsewhere:
                message = f"a trial could not write ({self._elsewhere}); free some space there."
            self.shortage = message if is_short else ""
        return self.shortage

    def _to_write(self, number: int) -> int:
        """Return the bytes that a running trial may add; 0 before its first checkpoint, whose size is not known."""
        try:
            return CHECKPOINTS_WRITTEN * (trial_folder(self.folder, number) / CHECKPOINT / LAST).stat().st_size
        except FileNotFoundError:
            return 0
