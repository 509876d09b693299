"""`orchestrate data size`: estimate the disk space that a search space's corpus will need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.data.feature_sets import list_feature_sets
from orchestrator.errors import UserError
from orchestrator.plugins.corpora import SAMPLE_BYTES, check_corpus, clip_format_of, estimate_clips
from orchestrator.state.disk import format_bytes, free_bytes
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.sweep import Sweep


def say_size(sweep: Sweep, home: Path, say: Callable[[str], None]) -> None:
    """Print what the clips, the spectrograms and the images of a search space take on the disk.

    Args:
        sweep: the search space.
        home: the folder of caches; a generated corpus is written below it.
        say: prints a line.

    Raises:
        UserError: it has no corpus, or the corpus can't be used.
    """
    if not sweep.space.corpus:
        raise UserError(f"{sweep.path}: has no corpus, so it needs no disk space for one")
    check_corpus(sweep.space.corpus)
    estimate = estimate_clips(sweep.space.corpus, home)
    say(
        f"{words.amount(estimate.recordings, 'recording')}, {words.amount(estimate.clips, 'clip')}"
        f" (estimated from the durations of {words.amount(estimate.probed, 'file')})"
    )
    clip_format = clip_format_of(sweep.space.corpus)
    parts = [("clips", SAMPLE_BYTES * clip_format.samples), *list_feature_sets(sweep, clip_format.frames)]
    for what, clip_bytes in parts:
        say(f"  {what}: {format_bytes(clip_bytes * estimate.clips)}")
    total = sum(clip_bytes for _, clip_bytes in parts) * estimate.clips
    say(f"{format_bytes(total)} in the cache; {format_bytes(free_bytes(home))} free")
