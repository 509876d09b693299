"""The interface of added judges: networks from elsewhere that classify the clips of trials, beside the corpus judge.

    @JUDGES.register("my_ear")
    class MyEar(AddedJudge):
        rate_hz = 16_000

        def answer(self, clips): return Answer(embeddings=…, scores=…)

This module imports neither torch nor numpy: a search space is checked without them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Modality = Literal["sound", "picture"]


class JudgeSettings(BaseModel):
    """The keys of one entry of `judges:`; a judge with more of them has a sub-class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="the judge: a registered name, or a file that registers one")
    weights: Path | None = Field(None, description="file of its weights, which is never downloaded")
    classes: Path | None = Field(
        None,
        description="CSV table with the columns `index` (an output of the judge) and `class` (the class of the corpus "
        "that it stands for, or empty); without it, a linear probe is fitted to embeddings of train clips",
    )
    clips: int = Field(256, ge=2, description="validation clips that it judges after an epoch, at most")
    seconds_per_batch: float = Field(60, gt=0, description="time limit for a batch of 16 clips")


@dataclass(frozen=True)
class Answer:
    """A judge's answer to a batch of clips.

    Attributes:
        embeddings: the activations that distances between distributions compare, of shape (clips, features).
        scores: a number ≥ 0 for each output, of shape (clips, outputs); None if there are embeddings only. A table
            `classes:` assigns outputs to the classes of the corpus. Without one, they are used if the judge
            `knows_classes`.
    """

    embeddings: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None


class AddedJudge(ABC):
    """A judge that a search space adds by its registered name.

    It is constructed in every process that trains a trial. The same clips must always get the same answer.
    """

    Settings: ClassVar[type[JudgeSettings]] = JudgeSettings
    modality: ClassVar[Modality] = "sound"
    rate_hz: ClassVar[int] = 22_050
    """The sampling rate of the sounds that `answer` gets."""
    size_px: ClassVar[int] = 64
    """The height and width of the pictures that `answer` gets."""
    needs_weights: ClassVar[bool] = False
    knows_classes: bool = False
    """Whether `scores` are those of the corpus's classes, in the order of `classes`."""

    def __init__(self, settings: Any, classes: Sequence[str]) -> None:
        """Load the network.

        Args:
            settings: an instance of `Settings`.
            classes: the names of the corpus's classes.

        Raises:
            InputError: the weights can't be read, or are of another network.
        """
        self.settings = settings
        self.classes = tuple(classes)

    @abstractmethod
    def answer(self, clips: NDArray[np.float32]) -> Answer:
        """Return the answer to a batch of clips.

        Args:
            clips: sounds within ±1 at `rate_hz`, of shape (clips, samples), all of the length of the corpus's clips,
                which is 2 s unless it chooses another; or pictures within 0..1, of shape (clips, 3, `size_px`,
                `size_px`).
        """


@dataclass(frozen=True)
class JudgeTraits:
    """What is known of a registered judge without its module."""

    modality: Modality = "sound"


JUDGES: LazyRegistry[type[AddedJudge], JudgeTraits] = LazyRegistry(
    "judge", "trainables.components.judges.pretrained", "JUDGES.register", JudgeTraits
)
"""Added judges by name."""
