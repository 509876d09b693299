"""`orchestrate clean NAME`: delete files of a sweep that are no longer needed, and print their sizes by kind."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from orchestrator.overview.preferred import find_preferred
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.state.disk import format_bytes
from orchestrator.state.home import SEARCH_SPACE, check_not_running, find_sweep, lock_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import BEST, CHECKPOINT, LAST, RUN_FILE, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.tracking.run import read_sent
from reports import vocabulary as words

KEPT = (BEST, LAST)
"""The checkpoints that a trial keeps after its end."""


def clean(home: Path, name: str, console: Console, *, keep_best: bool, dry_run: bool) -> None:
    """Delete incomplete files, checkpoints of pruned trials, and media that MLflow's server has.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        console: prints a table of what is deleted.
        keep_best: also delete every checkpoint but the best one of each arm's best trial, of the trial that listeners
            prefer and, with several objectives, of each trial on a front. The other trials can then not be resumed any
            more, only be started over.
        dry_run: delete nothing.

    Raises:
        UserError: there is no such sweep, or it is running.
    """
    folder = find_sweep(home, name)
    check_not_running(folder)
    # Locking writes a note and deletes files of the last driver; a dry run must not change anything.
    with contextlib.nullcontext() if dry_run else lock_sweep(folder):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("what", "files", "size"):
            table.add_column(heading, justify="left" if heading == "what" else "right")
        deletable = _find_deletable(home, name, keep_best=keep_best)
        files = {kind: [file for path in paths for file in _list_files(path)] for kind, paths in deletable.items()}
        sizes = _measure_freed(file for several in files.values() for file in several)
        for kind, paths in deletable.items():
            table.add_row(kind, str(len(files[kind])), format_bytes(sum(sizes.get(file, 0) for file in files[kind])))
            if not dry_run:
                _delete(paths)
    console.print(table)
    console.print(f"{'Would free' if dry_run else 'Freed'} {format_bytes(sum(sizes.values()))}.")


def _measure_freed(files: Iterable[Path]) -> dict[Path, int]:
    """Return the bytes that are freed when files are deleted in this order, each by the last name of its content.

    A file with a name that stays frees nothing: a best checkpoint is a hard link to a last one, media may be linked
    into MLflow's folder, and other sweeps may begin from a checkpoint.
    """
    states = {file: file.stat() for file in files}
    names: dict[tuple[int, int], list[Path]] = {}
    for file, state in states.items():
        names.setdefault((state.st_dev, state.st_ino), []).append(file)
    return {same[-1]: states[same[-1]].st_size for same in names.values() if len(same) == states[same[-1]].st_nlink}


def _find_deletable(home: Path, name: str, *, keep_best: bool) -> dict[str, list[Path]]:
    """Return the files and folders that can be deleted, by kind."""
    snapshot = read_snapshot(home, name)
    ledger: Ledger = snapshot.ledger
    preferred = find_preferred(ledger)
    bests = {*snapshot.best_trials(), *ledger.front_places(), *([preferred.number] if preferred else [])}
    trials = list(ledger.trials.values())
    space = YAML(typ="safe", pure=True).load((ledger.folder / SEARCH_SPACE).read_text())
    is_finished = ledger.is_finished
    keeps_pruned = (space.get("disk") or {}).get("keep_pruned_checkpoints", False)

    def select(is_deletable: Callable[[Trial, str], bool]) -> list[Path]:
        candidates = ((trial, path) for trial in trials for path in _list_checkpoints(ledger, trial))
        return [path for trial, path in candidates if is_deletable(trial, path.name)]

    def is_left_over(trial: Trial, file: str) -> bool:
        # Failed and diverged trials keep all checkpoints, since a retry may need any of them.
        is_over = trial.outcome in (words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED)
        return file.endswith(".tmp") or (file not in KEPT and is_over)

    def is_pruned(trial: Trial, file: str) -> bool:
        is_over = trial.outcome == words.OUTCOME_PRUNED and (trial.evaluated or is_finished)
        return file in KEPT and is_over and trial.number not in bests and not keeps_pruned

    def is_other(trial: Trial, file: str) -> bool:
        return file in KEPT and not is_pruned(trial, file) and not (trial.number in bests and file == BEST)

    kinds = {
        "leftovers of saving": select(is_left_over),
        "checkpoints of pruned trials": select(is_pruned),
        "sounds and pictures that MLflow's server keeps": [
            path for trial in trials if trial.number not in bests for path in _find_sent_media(ledger, trial)
        ],
    }
    if keep_best:
        kinds["all checkpoints but each arm's best"] = select(is_other)
    return kinds


def _list_checkpoints(ledger: Ledger, trial: Trial) -> Iterator[Path]:
    folder = trial_folder(ledger.folder, trial.number) / CHECKPOINT
    if folder.is_dir():
        yield from sorted(folder.iterdir())


def _find_sent_media(ledger: Ledger, trial: Trial) -> Iterator[Path]:
    """Yield the folders of an ended trial's media that MLflow has received as copies, not as hard links."""
    folder = trial_folder(ledger.folder, trial.number)
    sent: dict[str, int] = {}
    for acknowledged in (folder / RUN_FILE, *folder.glob(f"renderings/*.{RUN_FILE}")):
        sent |= read_sent(acknowledged).files
    for name, made_ns in sent.items():
        path = folder / name
        if path.is_dir() and trial.outcome is not None:
            if path.stat().st_mtime_ns == made_ns and all(file.stat().st_nlink == 1 for file in _list_files(path)):
                yield path


def _list_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _delete(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
