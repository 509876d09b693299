"""What a sweep says of its added judges before the first trial, and when it refuses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import UserError
from reports import vocabulary as words


def present_judges(
    sweep: str, scores: Mapping[str, Mapping[str, Any]], before: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Say what each added judge recognizes of real clips.

    Args:
        sweep: the name of the sweep.
        scores: what each judge recognizes (see `plugins.additions.score_judges`).
        before: the record of the last start, if the sweep has trials; else empty.
        say: prints a line.

    Raises:
        UserError: trials of the sweep were judged by another judge of the same name.
    """
    earlier = before.get("judges", {})
    for name, score in scores.items():
        say(words.describe_judge(name, score))
        if name in earlier and earlier[name]["id"] != score["id"]:
            raise UserError(
                f"sweep {sweep} was judged by {earlier[name]['id']}, the judge is now {score['id']} (its weights, "
                "settings or code are others): their values can't be compared; start another sweep with --name"
            )
