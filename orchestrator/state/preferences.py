"""The file in which `orchestrate listen` leaves strengths of trials for the driver, which writes them to its log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.state.home import home_option
from orchestrator.state.paths import PREFERENCES
from orchestrator.storage.durable import write_whole


class Preferences(BaseModel):
    """Strengths of trials, estimated from the votes of listeners.

    Attributes:
        scores: the Bradley–Terry strength of each trial with enough votes, by the trial's number.
        votes: the number of votes from which they were estimated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    scores: dict[int, float]
    votes: int

    @field_validator("scores")
    @classmethod
    def _check_scores(cls, scores: Mapping[int, float]) -> Mapping[int, float]:
        if not all(math.isfinite(score) for score in scores.values()):
            raise ValueError("a strength is not a finite number")
        return scores


def write_preferences(folder: Path, preferences: Preferences) -> None:
    """Write the strengths into a sweep's folder, whole or not at all."""
    write_whole(folder / PREFERENCES, json.dumps(preferences.model_dump(mode="json"), indent=1))


def read_preferences(folder: Path) -> Preferences | None:
    """Return the strengths in a sweep's folder; None if listeners have not voted yet.

    Raises:
        UserError: the file is broken.
    """
    path = folder / PREFERENCES
    try:
        return Preferences.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        command = format_command("listen", folder.name, "--method", "prefer", *home_option(folder.parent))
        raise UserError(
            f"{path}: can't be read ({reason}); delete it: {command} writes it again from all votes"
        ) from None
