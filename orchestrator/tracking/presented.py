"""What of the best trials' renderings is put side by side: sounds on one page, pictures in one chart."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.state.history import History
from orchestrator.state.paths import MEDIA
from orchestrator.state.trial_files import TrialFiles
from orchestrator.tracking import artifacts
from orchestrator.tracking.description import best_in_words, best_name
from orchestrator.tracking.sounds_page import Column


def heard_columns(history: History) -> list[Column]:
    """Return a column for the best trial of each arm that can be heard."""
    columns = []
    for best in history.best_trials():
        files = history.files[best.number]
        media = max(files.media, default=None, key=_lateness)
        if media:
            caption = f"{best_name(best)}: {best_in_words(history, best)}"
            columns.append(Column(best.arm, caption, files.folder / media, files.made_ns[media]))
    return columns


def common_pictures(bests: Sequence[TrialFiles]) -> tuple[str | None, list[str]]:
    """Return the newest folder of renderings that all of these trials have, and the keys of its pictures."""
    prefix = f"{MEDIA}/{artifacts.HISTORY_PREFIX}"
    kept = [{name for name in best.media if name.startswith(prefix)} for best in bests]
    folder = max(set.intersection(*kept), default=None) if kept else None
    return folder, list(artifacts.picture_keys(bests[0].folder / folder).values()) if folder else []


def _lateness(media: str) -> tuple[bool, str]:
    """The best epoch's renderings before those of any other, of which the latest."""
    return media.endswith(artifacts.BEST), media
