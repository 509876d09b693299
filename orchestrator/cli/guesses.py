"""Options that no command has, because they are keys of the search space: the message says how to set those."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from orchestrator.errors import UserError

SET = "--set"
ALIASES = {
    "trials": "budget.trials_per_arm",
    "epochs": "budget.max_epochs",
    "gpus": "resources.gpu",
    "cpus": "resources.cpu",
    "lr": "params.lr",
    "learning_rate": "params.lr",
    "batch_size": "params.batch_size",
    "dataset": "corpus.name",
}
"""Keys of a search space by other names that people give them."""


def check_options(command: Any, arguments: Sequence[str]) -> None:
    """Refuse an unknown option that is a key of the search space, if the command can set keys; others are not checked.

    Args:
        command: the command, as Typer has it.
        arguments: what follows the command's name.

    Raises:
        UserError: such an option was given.
    """
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    if SET not in options:
        return
    for place, argument in enumerate(arguments):
        option, has_value, value = argument.partition("=")
        if argument == "--":
            return
        if not option.startswith("--") or option in options:
            continue
        key = _find_key(option.removeprefix("--").replace("-", "_"))
        if key is None:
            continue
        following = next(iter(arguments[place + 1 :]), "-")
        value = value if has_value else "VALUE" if following.startswith("-") else following
        raise UserError(
            f"{option}: {command.name} has no such option; give the key of the search space: "
            f"{SET} {shlex.quote(f'{key}={value}')}"
        )


def _find_key(name: str) -> str | None:
    """Return the path of a key of search spaces by its name or by another one for it; None if there is none."""
    # Imported only for a mistake: `--help` is fast without it.
    from orchestrator.search_space.keys import find_key

    return ALIASES.get(name) or find_key(name)
