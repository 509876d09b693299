"""The settings of a command: every parameter of its search space."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, model_validator

from trainables.command.description import SUPPLIED
from trainables.trainable import TrialConfig


class AnyConfig(TrialConfig):
    """The settings of a command: every parameter of the search space."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, settings: dict[str, Any]) -> dict[str, Any]:
        # No parameter of any trainable may be called seed, which is refused elsewhere.
        for name in sorted(SUPPLIED.keys() & settings.keys() - {"seed"}):
            raise ValueError(f"{name} can't be a parameter of a command: it is {SUPPLIED[name]}")
        return settings
