"""What the cache of a corpus keeps of each clip in addition to its samples, for the configurations of a sweep."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from orchestrator.plugins.corpora import clip_format_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from orchestrator.search_space.sweep import Sweep

GRID = re.compile(r"(\d+)x(\d+)")
FEATURE_BYTES = 2
"""A value of a spectrogram in the cache is a float16."""
IMAGE_SETTING = "image_size"


def list_feature_sets(sweep: Sweep, clip_frames: int) -> list[tuple[str, int]]:
    """Return the name of each feature set that a search space needs, and the bytes of one clip in it.

    Args:
        sweep: the search space.
        clip_frames: frames of a clip at full resolution.
    """
    parts: dict[str, int] = {}
    for arm in sweep.arms:
        for params in (arm.middle(), *(corner for _, corner in arm.corners())):
            config = sweep.declaration.Config(
                **{name: value for name, value in params.items() if name in sweep.declaration.Config.model_fields}
            )
            parts |= _spectrograms(config, clip_frames)
            if (size := getattr(config, IMAGE_SETTING, None)) is not None:
                parts[f"images of {size} px"] = 3 * int(size) ** 2
    return sorted(parts.items())


def _spectrograms(config: BaseModel, clip_frames: int) -> dict[str, int]:
    """Return the bytes of each spectrogram of a clip that a configuration needs, by its name."""
    if (representation := getattr(config, "clip_representation", None)) is not None:
        return {
            f"spectrogram {feature.name}": math.prod(feature.grid.shape(clip_frames)) * FEATURE_BYTES
            for feature in representation.features
        }
    # A user's trainable may give only the size.
    grids = {str(value): GRID.fullmatch(str(value)) for _, value in config}
    usual_frames = clip_format_of(None).frames
    return {
        f"spectrograms of {value}, each quantity": int(grid[1])
        * clip_frames
        // usual_frames
        * int(grid[2])
        * FEATURE_BYTES
        for value, grid in grids.items()
        if grid
    }
