"""What trains a generator of pictures: one class for each kind, behind the same few methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from trainables.sound_to_image.conditioned_pairs import ConditionedPairs


class Game(ABC):
    """The training of a `PictureFromSound`, with its optimizers and random numbers.

    The model has the weights that generate; a game has everything else that the next epoch depends on.
    """

    @abstractmethod
    def train_epoch(self, most: int | None = None) -> dict[str, float]:
        """Train for one epoch, and return the metrics `train/…` and `optim/lr`.

        Args:
            most: the largest number of batches; None for all of them.
        """

    def validate(self, pairs: ConditionedPairs) -> dict[str, float]:
        """Return metrics on held-out pairs, beside those of the generated pictures; by default none."""
        return {}

    @property
    def waited_s(self) -> float:
        """The seconds in which the last epoch waited for data; by default 0, with all data in memory."""
        return 0.0

    def close(self) -> None:  # noqa: B027
        """End what an epoch that was left before its end still does; by default nothing."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return optimizers, numbers of steps, random generators, and networks that only training needs."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
