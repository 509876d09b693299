"""`orchestrate why NAME/7`: explain why a trial ended, and print the command that would help."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestrator.commands.advice import HEAVY, advise
from orchestrator.overview.snapshot import STOPPED, Snapshot, find_trial
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.postmortem import has_run_on, read_last_attempt
from reports import vocabulary as words

LOG_LINES = 12
"""The number of lines shown of a trial's log."""


def explain(home: Path, trial_reference: str) -> Iterator[str]:
    """Yield lines about a trial: what happened, its parameters, similar trials, the end of its log, a command.

    Args:
        home: the folder of all sweeps.
        trial_reference: the trial, such as `vae/7`.

    Raises:
        UserError: there is no such trial.
    """
    snapshot, trial = find_trial(home, trial_reference)
    yield describe_state(snapshot, trial)
    log = trial_folder(snapshot.ledger.folder, trial.number) / TRIAL_LOG
    yield from (event.text for event in snapshot.ledger.suspects if has_run_on(log, event.machine))
    if trial.broken_off and trial.outcome != words.OUTCOME_FAILED:
        yield f"An attempt at it was broken off: {trial.broken_off}."
    if trial.origin is not None:
        yield f"{trial.origin.name} has trained {words.amount(trial.origin.epochs, 'epoch')} of it: reused."
    if bound := snapshot.ledger.final_bound(trial.arm):
        yield f"Its arm gets no more trials (budget.stop_when): {bound.describe(snapshot.objective.metric)}."
    since_ms = snapshot.tracking.get("unreachable_since")
    if since_ms:
        backlog = snapshot.tracking.get("backlog")
        yield f"MLflow unreachable since {datetime.fromtimestamp(since_ms / 1000):%H:%M}: {backlog} lines wait."
    yield ""
    params = [f"{name}={value}" for name, value in (*trial.params.items(), ("seed", trial.seed))]
    yield f"Parameters: {', '.join(params)}"
    similar_trials = find_similar_trials(snapshot, trial)
    if similar_trials:
        numbers = ", ".join(str(similar.number) for similar in similar_trials)
        yield f"Trials that ended alike: {numbers}"
    lines = read_last_attempt(log)[-LOG_LINES:]
    if lines:
        yield f"The end of {log}:"
        yield from (f"  {line}" for line in lines)
    yield ""
    yield advise(snapshot, trial, similar_trials, home)


def describe_state(snapshot: Snapshot, trial: Trial) -> str:
    """Return a sentence about the state of a trial and its reason."""
    state = snapshot.state_of(trial)
    head = f"Trial {trial.number} ({trial.arm}) {state}"
    match trial.outcome:
        case words.OUTCOME_FAILED:
            return f"{head} after {words.amount(trial.epochs, 'epoch')}: {_describe_failure(trial)}."
        case words.OUTCOME_DIVERGED:
            return f"{head} at {trial.reason}."
        case words.OUTCOME_PRUNED:
            return f"{head}: {trial.reason}."
        case words.OUTCOME_COMPLETED:
            return f"{head}: {trial.reason}; its best {snapshot.objective.metric} was {_format_best(snapshot, trial)}."
    if state == words.OUTCOME_RUNNING:
        age_s = snapshot.report_age_s(trial)
        last_report = "it has not reported yet" if age_s is None else f"its last report came {age_s:.0f} s ago"
        return f"Trial {trial.number} ({trial.arm}) is running its epoch {trial.epochs + 1}; {last_report}."
    if state == STOPPED:
        return f"{head} by hand after {words.amount(trial.epochs, 'epoch')}."
    if state == words.OUTCOME_INTERRUPTED:
        reason = next(iter(snapshot.reason.splitlines()), "")
        return f"{head} after {words.amount(trial.epochs, 'epoch')}: {reason}"
    return (
        f"Trial {trial.number} ({trial.arm}) is waiting for a worker, with {words.amount(trial.epochs, 'epoch')} done."
    )


def _describe_failure(trial: Trial) -> str:
    if trial.cause == words.CAUSE_OOM:
        heavy = [f"{name} {trial.params[name]}" for name in HEAVY if name in trial.params]
        settings = f" with {', '.join(heavy)}" if heavy else ""
        return f"out of memory{settings} ({trial.reason})"
    if trial.cause == words.CAUSE_TIMEOUT:
        return f"too slow, {trial.reason}"
    return trial.reason


def find_similar_trials(snapshot: Snapshot, trial: Trial) -> list[Trial]:
    """Return the other trials with the same outcome, failed or diverged, and the same error or cause."""
    if trial.outcome not in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
        return []
    others = (other for other in snapshot.ledger.trials.values() if other.number != trial.number)
    with_outcome = [other for other in others if other.outcome == trial.outcome]
    if trial.alike:
        # It distinguishes the place of the error in the code from other places.
        return [other for other in with_outcome if other.alike == trial.alike]
    return [other for other in with_outcome if other.cause == trial.cause]


def _format_best(snapshot: Snapshot, trial: Trial) -> str:
    value = trial.best_value
    return "–" if value is None else f"{value:.4g}"
