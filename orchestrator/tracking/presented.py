"""The renderings of the best trials that are shown side by side: sounds on one page, pictures in one chart."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.state.history import History
from orchestrator.state.paths import MEDIA
from orchestrator.state.trial_files import TrialFiles
from orchestrator.tracking import artifacts
from orchestrator.tracking.description import best_name, describe_best
from orchestrator.tracking.sounds_page import Column


def make_columns(history: History) -> list[Column]:
    """Return a column of the page of sounds for the best trial of each arm that has renderings."""
    columns = []
    for best in history.best_trials():
        files = history.files[best.number]
        media = max(files.media, default=None, key=_preference)
        if media and best.number in history.with_media:
            caption = f"{best_name(best)}: {describe_best(history, best)}"
            columns.append(Column(best.arm, caption, files.folder / media, files.made_ns[media]))
    return columns


def find_common_pictures(bests: Sequence[TrialFiles]) -> tuple[str | None, list[str]]:
    """Return the folder of the latest epoch that all of these trials have rendered, and the keys of its pictures.

    Args:
        bests: the files of the trials.

    Returns:
        The name of the folder, such as `media/epoch_05`, or None; and the keys of the pictures in it.
    """
    prefix = f"{MEDIA}/{artifacts.HISTORY_PREFIX}"
    folders: list[set[str]] = []
    for best in bests:
        folders.append({name for name in best.media if name.startswith(prefix)})
    folder = max(set.intersection(*folders), default=None) if folders else None
    if not folder:
        return folder, []
    return folder, list(artifacts.picture_keys(bests[0].folder / folder).values())


def _preference(media: str) -> tuple[bool, str]:
    """Return a sort key whose largest value is the best epoch's renderings, then those of the latest epoch."""
    return media.endswith(artifacts.BEST), media
