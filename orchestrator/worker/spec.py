"""The description of a task that the driver sends to a worker; without torch, which the driver does not need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.plugins.loader import Split


@dataclass(frozen=True)
class Storage:
    """The store through which the machines of a sweep exchange files.

    Attributes:
        uri: its address.
        sweep: the sweep, by which the keys of its objects begin.
        driver: the home that drives the sweep.
        shared: the hash of the list of files that trials share.
        evaluation: the number of the evaluation, which the driver counts; 0 of an attempt.
    """

    uri: str
    sweep: str
    driver: str
    shared: str
    evaluation: int = 0


@dataclass(frozen=True)
class TrialSpec:
    """A trial as a worker needs it; only plain values, which Ray can send.

    Attributes:
        trainable: the name of a shipped trainable, the path of a file, or a command.
        trainable_folder: the folder to which a relative path in `trainable` is relative.
        config: the trial's parameters.
        originals: of what each copy of a trained model in `config` was made, by its path.
        corpus: the settings of the corpus; None for a trainable without one.
        attempt: the number of this attempt, from 1 on.
        objective: the metric that orders trials; `mode` is `min` or `max`.
        clips: the number of probe clips that are rendered.
        media_epochs: the epochs after which they are rendered.
        gpu: the share of a GPU; 0 for none.
        threads: the number of torch's threads.
        id: distinguishes the trial from any other that had its number.
        origin_ids: the ids that its checkpoints may contain beside its own.
        token: the text of the file by which a worker checks that it sees the driver's folder.
        versions: the driver's versions, which the worker's have to be; empty for no check.
        looked_at: Ray's ids of the machines at which the driver has looked; on another one the worker does.
        files: the sweep's own files, which such a machine has to see.
        since: the first attempt whose epochs and checkpoints count.
        reported_epochs: the number of epochs that the driver has.
        last_row: with a storage, the outbox line of the last of them; empty without one.
        max_epochs: the epochs of the trial if it isn't pruned; None outside of a sweep.
        minutes_per_epoch: the time limit of an epoch; None for no limit.
        seconds_after_sigterm: how long an epoch may go on after SIGTERM.
        blowup: as in `guard.Guard`, like `collapsed_epochs`.
        constraints: the bounds of metrics that an epoch has to meet to be the best.
        splits: the splits on which the best checkpoint is evaluated.
        renderings: the settings of each additional rendering of the best checkpoint.
        judges: the settings of each added judge.
        metrics: the names of added metrics.
        storage: the fields of a `Storage`; empty where every machine sees the home.
        prepared: with a storage, the file that describes the corpus as the driver has prepared it.
        stored_epochs: epochs that are reported only once the storage has them, because the trial may end with them, and
            nothing would train them again if they were lost.
    """

    number: int
    folder: str
    home: str
    trainable: str | Mapping[str, Any]
    trainable_folder: str
    components: tuple[str, ...]
    config: Mapping[str, Any]
    corpus: Mapping[str, Any] | None
    seed: int
    attempt: int
    objective: str
    mode: str
    clips: int
    media_epochs: tuple[int, ...]
    gpu: float
    threads: int
    id: str = ""
    origin_ids: tuple[str, ...] = ()
    token: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    looked_at: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    since: int = 1
    reported_epochs: int = 0
    last_row: Mapping[str, Any] = field(default_factory=dict)
    max_epochs: int | None = None
    minutes_per_epoch: float | None = None
    seconds_after_sigterm: float = 20
    blowup: float | None = 10
    collapsed_epochs: int | None = 3
    constraints: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    splits: tuple[Split, ...] = ()
    renderings: tuple[Mapping[str, Any], ...] = ()
    judges: tuple[Mapping[str, Any], ...] = ()
    metrics: tuple[str, ...] = ()
    originals: Mapping[str, str] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict)
    prepared: str = ""
    stored_epochs: tuple[int, ...] = ()
