"""`orchestrate data size`: estimate the disk space that a search space's corpus will need."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.plugins.corpora import CLIP_BYTES, check_corpus, estimate_clips
from orchestrator.state.disk import format_bytes, free_bytes
from reports import vocabulary as words

if TYPE_CHECKING:
    from pydantic import BaseModel

    from orchestrator.search_space.sweep import Sweep

GRID = re.compile(r"(\d+)x(\d+)")
FEATURE_BYTES = 2
"""A value of a spectrogram in the cache is a float16."""
IMAGE_SETTING = "image_size"


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
        raise UserError(f"{sweep.path}: has no corpus, so it needs none of the disk's space for one")
    check_corpus(sweep.space.corpus)
    estimate = estimate_clips(sweep.space.corpus, home)
    say(
        f"{words.amount(estimate.recordings, 'recording')}, {words.amount(estimate.clips, 'clip')}"
        f" (estimated from the durations of {words.amount(estimate.probed, 'file')})"
    )
    parts = [("clips", CLIP_BYTES), *_features(sweep)]
    for what, clip_bytes in parts:
        say(f"  {what}: {format_bytes(clip_bytes * estimate.clips)}")
    total = sum(clip_bytes for _, clip_bytes in parts) * estimate.clips
    say(f"{format_bytes(total)} in the cache; {format_bytes(free_bytes(home))} free")


def _features(sweep: Sweep) -> Iterator[tuple[str, int]]:
    """Yield what is cached of each clip beside its samples, and its bytes."""
    parts: dict[str, int] = {}
    for arm in sweep.arms:
        for params in (arm.middle(), *(corner for _, corner in arm.corners())):
            config = sweep.declaration.Config(
                **{name: value for name, value in params.items() if name in sweep.declaration.Config.model_fields}
            )
            parts |= _spectrograms(config)
            if (size := getattr(config, IMAGE_SETTING, None)) is not None:
                parts[f"images of {size} px"] = 3 * int(size) ** 2
    yield from sorted(parts.items())


def _spectrograms(config: BaseModel) -> dict[str, int]:
    """Return the bytes of each spectrogram of a clip that a configuration needs, by its name."""
    if (representation := getattr(config, "clip_representation", None)) is not None:
        return {
            f"spectrogram {feature.name}": math.prod(feature.grid.shape) * FEATURE_BYTES
            for feature in representation.features
        }
    # A trainable of one's own may say no more than the size.
    grids = {str(value): GRID.fullmatch(str(value)) for _, value in config}
    return {
        f"spectrograms of {value}, each quantity": int(grid[1]) * int(grid[2]) * FEATURE_BYTES
        for value, grid in grids.items()
        if grid
    }
