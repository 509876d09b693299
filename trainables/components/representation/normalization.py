"""What a normalization is: an invertible map of one part of clips before a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from trainables.components.shapes import Clips

Statistics = Float[Tensor, "clips statistics"]


class Normalization(ABC):
    """An invertible map of one part of clips: their log-power in nats, or their phase.

    Attributes:
        num_statistics: the number of values per clip that its inversion needs.
        is_bounded: whether normalized training clips lie within ±1, the range of tanh.
        needs_both: whether it uses magnitude and phase together; without one of them it equals another normalization.
    """

    num_statistics: ClassVar[int] = 0
    is_bounded: ClassVar[bool] = False
    needs_both: ClassVar[bool] = False

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:  # noqa: B027
        """Fit to the training split, given as batches of the part; does nothing by default."""

    def statistics(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Statistics:
        """Compute the `num_statistics` values per clip that `apply` and `invert` need; none by default.

        Args:
            part: the channels to normalize.
            clips: all channels of the same clips, for normalizations that use magnitude and phase together.

        Returns:
            Shape (clips, num_statistics).
        """
        return part.new_zeros(len(part), 0)

    @abstractmethod
    def apply(self, part: Clips, statistics: Statistics) -> Clips:
        """Normalize a part of clips, given what `statistics` returned for them."""

    @abstractmethod
    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        """Invert `apply`, given the statistics of the clips or predictions of them."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return what `fit` computed."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Restore what `state_dict` returned."""
