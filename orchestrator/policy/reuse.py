"""Trials that other sweeps of the home have trained: an equal one is reused, and not trained again."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.plugins.loader import is_path
from orchestrator.search_space.objective import PATIENT
from orchestrator.state import event_lines
from orchestrator.state.curve import TAKEN_OVER, select_valid
from orchestrator.state.home import sweep_names
from orchestrator.state.ledger import Ledger
from orchestrator.state.origin import Origin
from orchestrator.state.orphaned_folders import identity_in, identity_line
from orchestrator.state.paths import (
    BEST,
    CHECKPOINT,
    LAST,
    MEDIA,
    OUTBOX,
    RUN_FILE,
    SWEEP_LOG,
    TRAINABLE_FOLDER,
    trial_folder,
)
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Trial
from orchestrator.storage import copies, durable, json_lines
from orchestrator.tracking.run import read_sent
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.search_space.schema import SearchSpace

KEY = re.compile(rb'"key":"([^"]+)"')
"""A trial's key in a line of a sweep log."""
COPIED = (TRAINABLE_FOLDER, words.ARTIFACT_CONFIG)
"""Copied with the outbox, checkpoints and media. The log is not: it would pass for that of the copy's own attempts."""


@dataclass(frozen=True)
class Trained:
    """A trial of another sweep that has trained all of its epochs.

    Attributes:
        folder: its folder.
        sweep: the name of its sweep.
        trial: its state according to the sweep log, without its outbox.
    """

    folder: Path
    sweep: str
    trial: Trial


def can_link(space: SearchSpace) -> bool:
    """Return whether trials of a sweep may be those of others: not with `repeat`, nor where few train all epochs.

    Nor are those of a command. Those of a trainable of the user's own without a corpus are only with `repeat: false`,
    since only the user knows what data it reads.
    """
    if not isinstance(space.trainable, str) or (space.pruning is not None and space.pruning.kind == PATIENT):
        return False
    return not (space.corpus is None and is_path(space.trainable)) if space.repeat is None else not space.repeat


def find_trained(home: Path, own: str, is_wanted: Callable[[str], bool]) -> dict[str, list[Trained]]:
    """Return the trials of other sweeps that have trained all of their epochs, by their keys, the newest sweep first.

    Args:
        home: the folder of all sweeps.
        own: the name of the sweep that looks for them.
        is_wanted: returns whether a trial with this key may be of use.
    """
    trained: dict[str, list[Trained]] = {}
    for name in reversed(sweep_names(home)):
        # Parsing the logs of all sweeps would take long; most have none of the keys.
        if name == own or not any(map(is_wanted, _read_keys(home / name))):
            continue
        for trial in _read_completed(home / name):
            if is_wanted(trial.keys[0]):
                entry = Trained(trial_folder(home / name, trial.number), name, trial)
                trained.setdefault(trial.keys[0], []).append(entry)
    return trained


def has_keys(home: Path, own: str) -> bool:
    """Return whether another sweep than the one with this name may have trials to reuse."""
    return any(_read_keys(home / name) for name in sweep_names(home) if name != own)


def _read_keys(folder: Path) -> set[str]:
    """Return the keys in the log of a sweep; none if it can't be read."""
    try:
        return {key.decode() for key in set(KEY.findall((folder / SWEEP_LOG).read_bytes()))}
    except OSError:
        return set()


def _read_completed(folder: Path) -> Iterator[Trial]:
    """Yield the trials of a sweep that have completed, all of whose attempts had one key."""
    state = SweepState(folder)
    # A log that another version has written can't be read, and an edited one may lack a trial.
    try:
        for event in event_lines.read_events(folder / SWEEP_LOG):
            event.apply(state)
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return
    for trial in state.trials.values():
        has_completed = trial.outcome == words.OUTCOME_COMPLETED and trial.cause == words.CAUSE_NONE
        if has_completed and len(set(trial.keys)) == 1 and trial.keys[0]:
            yield trial


class ReusableTrials:
    """Takes trials over from other sweeps."""

    def __init__(self, ledger: Ledger, trained: dict[str, list[Trained]]) -> None:
        """Take trials from these.

        Args:
            ledger: the state of the sweep, which gets them.
            trained: what `find_trained` returns.
        """
        self._ledger = ledger
        self._trained = trained

    @classmethod
    def find(cls, sweep: Sweep, home: Path, ledger: Ledger, environment: str) -> ReusableTrials:
        """Look for trials of other sweeps that were trained in the same environment (see `trial_key`)."""
        if not can_link(sweep.space):
            return cls(ledger, {})
        return cls(ledger, find_trained(home, sweep.name, lambda key: f"-{environment}-" in key))

    def take_over(self, trial: Trial, code: str, key: str) -> bool:
        """Let a trial that is about to be trained have completed with the epochs of an equal one.

        The whole folder is there before the event is written, and counts only with it. So a kill leaves a reused
        trial, or one that has no epoch.

        Args:
            trial: the trial.
            code: the fingerprint of the current code.
            key: the trial's key, as `trial_key.make_key` returns it.

        Returns:
            False if it has to be trained.

        Raises:
            OSError: the disk is full.
        """
        if trial.attempts or trial.epochs:
            return False
        folder = trial_folder(self._ledger.folder, trial.number)
        _delete_leftover(folder)
        for entry in self._trained.get(key, ()) if key else ():
            origin = _copy(entry, folder, trial)
            if origin is not None:
                self._ledger.link(trial, origin, code, key)
                return True
        return False


def _delete_leftover(folder: Path) -> None:
    """Delete what a process that was killed has copied into a trial's folder without writing the event."""
    shutil.rmtree(_part_of(folder), ignore_errors=True)
    lines = json_lines.read(folder / OUTBOX)[0]
    if any(line.get("attempt") == TAKEN_OVER for line in lines):
        shutil.rmtree(folder)


def _part_of(folder: Path) -> Path:
    """Return the folder in which a copy is made; its hard links would keep deleted checkpoints on the disk."""
    return folder.with_name(f"{folder.name}.part")


def _copy(entry: Trained, folder: Path, trial: Trial) -> Origin | None:
    """Write the folder of a trial from that of an equal one.

    Returns:
        Where it comes from; None if something is missing there, such as a checkpoint that was deleted.
    """
    source, part = entry.folder, _part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        rows = _read_rows(entry)
        if not rows:
            return None
        _fill(part, source, [identity_line(trial.id, trial.number), *({**row, "attempt": TAKEN_OVER} for row in rows)])
        if folder.exists():
            # An empty one: it is made before the event of an attempt.
            folder.rmdir()
        part.rename(folder)
        durable.sync_folder(folder.parent)
    except (OSError, UserError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # It was deleted meanwhile, or can't be read.
        return None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    run = read_sent(source / RUN_FILE).run_id
    return Origin(entry.sweep, entry.trial.number, entry.trial.ids, run, len(rows))


def _read_rows(entry: Trained) -> list[json_lines.Line]:
    """Return the epochs of a trial of another sweep; none unless all of them are there."""
    lines = json_lines.read(entry.folder / OUTBOX)[0]
    rows = [row for row in select_valid(lines, entry.trial.since) if "diverged" not in row]
    has_all = [row["epoch"] for row in rows] == list(range(1, entry.trial.decided_epochs + 1))
    return rows if has_all and identity_in(lines) == entry.trial.id else []


def _fill(part: Path, source: Path, lines: Iterable[json_lines.Line]) -> None:
    """Fill a folder with the outbox, the checkpoints and the media of a trial.

    Its evaluation is left out: this sweep may render its models in another way, and evaluates the trial itself.

    Raises:
        FileNotFoundError: a checkpoint is missing.
    """
    durable.make_folder(part / CHECKPOINT)
    outbox = json_lines.Log(part / OUTBOX)
    for line in lines:
        outbox.append(line, sync=False)
    outbox.close()
    for name in (LAST, BEST):
        # A checkpoint is only ever replaced by a rename.
        copies.link_file(source / CHECKPOINT / name, part / CHECKPOINT / name)
    for name in COPIED:
        if (source / name).exists():
            copies.copy(source / name, part / name)
    for rendering in (source / MEDIA).glob("epoch_*"):
        # A folder with a dot in its name is being written.
        if "." not in rendering.name:
            copies.copy(rendering, part / MEDIA / rendering.name)
    copies.sync_tree(part)
