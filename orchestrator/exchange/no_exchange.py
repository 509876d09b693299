"""What the driver does about the files of trials where every machine sees the home: nothing, since they are there."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.state.trial import Trial
from orchestrator.storage.json_lines import Line


class SharedHome:
    """The files of trials, which their workers write into the home themselves.

    Attributes:
        is_shared: whether every machine sees the home.
    """

    is_shared: ClassVar[bool] = True

    def record(self, trial: Trial, row: Line) -> None:
        """Note in the home that a trial has reported an epoch or a divergence; it is on the disk when this returns."""

    def follow(self, trial: Trial) -> None:
        """Bring what a trial has written into the home, soon."""

    def leave(self, trial: Trial) -> None:
        """Note that the task of a trial has ended, and bring the rest of what it has written into the home, soon."""

    def fetch(self, trial: Trial) -> None:
        """Bring what a trial has written into the home, before this returns.

        Raises:
            StoreError: it could not be fetched.
        """

    def fetch_log(self, trial: Trial) -> None:
        """Bring the log of a trial whose process has died into the home, as far as that can be."""

    def settle(self, trial: Trial, *, keeps_checkpoints: bool) -> None:
        """Note that a trial has ended and is evaluated, and whether a pruned one keeps its checkpoints."""
