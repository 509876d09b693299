"""`orchestrate listen` for a sweep whose trials are ordered by votes: which trials are heard, and where votes go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.command_line import format_command
from orchestrator.state.home import home_option, was_run
from orchestrator.state.ledger import Ledger
from orchestrator.state.preferences import Preferences, write_preferences
from reports import vocabulary as words

LEAST_VOTES = 4
"""Number of votes from which on a trial has a strength that the search can use."""
HEARD_AGAIN = 10
"""Number of trials with votes that new ones are compared with, from the best to the worst."""


@dataclass(frozen=True)
class Heard:
    """A sweep with `objective.preference`, as its log has it.

    Attributes:
        folder: the sweep's folder.
        completed: numbers of the completed trials of its search.
        strengths: strengths of the trials that have enough votes, by number.
    """

    folder: Path
    completed: tuple[int, ...]
    strengths: dict[int, float]

    @property
    def unheard(self) -> list[int]:
        """The numbers of the trials that wait for votes."""
        return [number for number in self.completed if number not in self.strengths]


def read_hearing(folder: Path) -> Heard | None:
    """Return a sweep whose trials are ordered by votes; None if they are not, or if the folder has no sweep."""
    if not was_run(folder):
        return None
    ledger = Ledger(folder, read_only=True)
    if not ledger.started.get("preference"):
        return None
    completed = tuple(
        trial.number
        for trial in ledger.trials.values()
        if trial.stage == words.STAGE_SEARCH and trial.outcome == words.OUTCOME_COMPLETED
    )
    return Heard(folder, completed, dict(ledger.preferences))


def choose_trials(hearing: Heard) -> tuple[int, ...]:
    """Return the numbers of the trials that wait for votes; none if no trial waits.

    Some trials that have votes are among them, so that all strengths are on one scale.
    """
    if not hearing.unheard:
        return ()
    ordered = sorted(hearing.strengths, key=lambda number: -hearing.strengths[number])
    number = min(HEARD_AGAIN, len(ordered))
    again = [ordered[index * (len(ordered) - 1) // max(1, number - 1)] for index in range(number)]
    return tuple(sorted({*hearing.unheard, *again}))


def pass_votes_on(
    hearing: Heard, scores: Mapping[int, float], votes: Mapping[int, int], say: Callable[[str], None]
) -> None:
    """Leave the strengths of the trials for the driver, and print what the sweep still waits for.

    Args:
        hearing: the sweep.
        scores: the strength of each trial that has votes, by number.
        votes: the number of votes about each trial.
        say: prints a line.
    """
    enough = {number: score for number, score in scores.items() if votes[number] >= LEAST_VOTES}
    # Each vote is about two trials.
    total = sum(votes.values()) // 2
    write_preferences(hearing.folder, Preferences(scores=enough, votes=total))
    say(f"{words.amount(total, 'vote')} order {words.amount(len(enough), 'trial')} of {hearing.folder.name}.")
    missing = [f"{number} ({votes.get(number, 0)})" for number in hearing.completed if number not in enough]
    if missing:
        say(f"These trials have fewer than {LEAST_VOTES} votes, and wait for more: {', '.join(missing)}")
    else:
        folder = hearing.folder
        say(f"All have votes: continue with  {format_command('resume', folder.name, *home_option(folder.parent))}")
