"""A trainable whose data come from `Batches`."""

from __future__ import annotations

from trainables.components.training.batches import Batches
from trainables.trainable import Trainable


class BatchTrainable(Trainable):
    """A trainable that takes the batches of its epochs from `batches`.

    Attributes:
        batches: the batches of the training split, whose state is part of the trainable's.
    """

    batches: Batches

    @property
    def waited_s(self) -> float:
        """The seconds in which the last epoch waited for data."""
        return self.batches.waited_s

    def close(self) -> None:
        """End the thread that reads data, if an epoch was left before its end."""
        self.batches.close()
