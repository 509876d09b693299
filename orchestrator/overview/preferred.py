"""The trial that listeners prefer, where their votes order the trials (`objective.preference`).

The votes are those in the sweep's log, by which the search chooses, too.
"""

from __future__ import annotations

from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Trial


def find_preferred(state: SweepState) -> Trial | None:
    """Return the trial that listeners prefer, the first of equals; None if votes order no trials of the sweep."""
    strengths = state.preferences if state.started.get("preference") else {}
    number = max(sorted(strengths), key=lambda number: strengths[number], default=None)
    return None if number is None else state.trials[number]


def preferred_line(state: SweepState) -> str | None:
    """Return a sentence about the trial that listeners prefer; None if votes order no trials of the sweep."""
    trial = find_preferred(state)
    if trial is None:
        return None
    strengths = state.preferences
    rank = f"the highest of {len(strengths)}" if len(strengths) > 1 else "the only one yet"
    return (
        f"Listeners prefer trial {trial.number} ({trial.arm}): its strength is {strengths[trial.number]:.2f}, {rank}."
    )
