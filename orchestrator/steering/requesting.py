"""`orchestrate pause`, `continue`, `retry`, `boost` and `limit`: leave a request for the driver of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.overview.snapshot import STOPPED, Snapshot, find_trial, read_snapshot
from orchestrator.state.home import home_option
from orchestrator.state.requests import Request, send
from orchestrator.state.trial import BROKEN, Trial
from reports import vocabulary as words

Say = Callable[[str], None]
ALL = "all"


def pause(home: Path, target: str, say: Say) -> None:
    """Pause a sweep, or stop one trial of it, at the end of running epochs.

    Args:
        home: the folder of all sweeps.
        target: the sweep, or a trial such as `vae/7`.
        say: prints a line.

    Raises:
        UserError: there is no such sweep or trial, the sweep does not run, or the trial has ended.
    """
    continue_command = format_command("continue", target, *home_option(home))
    if "/" in target:
        stop_trial(home, target, say)
        return
    snapshot = read_snapshot(home, target)
    require_driver(snapshot)
    send(snapshot.ledger.folder, Request(action="pause"))
    say(f"{target} pauses: running trials end their epoch and give their places back. {continue_command} continues it.")


def stop_trial(home: Path, reference: str, say: Say) -> None:
    """Stop one trial at the end of its epoch, so that it can be continued.

    Raises:
        UserError: there is no such trial, its sweep does not run, or it has ended.
    """
    snapshot, trial = _find_unfinished(home, reference, "stop")
    send(snapshot.ledger.folder, Request(action="stop", trial=trial.number))
    when = "at the end of its epoch" if snapshot.state_of(trial) == words.OUTCOME_RUNNING else "before its next attempt"
    say(
        f"{reference} stops {when}; the sweep continues without it. "
        f"{format_command('continue', reference, *home_option(home))} continues it, and so does the next start of "
        "the sweep."
    )


def go_on(home: Path, target: str, say: Say) -> None:
    """Continue a paused sweep, or a stopped trial of a sweep that runs.

    Raises:
        UserError: there is no such sweep or trial, the sweep does not run, or the trial is not stopped.
    """
    if "/" in target:
        snapshot, trial = _find_unfinished(home, target, "continue")
        if snapshot.state_of(trial) != STOPPED:
            raise UserError(f"{target} is {snapshot.state_of(trial)}: only a stopped trial can be continued")
        send(snapshot.ledger.folder, Request(action="continue", trial=trial.number))
        say(f"{target} continues from epoch {trial.epochs + 1} as soon as a place is free.")
        return
    snapshot = read_snapshot(home, target)
    require_driver(snapshot)
    send(snapshot.ledger.folder, Request(action="continue"))
    say(f"{target} continues.")


def retry(home: Path, reference: str, say: Say) -> None:
    """Try a failed or diverged trial again in its running sweep, from its last good checkpoint.

    Raises:
        UserError: there is no such trial, its sweep does not run, or it has not failed.
    """
    snapshot, trial = find_trial(home, reference)
    require_driver(snapshot, "--retry-failed")
    if trial.outcome not in BROKEN:
        raise UserError(f"{reference} is {snapshot.state_of(trial)}: only a failed or diverged trial can be retried")
    send(snapshot.ledger.folder, Request(action="retry", trial=trial.number))
    say(f"{reference} is tried again as soon as a place is free.")


def boost(home: Path, reference: str, say: Say) -> None:
    """Give a waiting trial the next free place.

    Raises:
        UserError: there is no such trial, its sweep does not run, or it has ended or is stopped.
    """
    snapshot, trial = _find_unfinished(home, reference, "boost")
    if snapshot.state_of(trial) == STOPPED:
        command = format_command("continue", reference, *home_option(home))
        raise UserError(f"{reference} is stopped: only a trial that waits can be boosted; {command} continues it")
    send(snapshot.ledger.folder, Request(action="boost", trial=trial.number))
    say(f"{reference} gets the next place that is free.")


def limit(home: Path, name: str, at_once: str, say: Say) -> None:
    """Change how many trials of a running sweep run at once.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        at_once: a number from 1 on, or `all` for as many as there is room for.
        say: prints a line.

    Raises:
        UserError: there is no such sweep, it does not run, or the number is none.
    """
    if at_once != ALL and not (at_once.isdecimal() and int(at_once) > 0):
        raise UserError(f"limit: {at_once!r} is not a number of trials; give one from 1 on, or {ALL}")
    snapshot = read_snapshot(home, name)
    require_driver(snapshot)
    number = None if at_once == ALL else int(at_once)
    send(snapshot.ledger.folder, Request(action="limit", at_once=number))
    most = "as many trials as there is room for" if number is None else f"at most {words.amount(number, 'trial')}"
    say(f"{name} runs {most} at once; trials that are too many end their epoch first.")


def require_driver(snapshot: Snapshot, *options: str) -> dict[str, Any]:
    """Return the note of a sweep's driver.

    Args:
        snapshot: the sweep.
        options: those of the `resume` that the message names.

    Raises:
        UserError: the sweep does not run.
    """
    if snapshot.driver is None:
        command = format_command("resume", snapshot.name, *options, *home_option(snapshot.ledger.folder.parent))
        hint = "" if snapshot.ledger.is_finished and not options else f"; {command} starts it"
        raise UserError(f"{snapshot.name} does not run ({snapshot.state}){hint}")
    return snapshot.driver


def _find_unfinished(home: Path, reference: str, action: str) -> tuple[Snapshot, Trial]:
    """Return a trial of a sweep that runs, and its sweep.

    Raises:
        UserError: there is no such trial, its sweep does not run, or it has ended.
    """
    snapshot, trial = find_trial(home, reference)
    require_driver(snapshot)
    if trial.outcome is not None:
        raise UserError(f"{reference}: it has ended already ({trial.outcome}); there is nothing to {action}")
    return snapshot, trial
