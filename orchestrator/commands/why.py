"""`orchestrate why NAME/7`: why a trial ended as it did, in a sentence, with what helps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestrator import processor
from orchestrator.command_line import typed
from orchestrator.overview.snapshot import STOPPED, Snapshot, find_trial
from orchestrator.state.home import home_option
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.postmortem import last_attempt
from reports import vocabulary as words

LOG_LINES = 12
HEAVY = ("batch_size", "spectrogram", "width", "latent_dim")
"""Parameters by which people know how much memory a trial needs, where it has them."""


def explain(home: Path, trial_reference: str) -> Iterator[str]:
    """Lines about a trial `NAME/7`: a sentence, its parameters, its siblings, the end of its log, a command.

    Raises:
        UserError: there is no such trial.
    """
    snapshot, trial = find_trial(home, trial_reference)
    yield sentence(snapshot, trial)
    since_ms = snapshot.tracking.get("unreachable_since")
    if since_ms:
        backlog = snapshot.tracking.get("backlog")
        yield f"MLflow unreachable since {datetime.fromtimestamp(since_ms / 1000):%H:%M}: {backlog} lines wait."
    yield ""
    yield "Parameters: " + ", ".join(f"{name}={value}" for name, value in trial.params.items()) + f", seed={trial.seed}"
    alike = siblings(snapshot, trial)
    if alike:
        numbers = ", ".join(str(sibling.number) for sibling in alike)
        yield f"Trials that ended alike: {numbers}"
    log = trial_folder(snapshot.ledger.folder, trial.number) / TRIAL_LOG
    lines = last_attempt(log)[-LOG_LINES:]
    if lines:
        yield f"The end of {log}:"
        yield from (f"  {line}" for line in lines)
    yield ""
    yield advice(snapshot, trial, home)


def sentence(snapshot: Snapshot, trial: Trial) -> str:
    """What became of a trial, and why."""
    state = snapshot.state_of(trial)
    head = f"Trial {trial.number} ({trial.arm}) {state}"
    match trial.outcome:
        case words.OUTCOME_FAILED:
            return f"{head} after {words.counted(trial.epochs, 'epoch')}: {_failure(trial)}."
        case words.OUTCOME_DIVERGED:
            return f"{head} at {trial.reason}."
        case words.OUTCOME_PRUNED:
            return f"{head}: {trial.reason}."
        case words.OUTCOME_COMPLETED:
            return f"{head}: {trial.reason}; its best {snapshot.objective.metric} was {_best(snapshot, trial)}."
    if state == words.OUTCOME_RUNNING:
        age_s = snapshot.report_age_s(trial)
        last_report = "it has not reported yet" if age_s is None else f"its last report came {age_s:.0f} s ago"
        return f"Trial {trial.number} ({trial.arm}) is running its epoch {trial.epochs + 1}; {last_report}."
    if state == STOPPED:
        return f"{head} by hand after {words.counted(trial.epochs, 'epoch')}."
    if state == words.OUTCOME_INTERRUPTED:
        reason = next(iter(snapshot.reason.splitlines()), "")
        return f"{head} after {words.counted(trial.epochs, 'epoch')}: {reason}"
    return f"{head} for a worker, with {words.counted(trial.epochs, 'epoch')} done."


def _failure(trial: Trial) -> str:
    if trial.cause == words.CAUSE_OOM:
        heavy = [f"{name} {trial.params[name]}" for name in HEAVY if name in trial.params]
        return f"out of memory{' with ' + ', '.join(heavy) if heavy else ''} ({trial.reason})"
    if trial.cause == words.CAUSE_TIMEOUT:
        return f"too slow, {trial.reason}"
    return trial.reason


def siblings(snapshot: Snapshot, trial: Trial) -> list[Trial]:
    """Other trials that failed at the same place, or diverged or failed by the same cause."""
    others = (other for other in snapshot.ledger.trials.values() if other.number != trial.number)
    broken = (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED)
    return [
        other
        for other in others
        if other.outcome == trial.outcome
        and trial.outcome in broken
        and (other.alike == trial.alike if trial.alike else other.cause == trial.cause)
    ]


def advice(snapshot: Snapshot, trial: Trial, home: Path) -> str:
    """The command that would help."""

    def command(*more: str) -> str:
        return typed("resume", snapshot.name, *more, *home_option(home))

    if trial.outcome is None:
        if snapshot.driver is not None and not trial.held:
            return f"It goes on by itself; {typed('status', snapshot.name, *home_option(home))} shows how far it is."
        return f"To go on: {command()}"
    if trial.outcome == words.OUTCOME_PRUNED:
        return "That is an ordinary end: others of its arm did better at the same epoch."
    if trial.outcome == words.OUTCOME_COMPLETED:
        return f"To train it for longer: {command('--epochs', '+10', '--arm', trial.arm)}"
    retry_options = ["--retry-failed", "--only", trial.cause]
    match trial.cause:
        case words.CAUSE_OOM:
            return (
                f"To give it more room: {command(*retry_options, '--set', 'resources.gpu=1')} (on CPUs resources.cpu=…)"
            )
        case words.CAUSE_TIMEOUT:
            return f"To give it more time: {command(*retry_options, '--set', 'limits.minutes_per_epoch=MINUTES')}"
        case words.CAUSE_NODE:
            log = last_attempt(trial_folder(snapshot.ledger.folder, trial.number) / TRIAL_LOG)
            return f"{_known_crash(log)}To try it again: {command(*retry_options)}"
        case words.CAUSE_ERROR:
            return f"Once the code is mended: {command(*retry_options)}"
    return f"Its parameters lead there: other ones may not. Once the code is changed: {command(*retry_options)}"


def _known_crash(log: list[str]) -> str:
    """What is known of a crash on a processor of which a worker warned in the trial's log; nothing of others."""
    warnings = [line for line in log if line.startswith(processor.KNOWN)]
    has_crashed = any(line.startswith("Fatal Python error") for line in log)
    return f"A {warnings[0]}. Without a change of the code it may crash again. " if warnings and has_crashed else ""


def _best(snapshot: Snapshot, trial: Trial) -> str:
    value = trial.best_value
    return "–" if value is None else f"{value:.4g}"
