"""`orchestrate export NAME --to KIND --out DIR`: one folder for another program, complete if it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.command_line import version
from orchestrator.errors import UserError
from orchestrator.state.home import find_sweep
from orchestrator.storage.atomic_folder import write_folder

OUT = "{out}"
"""Stands for the folder, which has another name until it is complete."""
MODEL = "hf"
"""The kind that is made of one trial: it may be named instead of a sweep."""
Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]
"""Shows how far something is: what, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes:
        home: the folder of all sweeps.
        name: the sweep; for a model also one of its trials, such as `vae/7`.
        say: prints a line.
        progress: shows how far the export is.
    """

    home: Path
    name: str
    say: Say
    progress: Progress


def export(request: Request, kind: str, out: Path, *, overwrite: bool) -> None:
    """Write a sweep into a folder in the form that another program reads.

    Args:
        request: the sweep, and where messages go.
        kind: a key of `KINDS`.
        out: the folder to write.
        overwrite: whether a folder of an earlier export may be replaced.

    Raises:
        UserError: the kind is unknown, there is no such sweep or nothing to export, a package is missing, or the folder
            is there already or can't be written.
        ReportError: a report of the sweep can't be made.
    """
    if kind not in KINDS:
        raise UserError(f"--to {kind}: is unknown; {', '.join(KINDS)} are allowed")
    name, slash, _ = request.name.rpartition("/") if kind == MODEL else ("", "", "")
    name = find_sweep(request.home, name if slash else request.name).name
    with write_folder(out, {"sweep": name, "kind": kind, "version": version()}, replaces=overwrite) as folder:
        sentence = KINDS[kind](request, folder)
    request.say(sentence.replace(OUT, str(out)))


def _write_journal(request: Request, folder: Path) -> str:
    from orchestrator.commands.exports.optuna_journal import write_journal

    counts = write_journal(request.home, request.name, folder / f"{request.name}.journal")
    return f"{counts}. Look at them:  optuna-dashboard {OUT}/{request.name}.journal"


def _write_tables(request: Request, folder: Path) -> str:
    from orchestrator.commands.report import write_tables

    paths = write_tables(request.home, request.name, folder)
    return f"{OUT}: {', '.join(path.name for path in paths)}"


def _write_event_files(request: Request, folder: Path) -> str:
    from orchestrator.commands.exports.event_files import write_event_files

    counts = write_event_files(request.home, request.name, folder, request.progress)
    return f"{counts}. Look at them:  tensorboard --logdir {OUT}"


def _write_model(request: Request, folder: Path) -> str:
    from orchestrator.commands.exports.model_folder import write_model_folder

    description = write_model_folder(request.home, request.name, folder, request.say)
    repository = request.name.replace("/", "-")
    return f"{description}\n{OUT} is ready. Read its README.md, then:  hf upload USER/{repository} {OUT}"


KINDS: dict[str, Callable[[Request, Path], str]] = {
    "optuna": _write_journal,
    "csv": _write_tables,
    "tensorboard": _write_event_files,
    MODEL: _write_model,
}
"""Functions that fill a folder; they return the sentence to print, with `OUT` for the folder."""
