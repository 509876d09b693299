"""The interface of trainables: the classes that trials construct and train.

A trainable is plain torch code. Two lines run it in a notebook:

    trainable = Autoencoder(Autoencoder.Config(loss="l1"), corpus, device="cpu", seed=0)
    print(trainable.step())
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.corpora.splits import Split
from trainables.errors import InputError
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from trainables.components.generation import Model
    from trainables.corpora.corpus import Corpus

Comparable = Literal["all", "same_representation", "same_loss"]
SPLIT_METRICS = "split_metrics"
"""Name in `attrs` of the table of `evaluate`: metrics of a whole split, by name."""


class TrainingOver(Exception):
    """Raised by `step` if there is no further epoch: the trial is complete with those that it has."""


class OfTrial:
    """A marker of settings that may name a trial of another sweep, such as losses/7.

    The trainable gets the path of that trial's checkpoint instead of the name.
    """


TrainedModel = Annotated[str, OfTrial()]
"""A trained model: a word that the trainable defines (`scratch`), a trial, or the path of a checkpoint."""


class TrialConfig(BaseModel):
    """The settings of one trial: each field is a key of `params:` in a search space, and has that name everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Metric:
    """The meaning of one metric that `step` returns.

    Attributes:
        mode: `max` if larger values are better, `min` if smaller ones are.
        comparable: the trials whose values may be ranked against each other: `all`; those of the
            `same_representation` (size and normalization), for metrics in the trial's own units; those of the
            `same_loss`.
        description: one line with the unit.
    """

    mode: Literal["min", "max"]
    comparable: Comparable
    description: str


@dataclass(frozen=True)
class Media:
    """The sounds and pictures that a trial makes of the probe clips.

    Attributes:
        audio: file stem to samples, float32 of shape (samples,) within ±1.
        images: file stem to picture, uint8 of shape (height, width, 3).
        clips: the rows of the table of clips, one a clip. `clip` is its name. `spectrogram` or `image` is the stem of
            its picture: `image` if an input or generated image is on it, `spectrogram` otherwise. `original` and
            `reconstruction` are the stems of pictures of one of the two alone, for tables that compare trials.
        rate_hz: the sampling rate of every sound.
    """

    audio: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    clips: Sequence[Mapping[str, str | float]] = ()
    rate_hz: int = 22050


class Declaration:
    """What is known of a trainable before any of its trials runs: its settings and its metrics.

    A `Trainable` is its own declaration. Those of this repository have theirs in a module of its own, which imports no
    torch, so that a search space is checked at once: `class Autoencoder(AutoencoderDeclaration, Trainable)`.
    """

    Config: ClassVar[type[TrialConfig]] = TrialConfig
    METRICS: ClassVar[Mapping[str, Metric]] = {}
    """The metrics that `step` returns, by name; an objective may be any of them."""
    RENDERING: ClassVar[frozenset[str]] = frozenset()
    """Settings that affect what a trained model renders, not its training: `evaluate:` may change them in `config`."""
    GENERATES: ClassVar[tuple[Literal["image", "sound"], Literal["image", "sound"]] | None] = None
    """The kinds of input and output, for a trainable whose model can be `exported`; None for others."""
    DEBUG: ClassVar[Mapping[str, Any]] = {}
    """Settings of the smallest model that is worth running; contract tests use them."""

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the trainable's class, for messages."""
        return cls.__name__.removesuffix("Declaration")

    @classmethod
    def can_render(cls) -> bool:
        """Return whether trials have sounds and pictures; a declaration apart from its trainable says yes."""
        return True

    @classmethod
    def can_evaluate(cls) -> bool:
        """Return whether trials are evaluated on the test split; a declaration apart from its trainable says yes."""
        return True

    @classmethod
    def is_evaluated(cls) -> bool:
        """Return whether there is work on a trial's best epoch once the trial has ended."""
        return cls.can_render() or cls.can_evaluate()

    @classmethod
    def reported(cls, config: Any) -> Collection[str]:
        """Return the names of those `METRICS` that `step` returns with these settings."""
        return cls.METRICS

    @classmethod
    def checkpoint_bytes(cls, config: Any, clip: ClipFormat = USUAL_CLIP) -> int | None:
        """Estimate the bytes of a saved `state_dict` with these settings; return None if that is not possible.

        Args:
            config: an instance of `Config`.
            clip: the format of the corpus's clips. It is left out if it is the usual one.
        """
        return None


class Trainable(Declaration, ABC):
    """Torch code that a trial runs; `step` is one epoch.

    Random numbers come from generators that the trainable seeds with `seed` and saves in `state_dict`, or from the
    global generators of torch, numpy and Python. The caller seeds the global ones before construction, and saves them
    beside `state_dict`.
    """

    STATE_IS_WHOLE: ClassVar[bool] = True
    """Whether `state_dict` has everything; a command has its state in files of the trial's folder, too."""

    config: Any
    batches_per_epoch: int | None = None
    """The number of batches after which an epoch ends, for debugging; None for all of them."""

    @property
    def waited_s(self) -> float | None:
        """The seconds in which the last epoch waited for data; None if the trainable does not measure them."""
        return None

    @abstractmethod
    def __init__(self, config: Any, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Set up the networks, the optimizer and the data.

        Args:
            config: an instance of `Config`.
            corpus: the corpus of the search space; None if it names none.
            device: the torch device to train on, such as `cpu` or `cuda:0`.
            seed: the seed of the generators that this trainable owns.
        """

    @classmethod
    def prepare(
        cls, configs: Sequence[Any], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Compute what all trials share, such as features and judges; it is called once, before any trial.

        Args:
            configs: the settings of the trials, as far as they are known before the search.
            corpus: the corpus of the search space.
            progress: is called while the work goes on.

        Returns:
            The baselines: rows of `{"reference": name, "size": size or None, metric: value, …}`.
        """
        return []

    @classmethod
    def can_render(cls) -> bool:
        """Return whether `render` is implemented."""
        return cls.render is not Trainable.render

    @classmethod
    def can_evaluate(cls) -> bool:
        """Return whether `evaluate` is implemented."""
        return cls.evaluate is not Trainable.evaluate

    @classmethod
    def code_files(cls) -> Sequence[Path]:
        """Return files of code, beside the trainable's own, on which results depend."""
        return ()

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        """Return the id of the judge that evaluates the trials on this corpus; None if no judge does."""
        return None

    def place(self, folder: Path, max_epochs: int) -> None:
        """Take the trial's own folder before the first step, for a trainable that keeps files of its own.

        Args:
            folder: a folder that stays as long as the trial; it may not exist yet.
            max_epochs: the epochs of a trial that isn't pruned.
        """

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics, named `split/name[_unit]`.

        Raises:
            TrainingOver: there is no further epoch.
        """

    def close(self) -> None:
        """Release what the trainable holds outside of Python, such as a process; no step follows."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on: tensors, numbers, strings, and lists and dicts of them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned, so that the next step is the same to the last bit."""

    def exported(self) -> Model:
        """Return the trained model with all that it needs to generate without the corpus.

        Raises:
            InputError: this trainable does not generate.
        """
        raise InputError(f"{type(self).__name__} generates neither sounds nor images, so no model can be exported")

    def render(self, probes: NDArray[np.int64]) -> Media | None:
        """Return sounds and pictures of the probe clips (rows of `corpus.clips`); None if there are none."""
        return None

    def evaluate(self, split: Split) -> pd.DataFrame | None:
        """Evaluate the model on a split.

        Returns:
            A row a recording: `recording`, `class`, and a column for each metric. None if there is nothing to evaluate.
            Metrics that a single recording does not have, such as distances between distributions, are by name in
            `table.attrs[SPLIT_METRICS]`.
        """
        return None
