"""What helps a trial that has ended, as a sentence with the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from orchestrator import processor
from orchestrator.command_line import format_command
from orchestrator.overview.snapshot import Snapshot
from orchestrator.overview.tables import format_parameter
from orchestrator.state.home import home_option
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.postmortem import read_last_attempt
from reports import vocabulary as words

HEAVY = ("batch_size", "spectrogram", "width", "latent_dim")
"""The parameters that decide how much memory a trial needs."""


def advise(snapshot: Snapshot, trial: Trial, similar_trials: Sequence[Trial], home: Path) -> str:
    """Return a sentence with the command that would help.

    Args:
        snapshot: the sweep.
        trial: the trial.
        similar_trials: the other trials that ended alike.
        home: the folder of all sweeps.
    """

    def command(*more: str) -> str:
        return format_command("resume", snapshot.name, *more, *home_option(home))

    if trial.outcome is None:
        if snapshot.driver is not None and not trial.held:
            status = format_command("status", snapshot.name, *home_option(home))
            return f"The sweep continues it; {status} shows its progress."
        return f"To continue it: {command()}"
    if trial.outcome == words.OUTCOME_PRUNED:
        return "That is an ordinary end: others of its arm did better at the same epoch."
    if trial.outcome == words.OUTCOME_COMPLETED and trial.cause == words.CAUSE_OVER:
        return "That is an ordinary end: it has had all the epochs that it needs."
    if trial.outcome == words.OUTCOME_COMPLETED:
        return f"To train it for longer: {command('--epochs', '+10', '--arm', trial.arm)}"
    retry_options = ["--retry-failed", "--only", trial.cause]
    match trial.cause:
        case words.CAUSE_OOM:
            return _advise_on_memory(trial, command(*retry_options, "--set", _choose_resource(trial)))
        case words.CAUSE_TIMEOUT:
            return f"To give it more time: {command(*retry_options, '--set', 'limits.minutes_per_epoch=MINUTES')}"
        case words.CAUSE_NODE:
            return _advise_on_death(snapshot, trial, similar_trials, command(*retry_options))
        case words.CAUSE_ERROR:
            return f"Once the code is mended: {command(*retry_options)}"
    suspects = _describe_extremes(snapshot, trial) or "Its parameters lead there: other ones may not."
    return f"{suspects} Once the code is changed: {command(*retry_options)}"


def _choose_resource(trial: Trial) -> str:
    """Return the resource that a trial needs more of: a larger part of a GPU, or of the machine's memory."""
    return "resources.gpu=1" if "CUDA" in trial.reason else "resources.cpu=CORES"


def _advise_on_memory(trial: Trial, command: str) -> str:
    heavy = [name for name in HEAVY if name in trial.params]
    smaller = f" Or give the next search space a smaller {' or '.join(heavy)}." if heavy else ""
    return f"To give it more room, with fewer trials at a time: {command}.{smaller}"


def _advise_on_death(snapshot: Snapshot, trial: Trial, similar_trials: Sequence[Trial], command: str) -> str:
    log = read_last_attempt(trial_folder(snapshot.ledger.folder, trial.number) / TRIAL_LOG)
    known = _describe_known_crash(log)
    has_died_alike = trial.deaths > 1 or trial.ends > 1 or bool(similar_trials)
    if not has_died_alike:
        return f"{known}To try it again: {command}"
    if "signal 9" in trial.reason:
        return (
            "It is not the only death of this kind, so the machine may lack memory. To give it more room, with fewer"
            f" trials at a time: {command} --set resources.cpu=CORES"
        )
    again = "" if known else "It is not the only death of this kind: another try may end alike. "
    return f"{known}{again}Once the cause in its log is mended: {command}"


def _describe_extremes(snapshot: Snapshot, trial: Trial) -> str:
    """Return a sentence about searched numbers that are beyond those of every completed trial of the arm; "" if none.

    Args:
        snapshot: the sweep.
        trial: a trial that diverged.
    """
    siblings = snapshot.ledger.of_arm(trial.arm, words.STAGE_SEARCH)
    completed = [sibling for sibling in siblings if sibling.outcome == words.OUTCOME_COMPLETED]
    parts = []
    for name, value in trial.searched.items():
        others = [sibling.searched.get(name) for sibling in completed]
        numbers = [other for other in others if _is_number(other)]
        if not _is_number(value) or not numbers or min(numbers) <= value <= max(numbers):
            continue
        side = "above" if value > max(numbers) else "below"
        bounds = " to ".join(dict.fromkeys(format_parameter(bound) for bound in (min(numbers), max(numbers))))
        parts.append(f"{name} {format_parameter(value)} is {side} that of every completed trial of its arm ({bounds})")
    return f"Its {' and its '.join(parts)}: a narrower range may help the next sweep." if parts else ""


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _describe_known_crash(log: list[str]) -> str:
    """Return a sentence about a crash if the worker's log warns of a known problem of the CPU; else nothing."""
    warnings = [line for line in log if line.startswith(processor.KNOWN)]
    has_crashed = any(line.startswith("Fatal Python error") for line in log)
    return f"A {warnings[0]}. Without a change of the code it may crash again. " if warnings and has_crashed else ""
