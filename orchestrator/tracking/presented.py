"""What of the best trials' renderings is put side by side: sounds on one page, pictures in one chart."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.state.history import History
from orchestrator.state.tracked import MEDIA, Trial
from orchestrator.tracking import artifacts
from orchestrator.tracking.description import best_in_words, best_name
from orchestrator.tracking.sounds_page import Column


def heard_columns(history: History) -> list[Column]:
    """Return a column for the best trial of each arm that can be heard."""
    columns = []
    for best in history.tallies.bests:
        media = max((name for name in best.files if name.startswith(MEDIA)), default=None, key=_lateness)
        if media:
            caption = f"{best_name(best)}: {best_in_words(history, best)}"
            columns.append(Column(best.arm, caption, best.folder / media, best.files[media]))
    return columns


def common_pictures(bests: Sequence[Trial]) -> tuple[str | None, list[str]]:
    """Return the last epoch's folder of renderings that all of these trials have, and the keys of its pictures."""
    prefix = f"{MEDIA}/{artifacts.HISTORY_PREFIX}"
    kept = [{name for name in best.files if name.startswith(prefix)} for best in bests]
    folder = max(set.intersection(*kept), default=None) if kept else None
    return folder, list(artifacts.picture_keys(bests[0].folder / folder).values()) if folder else []


def _lateness(media: str) -> tuple[bool, str]:
    """The best epoch's renderings before those of any other, of which the latest."""
    return media.endswith(artifacts.BEST), media
