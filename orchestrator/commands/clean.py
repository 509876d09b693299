"""`orchestrate clean NAME`: free disk, by kind of what is deleted, without losing what can't be made again."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from orchestrator.overview.snapshot import read_snapshot
from orchestrator.state.disk import in_bytes
from orchestrator.state.home import SEARCH_SPACE, check_undriven, find_sweep, locked
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import BEST, CHECKPOINT, LAST, trial_folder
from orchestrator.state.trial import Trial
from reports import vocabulary as words

KEPT = (BEST, LAST)


def clean(home: Path, name: str, console: Console, *, keep_best: bool, dry_run: bool) -> None:
    """Delete what nothing needs any more: leftovers, pruned trials' checkpoints, media that a server keeps.

    Args:
        home: the folder of all sweeps.
        name: of the sweep.
        console: where the table goes.
        keep_best: delete more: every checkpoint but the best one of each arm's best trial. Other trials can then
            only be started over.
        dry_run: only say how much it would be.

    Raises:
        UserError: there is no such sweep, or it runs.
    """
    folder = find_sweep(home, name)
    # Whoever holds the lock writes a note and clears up after the driver before: a dry run does neither.
    check_undriven(folder)
    with contextlib.nullcontext() if dry_run else locked(folder):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("what", "files", "size"):
            table.add_column(heading, justify="left" if heading == "what" else "right")
        total = 0
        for kind, paths in _kinds(home, name, keep_best=keep_best).items():
            files = [file for path in paths for file in _files(path)]
            size = sum(file.stat().st_size for file in files if file.stat().st_nlink == 1 or file.suffix == ".pt")
            table.add_row(kind, str(len(files)), in_bytes(size))
            total += size
            if not dry_run:
                _delete(paths)
    console.print(table)
    console.print(f"{'Would free' if dry_run else 'Freed'} {in_bytes(total)}.")


def _kinds(home: Path, name: str, *, keep_best: bool) -> dict[str, list[Path]]:
    """What can go, by kind."""
    snapshot = read_snapshot(home, name)
    ledger: Ledger = snapshot.ledger
    bests = snapshot.best_trials()
    trials = list(ledger.trials.values())
    space = YAML(typ="safe", pure=True).load((ledger.folder / SEARCH_SPACE).read_text())
    is_finished = ledger.is_finished
    keeps_pruned = (space.get("disk") or {}).get("keep_pruned_checkpoints", False)

    def checkpoints(wanted: Callable[[Trial, str], bool]) -> list[Path]:
        candidates = ((trial, path) for trial in trials for path in _checkpoints(ledger, trial))
        return [path for trial, path in candidates if wanted(trial, path.name)]

    def is_left_over(trial: Trial, file: str) -> bool:
        # Those that broke may be tried again from whichever of their checkpoints is of use.
        is_over = trial.outcome in (words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED)
        return file.endswith(".tmp") or (file not in KEPT and is_over)

    def is_pruned(trial: Trial, file: str) -> bool:
        is_over = trial.outcome == words.OUTCOME_PRUNED and (trial.evaluated or is_finished)
        return file in KEPT and is_over and trial.number not in bests and not keeps_pruned

    def is_other(trial: Trial, file: str) -> bool:
        return file in KEPT and not is_pruned(trial, file) and not (trial.number in bests and file == BEST)

    kinds = {
        "leftovers of saving": checkpoints(is_left_over),
        "checkpoints of pruned trials": checkpoints(is_pruned),
        "sounds and pictures that MLflow's server keeps": [
            path for trial in trials if trial.number not in bests for path in _sent_media(ledger, trial)
        ],
    }
    return kinds | ({"all checkpoints but each arm's best": checkpoints(is_other)} if keep_best else {})


def _checkpoints(ledger: Ledger, trial: Trial) -> Iterator[Path]:
    folder = trial_folder(ledger.folder, trial.number) / CHECKPOINT
    if folder.is_dir():
        yield from sorted(folder.iterdir())


def _sent_media(ledger: Ledger, trial: Trial) -> Iterator[Path]:
    """Renderings of an ended trial that were acknowledged and are not linked to where MLflow keeps them."""
    folder = trial_folder(ledger.folder, trial.number)
    sent: dict[str, int] = {}
    for acknowledged in (folder / "mlflow.json", *folder.glob("renderings/*.mlflow.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            sent |= json.loads(acknowledged.read_text())["files"]
    for name, made_ns in sent.items():
        path = folder / name
        if path.is_dir() and trial.outcome is not None:
            if path.stat().st_mtime_ns == made_ns and all(file.stat().st_nlink == 1 for file in _files(path)):
                yield path


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _delete(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
