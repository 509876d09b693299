"""`--detach --address`: which files and which arguments are sent to a cluster for a sweep."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.machines.jobs import Jobs


def require_home(home: Path | None) -> str:
    """Return the home as the cluster sees it, which this machine need not see.

    Raises:
        UserError: it is not given as an absolute path.
    """
    path = str(home or os.environ.get("ORCHESTRATE_HOME") or "")
    if not path.startswith("/"):
        raise UserError(
            f"--home {path or '(none)'}: a cluster needs the absolute path of a folder that all of its machines see, "
            "such as --home /shared/runs"
        )
    return path


def send_sweep(
    address: str,
    home: str,
    file: Path,
    name: str,
    options: Sequence[str],
    say: Callable[[str], None],
    user_code_paths: Sequence[Path] = (),
) -> None:
    """Let a cluster run a search space.

    Args:
        address: the cluster.
        home: the home, as the cluster sees it.
        file: the search space; its folder is sent along, with the trainable and helper modules in it.
        name: the name of the sweep.
        options: the options of `orchestrate sweep`, without the file, the home and the address.
        say: prints a line.
        user_code_paths: the user's own files that the sweep imports.

    Raises:
        UserError: a file that the sweep imports lies outside of the folder.
    """
    folder = file.resolve().parent
    for path in user_code_paths:
        if not path.resolve().is_relative_to(folder):
            raise UserError(
                f"{path}: lies outside of {folder}, which is what is sent to the cluster; move it there, or run the "
                "sweep on a machine of the cluster"
            )
    _send(address, home, name, ["sweep", file.name, *options], folder, say)


def send_resume(address: str, home: str, name: str, options: Sequence[str], say: Callable[[str], None]) -> None:
    """Let a cluster resume a sweep whose files are all in the home; the arguments are those of `send_sweep`."""
    _send(address, home, name, ["resume", name, *options], None, say)


def _send(
    address: str, home: str, name: str, arguments: Sequence[str], folder: Path | None, say: Callable[[str], None]
) -> None:
    jobs = Jobs(address)
    for line in jobs.describe(jobs.send(name, home, arguments, folder)):
        say(line)


def drop_options(arguments: Sequence[str], name: str, flags: Collection[str], valued: Collection[str]) -> list[str]:
    """Return the arguments of a command without the name of its sweep and without some options.

    Args:
        arguments: the arguments.
        name: the sweep, which may also be the value of an option.
        flags: options without a value that are dropped.
        valued: options that are dropped with their value.
    """
    kept, skips_next = [], False
    for argument in arguments:
        if skips_next:
            skips_next = False
        elif argument in valued:
            skips_next = True
        elif argument not in flags and argument.partition("=")[0] not in valued:
            kept.append(argument)
    if name in kept:
        kept.remove(name)
    return kept
