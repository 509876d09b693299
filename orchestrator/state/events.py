"""The events of a sweep log: a class for each kind; `event_lines` writes and reads them.

A new kind of event is a new class here. Its name in the log is that of the class in lower case, unless it has a `KIND`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from orchestrator.search_space.scalars import Value
from reports import vocabulary as words

Stage = Literal["search", "confirm"]
Rendering = Mapping[str, Any]
"""One rendering of a trained model: its `name`, its `settings`, its `folder` in the trial's, and its `metrics`."""


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a sweep.

    Attributes:
        ts: when it happened, in milliseconds since 1970.
    """

    is_of_driver: ClassVar[bool] = True
    """Whether only a running driver writes it; other events may be written long after a driver was killed."""
    ts: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """An event of the trial with the number `trial`."""

    trial: int


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A driver has started; `record` describes the run: arms, versions, corpus, judge, command."""

    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Restarted(Event):
    """Ray has died, and a new driver replaces this one."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """A driver has stopped; `late` means that it was killed, and a later process wrote this."""

    outcome: str
    reason: str
    late: bool = False


@dataclass(frozen=True, kw_only=True)
class Suspected(Event):
    """A machine, by Ray's id, is `left out` by this driver, or `slow`; `text` is the sentence for the user."""

    machine: str
    fault: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Redirected(Event):
    """From now on the sweep is sent to another MLflow."""

    is_of_driver = False
    tracking_uri: str
    artifact_root: str | None


@dataclass(frozen=True, kw_only=True)
class Granted(Event):
    """An arm was granted a budget; hours are granted to the sweep, with "" as the arm.

    Each number is the whole budget, not an increment. The larger of it and the budget in the search space counts.
    """

    is_of_driver = False
    arm: str
    trials: int = 0
    epochs: int = 0
    hours: float = 0


@dataclass(frozen=True, kw_only=True)
class Spent(Event):
    """Trials have held graphics cards for `gpu_s` seconds since the last such event, counted by cards."""

    gpu_s: float


@dataclass(frozen=True, kw_only=True)
class Preferred(Event):
    """Listeners have voted: the strengths of all trials with enough votes, by number, replace earlier ones."""

    is_of_driver = False
    scores: Mapping[str, float]
    votes: int


@dataclass(frozen=True, kw_only=True)
class Warmed(Event):
    """The studies begin with trials of another sweep.

    Attributes:
        sweep: the name of the other sweep.
        trials: the arm that learns from each trial; its number, outcome and cause in the other sweep; its searched
            values; the objective of every epoch (`values`, None where an epoch has none); and with several objectives
            those of its best epoch (`at_best`).
    """

    sweep: str
    trials: list[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Raised(Event):
    """PASHA's top rung has risen to this epoch in an arm, or in all arms ("")."""

    arm: str
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Asked(TrialEvent):
    """A new trial; `Trial` describes the attributes."""

    arm: str
    index: int
    stage: Stage
    source: str
    of: int | None
    seed: int
    compared: Mapping[str, Value]
    searched: Mapping[str, Value]
    params: Mapping[str, Value]
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempted(TrialEvent):
    """A worker is about to start or resume a trial.

    Attributes:
        attempt: the number of the attempt, from 1 on.
        code: the fingerprint of the code.
        share: how many times its arm's resources the trial gets.
        key: identifies all that the training depends on (see `policy.trial_key`); empty if it is not known.
    """

    KIND: ClassVar[str] = "attempt"
    attempt: int
    code: str
    share: float = 1
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Linked(TrialEvent):
    """A trial was not trained: it has completed with the epochs and checkpoints of an equal trial of another sweep.

    Its folder is complete before this is written.

    Attributes:
        sweep: the name of the other sweep.
        number: the number of the trial there.
        ids: the ids of the trials that its checkpoints may contain.
        run: the trial's run in MLflow; None if it had none yet.
        epochs: the number of its epochs.
        code: the fingerprint of the code.
        key: as in `Attempted`.
    """

    sweep: str
    number: int
    ids: list[str]
    run: str | None
    epochs: int
    code: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Judged(TrialEvent):
    """A trial may continue after its epoch number `epochs`."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Died(TrialEvent):
    """The process of a trial was killed or crashed, without an exception in Python."""

    epochs: int
    cause: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Displaced(TrialEvent):
    """A trial has lost its machine, or its process was told to end: no failure of its own, it waits for an attempt."""

    epochs: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ended(TrialEvent):
    """A trial has ended; `alike` identifies the place of an error in the code."""

    epochs: int
    outcome: str
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated(TrialEvent):
    """The best checkpoint of a trial was evaluated; `error` says why if that failed."""

    metrics: Mapping[str, float]
    error: str | None = None
    renderings: list[Rendering] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Reevaluated(TrialEvent):
    """An evaluation that failed will be repeated."""

    is_of_driver = False


@dataclass(frozen=True, kw_only=True)
class Lost(TrialEvent):
    """Judged epochs were lost with all copies: the trial continues after its epoch number `epochs`."""

    is_of_driver = False
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Extended(TrialEvent):
    """The budget of a completed trial has grown to `max_epochs`: it continues."""

    is_of_driver = False
    max_epochs: int


@dataclass(frozen=True, kw_only=True)
class Promoted(TrialEvent):
    """A trial that was pruned after its epoch number `epochs` has come to be among the best: it continues."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Retried(TrialEvent):
    """A trial waits for another attempt, with `share` times its arm's resources."""

    is_of_driver = False
    reason: str
    share: float = 1
    from_scratch: bool = False


@dataclass(frozen=True, kw_only=True)
class Held(TrialEvent):
    """A user has stopped a trial; the next start of the sweep resumes it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Released(TrialEvent):
    """A user lets a trial that was stopped continue in the running sweep."""


@dataclass(frozen=True, kw_only=True)
class Yielded(TrialEvent):
    """A trial has given its place back, as when the sweep pauses; it waits for another."""
