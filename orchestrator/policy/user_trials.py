"""Configurations that the user wants to be tried: `trials:` of the search space, and `orchestrate try-next`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.messages import Mistakes, Place
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.reader import Sweep, read_stored
from orchestrator.search_space.sampler_choice import match_arms
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.yaml.tree import parse
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.home import find_sweep, home_option
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import TRY_NEXT
from orchestrator.storage import json_lines
from reports import vocabulary as words

OWN, REQUESTED = "own", "requested"
"""Sources of parameters: `trials:` of the search space, and `orchestrate try-next`."""


class WantedTrials:
    """The configurations of each arm that come before those of the sampler.

    What was asked for is kept in a file of the sweep's folder, to which only `orchestrate try-next` writes. How many of
    these configurations trials have had, the sweep log says.
    """

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        """Assign the search space's own trials to arms.

        Args:
            sweep: the search space.
            ledger: the state of the sweep.
        """
        self._ledger = ledger
        self._own: dict[str, list[dict[str, Value]]] = {}
        for wanted in sweep.space.trials:
            for name, searched in match_arms(sweep.arms, wanted).items():
                self._own.setdefault(name, []).append(searched)
        self._requested: dict[str, list[dict[str, Value]]] = {}
        self._requests = json_lines.Reader(ledger.folder / TRY_NEXT)

    def next_for(self, arm: Arm, index: int) -> tuple[dict[str, Value], str]:
        """Return the values that an arm's next trial is wanted to have, and their source; empty if there are none.

        Args:
            arm: the arm.
            index: the place of the trial in its arm, from 0 on.
        """
        own = self._own.get(arm.name, [])
        if index < len(own):
            return own[index], OWN
        lines, has_lost_lines = self._requests.read_new()
        if has_lost_lines:
            self._requested.clear()
        for line in lines:
            self._requested.setdefault(line["arm"], []).append(line["searched"])
        requested = self._requested.get(arm.name, [])
        if requested:
            trials = self._ledger.of_arm(arm.name, words.STAGE_SEARCH)
            tried = sum(trial.source == REQUESTED for trial in trials)
            if tried < len(requested):
                return requested[tried], REQUESTED
        return {}, ""


def complete(arm: Arm, wanted: Mapping[str, Value], proposed: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of a trial: the wanted ones, and a proposal for the others."""
    # Where a wanted value makes a parameter active that the proposal has not, it gets the middle of its domain.
    values = {**proposed, **wanted}
    return arm.draw(lambda name, domain: values.get(name, domain.at(0.5)))


def try_next(home: Path, name: str, settings: Sequence[str], say: Callable[[str], None]) -> None:
    """Ask for a configuration, which the next trial of each arm that can have it gets.

    Args:
        home: the folder of all sweeps.
        name: the sweep; it may run.
        settings: `key=value` pairs of searched parameters and, to choose arms, of compared ones.
        say: prints a line.

    Raises:
        UserError: there is no such sweep, or no arm can have these values.
    """
    folder = find_sweep(home, name)
    sweep = read_stored(folder)
    try:
        matches = match_arms(sweep.arms, _parse(settings))
    except ValueError as error:
        raise UserError(f"try-next {name} {' '.join(settings)}: {error}") from None
    ledger = Ledger(folder, Objective.of(sweep.space), read_only=True)
    budget = Budget(sweep, ledger)
    with FileLock(folder / f"{TRY_NEXT}.lock"):
        log = json_lines.Log(folder / TRY_NEXT)
        for arm, searched in matches.items():
            log.append({"arm": arm, "searched": searched})
        log.close()
    for arm, searched in matches.items():
        values = ", ".join(f"{key}={value}" for key, value in searched.items())
        say(f"{arm}: its next trial has {values}.")
    full = [arm for arm in matches if len(ledger.of_arm(arm, words.STAGE_SEARCH)) >= budget.trials(arm)]
    if full:
        more = format_command("resume", name, "--trials", "+1", "--arm", full[0], *home_option(home))
        say(f"All trials of {'; '.join(full)} have been asked for. To give it another one: {more}")


def _parse(settings: Sequence[str]) -> Mapping[str, Value]:
    """Return `key=value` pairs as values of YAML."""
    wanted: dict[str, Value] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UserError(f"{setting}: give the name of a parameter and its value, such as lr=3e-4")
        mistakes = Mistakes()
        value = parse(text, Place(setting, 0, 0, Path.cwd()), mistakes).to_plain()
        mistakes.raise_if_any()
        if not isinstance(value, str | bool | int | float):
            raise UserError(f"{setting}: needs text, a number, true or false")
        wanted[key] = value
    return wanted
