"""A driver without Ray: trials report made-up scores one after the other, through the real ledger, agenda and rungs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.policy.agenda import Agenda
from orchestrator.policy.pruning import Rungs
from orchestrator.search_space.reader import Sweep
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.orphaned_folders import identity_line
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from orchestrator.storage.json_lines import Line, Log
from orchestrator.worker.guard import Guard

Score = Callable[[Trial, int], float | tuple[float, float]]
"""Returns `val/score` and, if they differ, `val/error`."""


def score_of_x(trial: Trial, epoch: int) -> float:
    """Best at x = 0.3, and better with every epoch."""
    return 1 - abs(float(trial.params["x"]) - 0.3) - 0.5**epoch


def ledger_of(sweep: Sweep, folder: Path) -> Ledger:
    """The ledger of a sweep that may never have started."""
    return Ledger(folder, Objective.of(sweep.space))


def drive(sweep: Sweep, folder: Path, score: Score = score_of_x, *, steps: int = 10**6) -> Ledger:
    """Open the folder, run at most so many epochs, one trial at a time, and leave everything as a kill would."""
    ledger = ledger_of(sweep, folder)
    agenda = Agenda(sweep, ledger, evaluates=False)
    rungs = Rungs(sweep, ledger, agenda.promotion)
    while (task := agenda.next_task(set())) is not None:
        ledger.attempt(task.trial, "code")
        over = False
        while not over:
            if steps == 0:
                return ledger
            steps -= 1
            row = put_row(folder, task.trial, score(task.trial, task.trial.epochs + 1))
            ledger.report(task.trial, row)
            over = rungs.decide(ledger, task.trial)
    return ledger


def put_row(folder: Path, trial: Trial, score: float | tuple[float, float]) -> Line:
    """What a worker does at the end of an epoch."""
    score, error = score if isinstance(score, tuple) else (score, score)
    outbox = Log(trial_folder(folder, trial.number) / "outbox.jsonl")
    lines = outbox.take_lines()
    if not lines:
        outbox.append(identity_line(trial.id, trial.number))
    row: Line = {"epoch": trial.epochs + 1, "ts": max(len(lines) - 1, 0) + 1000 * trial.number}
    row["attempt"] = max(1, trial.attempts)
    row["metrics"] = {"val/score": score, "val/error": error, "time/epoch_s": 0.1}
    diverged = Guard("val/score").divergence(row["metrics"], [line for line in lines if "epoch" in line], {})
    row |= {"diverged": diverged} if diverged else {}
    outbox.append(row)
    outbox.close()
    return row


def told(ledger: Ledger) -> list[tuple[object, ...]]:
    """What a sweep came to, without times."""
    return [
        (trial.number, trial.arm, trial.source, trial.seed, tuple(trial.params.items()), trial.outcome, trial.epochs)
        for trial in ledger.trials.values()
    ]
