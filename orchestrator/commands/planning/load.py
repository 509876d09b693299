"""What a simulated sweep has to run, and how it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from orchestrator.search_space.objective import Pruning


@dataclass(frozen=True)
class Durations:
    """The seconds that the parts of a trial take.

    Attributes:
        start: from the task to the first epoch.
        epoch: an epoch with its checkpoint.
        rendering: the sounds and pictures of an epoch of `media.epochs`.
        pruned: the evaluation of a pruned trial.
        completed: that of a trial of the search with all of its epochs.
        confirm: that of a trial of the confirm stage.
    """

    start: float = 0.0
    epoch: float = 1.0
    rendering: float = 0.0
    pruned: float = 0.0
    completed: float = 0.0
    confirm: float = 0.0


@dataclass(frozen=True)
class ArmLoad:
    """The load of one arm.

    Attributes:
        name: the name of the arm.
        trials: the number of trials of its search.
        confirm: the number of trials of its confirm stage.
        share: the part of all slots that one of its trials takes.
        gpus: the GPUs of one trial.
        durations: how long the parts of its trials take, one for each shape; a trial has one of them at random.
    """

    name: str
    trials: int
    confirm: int
    share: float
    gpus: float = 0.0
    durations: tuple[Durations, ...] = (Durations(),)


@dataclass(frozen=True)
class Load:
    """What a sweep has to run.

    Attributes:
        arms: the arms in the order of the sweep.
        rungs: the epochs at which trials are compared, and the last epoch.
        pruning: the rule; None if every trial runs to its end.
        media_epochs: the epochs after which trials are rendered.
    """

    arms: tuple[ArmLoad, ...]
    rungs: tuple[int, ...]
    pruning: Pruning | None
    media_epochs: tuple[int, ...] = ()


@dataclass
class Course:
    """How one simulated sweep went.

    Attributes:
        reached: the number of trials of the search that reached each rung.
        epochs: the epochs of all trials.
        seconds: from the first task to the end of the last one.
        gpu_seconds: the time for which all trials together held GPUs.
    """

    reached: Counter[int] = field(default_factory=Counter)
    epochs: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
