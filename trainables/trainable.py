"""What a trial runs: the interface of every trainable.

A trainable is plain torch code. It can be run in a notebook with two lines:

    trainable = Autoencoder(Autoencoder.Config(loss="l1"), corpus, device="cpu", seed=0)
    print(trainable.step())
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainables.corpora.splits import Split
from trainables.errors import InputError
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

    from trainables.components.generation import Model
    from trainables.corpora.corpus import Corpus

Comparable = Literal["all", "same_representation", "same_loss"]


class OfTrial:
    """Marks a setting that may name a trial of another sweep, such as losses/7; the trainable is given its file."""


TrainedModel = Annotated[str, OfTrial()]
"""A trained model: a word of the trainable's own (`scratch`), a trial, or the path of a checkpoint."""


class TrialConfig(BaseModel):
    """Settings of one trial; each field is a key of `params:` in a search space and keeps that name everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Metric:
    """What a metric that `step` returns means.

    Attributes:
        mode: which way is better.
        comparable: between which trials its values may be ranked: `all`; only those of the `same_representation`
            (size and normalization), because it is taken in the trial's own units; only those of the `same_loss`.
        description: one line with the unit.
    """

    mode: Literal["min", "max"]
    comparable: Comparable
    description: str


@dataclass(frozen=True)
class Media:
    """What the probe clips sound and look like as a trial makes them now.

    Attributes:
        audio: file stem to samples, float32 of shape (samples,) within ±1.
        images: file stem to picture, uint8 of shape (height, width, 3).
        clips: one row a clip for the table of clips; `clip` is its name, `spectrogram` or `image` the stem of a
            picture: of the second kind if it shows what was seen or made, whatever else is on it.
        rate_hz: sampling rate of every sound.
    """

    audio: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    clips: Sequence[Mapping[str, str | float]] = ()
    rate_hz: int = 22050


class Trainable(ABC):
    """Torch code that a trial runs; `step` is one epoch.

    Randomness comes from `seed` through generators that the trainable owns, or from torch's, numpy's and Python's
    global ones, which the caller seeds before construction and saves beside `state_dict`.
    """

    Config: ClassVar[type[TrialConfig]] = TrialConfig
    METRICS: ClassVar[Mapping[str, Metric]] = {}
    """Every metric that `step` returns and an objective may name."""
    RENDERING: ClassVar[frozenset[str]] = frozenset()
    """Settings that training has no use for, only what is made of its result: they may be changed in `config` later."""
    GENERATES: ClassVar[tuple[Literal["image", "sound"], Literal["image", "sound"]] | None] = None
    """What it takes and what it makes, of a trainable that can be `exported`."""
    DEBUG: ClassVar[Mapping[str, Any]] = {}
    """The smallest settings worth running; contract tests use them."""
    config: Any
    batches_per_epoch: int | None = None
    """Stop every epoch after so many batches; for a look in a debugger."""

    @abstractmethod
    def __init__(self, config: Any, corpus: Corpus | None, *, device: str, seed: int) -> None: ...

    @classmethod
    def prepare(
        cls, configs: Sequence[Any], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Compute, once and before any trial, what trials of these settings share: features, judges.

        Returns:
            Reference lines: rows of `{"reference": name, "size": size or None, metric: value, …}`.
        """
        return []

    @classmethod
    def reported(cls, config: Any) -> Collection[str]:
        """Those of `METRICS` that `step` returns with these settings."""
        return cls.METRICS

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        """What tells the judge that hears these trials from another; None where nobody judges."""
        return None

    @classmethod
    def checkpoint_bytes(cls, config: Any) -> int | None:
        """About how large a saved `state_dict` of these settings is; None if that is not known before a trial runs."""
        return None

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return its metrics, named `split/name[_unit]`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: tensors, numbers, strings, and lists and dicts of them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""

    def exported(self) -> Model:
        """What it takes to generate without this corpus.

        Raises:
            InputError: it generates nothing.
        """
        raise InputError(f"{type(self).__name__} generates nothing that could be taken elsewhere")

    def render(self, probes: NDArray[np.int64]) -> Media | None:
        """The probe clips (indices into `corpus.clips`) as the trainable would make them now."""
        return None

    def evaluate(self, split: Split) -> pd.DataFrame | None:
        """Judge the waveforms of a split; a row a recording: `recording`, `class`, and one column a metric."""
        return None
