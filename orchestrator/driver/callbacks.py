"""What the driver's decisions need of Ray, the screen and the disk, as functions: so they are made without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.exchange.no_exchange import SharedHome

if TYPE_CHECKING:
    from orchestrator.policy.agenda import Task
    from orchestrator.state.trial import Trial


@dataclass(frozen=True)
class Callbacks:
    """The functions that the engine calls to act on its environment.

    Attributes:
        make_config: returns a task as plain values for a worker.
        share_files: writes what only a task needs to where its machine finds it; raises `StoreError` or `OSError`.
        make_key: returns what the training of a task depends on (see `policy.trial_key`).
        can_grow: returns whether the cluster has more resources for a trial.
        is_ray_alive: returns whether Ray runs; if not, the death of a worker is not its trial's failure.
        end_workers: kills all workers that still run.
        say: prints a line.
        explain_loss: returns a sentence if a machine, by Ray's id, is gone; "" if it is not.
        leave_out: gives a machine no more trials, for a reason; returns whether other machines are left.
        name_machine: returns the name of a machine for messages.
        is_leaving: returns whether a machine is about to leave the cluster, or gets no more trials.
        update_note: stores keyword arguments in the note next to the lock, which `orchestrate status` reads.
        files: brings what trials write into the home, where their machines do not share it.
    """

    make_config: Callable[[Task], dict[str, Any]]
    make_key: Callable[[Task], str]
    can_grow: Callable[[Trial], bool]
    is_ray_alive: Callable[[], bool]
    end_workers: Callable[[], None]
    say: Callable[[str], None]
    update_note: Callable[..., None]
    share_files: Callable[[Task], None] = lambda task: None
    explain_loss: Callable[[str], str] = lambda machine: ""
    leave_out: Callable[[str, str], bool] = lambda machine, reason: False
    name_machine: Callable[[str], str] = lambda machine: machine
    is_leaving: Callable[[str], bool] = lambda machine: False
    files: SharedHome = field(default_factory=SharedHome)
