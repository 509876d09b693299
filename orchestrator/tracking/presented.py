"""The renderings of the best trials that are shown side by side: sounds on one page, pictures in one chart."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.state.history import History
from orchestrator.state.paths import MEDIA
from orchestrator.state.trial_files import TrialFiles
from orchestrator.tracking import artifacts
from orchestrator.tracking.notes import best_name, describe_best
from orchestrator.tracking.sounds_page import Column


def make_columns(history: History) -> list[Column]:
    """Return a column of the page of sounds for the best trial of each arm that has renderings."""
    columns = []
    for best in history.best_trials():
        files = history.files[best.number]
        media = max(files.media, default=None, key=_preference)
        if media:
            caption = f"{best_name(best)}: {describe_best(history, best)}"
            columns.append(Column(best.arm, caption, files.folder / media, files.made_ns[media]))
    return columns


def find_best_pictures(bests: Sequence[TrialFiles]) -> list[str]:
    """Return the keys of the pictures of the best epoch that all of these trials with pictures have.

    Args:
        bests: the files of the trials.
    """
    media = f"{MEDIA}/{artifacts.BEST}"
    keys = [list(artifacts.picture_keys(best.folder / media).values()) for best in bests if media in best.media]
    return [key for key in keys[0] if all(key in others for others in keys)] if keys else []


def _preference(media: str) -> tuple[bool, str]:
    """Return a sort key whose largest value is the best epoch's renderings, then those of the latest epoch."""
    return media.endswith(artifacts.BEST), media
