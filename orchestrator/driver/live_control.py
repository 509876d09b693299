"""Carry out what people request of a running sweep."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.command_line import format_command
from orchestrator.state.events.interruptions import Held, Released
from orchestrator.state.home import home_option
from orchestrator.state.ledger import Ledger
from orchestrator.state.requests import Request, read_controls, taken, write_controls
from orchestrator.state.trial import BROKEN, Trial
from reports import vocabulary as words

LOOK_EVERY_S = 0.5
"""The shortest time between two looks at the requests."""
BY_HAND = "requested by hand"


class LiveControl:
    """The requests to one driver.

    Attributes:
        controls: what requests have set for the sweep.
    """

    def __init__(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        """Begin as the driver before left it if its Ray had died, else without any request.

        Args:
            ledger: the state of the sweep and its log.
            say: prints a line.
        """
        self._ledger = ledger
        self._say = say
        self._folder = ledger.folder
        self._looked_s = float("-inf")
        self.controls = read_controls(self._folder)

    @property
    def pause_reason(self) -> str:
        """Why no trial may run; empty if trials may."""
        if not self.controls.paused:
            return ""
        command = format_command("continue", self._folder.name, *home_option(self._folder.parent))
        return f"It was paused by hand; continue it with {command}"

    def look(self, live: set[int]) -> None:
        """Carry out the requests that have come.

        Args:
            live: numbers of the trials that workers execute now.
        """
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            with taken(self._folder) as requests:
                for request in requests:
                    if request.trial is None:
                        self._change_sweep(request)
                    elif (trial := self._ledger.trials.get(request.trial)) is not None:
                        self._change_trial(request, trial)
        for number in self.controls.stopped:
            if number not in live:
                self.hold_if_requested(self._ledger.trials[number])

    def hold_if_requested(self, trial: Trial) -> bool:
        """Hold a trial that its worker may leave now, if a user has stopped it; return whether it is held."""
        if trial.number in self.controls.stopped:
            if trial.outcome is None:
                self._ledger.write(Held(trial=trial.number, reason="stopped by hand"))
            self._set(stopped=self._without(trial, self.controls.stopped))
        return trial.held

    def is_surplus(self, trial: Trial, live: set[int]) -> bool:
        """Return whether a trial has to give back its place: it is the newest of too many that run at once."""
        at_once = self.controls.at_once
        return at_once is not None and len(live) > at_once and trial.number == max(live)

    def has_room(self, num_live: int) -> bool:
        """Return whether one more trial may run in addition to these."""
        return self.controls.at_once is None or num_live < self.controls.at_once

    def _set(self, **changes: object) -> None:
        self.controls = self.controls.model_copy(update=changes)
        write_controls(self._folder, self.controls)

    @staticmethod
    def _without(trial: Trial, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers without that of a trial."""
        return tuple(number for number in numbers if number != trial.number)

    def _change_sweep(self, request: Request) -> None:
        match request.action:
            case "pause":
                self._set(paused=True)
                self._say("The sweep pauses: running trials end their epoch first.")
            case "continue":
                self._set(paused=False)
                self._say("The sweep continues.")
            case "limit":
                self._set(at_once=request.at_once)
                at_once = request.at_once
                most = "as many as there is room for" if at_once is None else words.amount(at_once, "trial")
                self._say(f"Trials at once from now on: {most}.")

    def _change_trial(self, request: Request, trial: Trial) -> None:
        match request.action:
            case "stop" if trial.outcome is None:
                self._set(stopped=(*self._without(trial, self.controls.stopped), trial.number))
            case "continue":
                self._set(stopped=self._without(trial, self.controls.stopped))
                if trial.held:
                    self._ledger.write(Released(trial=trial.number))
            case "retry" if trial.outcome in BROKEN:
                self._ledger.retry(trial, BY_HAND)
                self._say(f"Trial {trial.number} is tried again, as {BY_HAND}.")
            case "boost" if trial.outcome is None:
                self._set(boosted=(*self._without(trial, self.controls.boosted), trial.number))
            case _:
                self._say(f"Trial {trial.number} is {trial.status}: nothing to {request.action}.")
