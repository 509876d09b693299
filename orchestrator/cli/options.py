"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import UserError
from orchestrator.storage.address import make_absolute, parse_address

File = Annotated[Path, typer.Argument(help="A search space, such as search_spaces/vae.yaml.", show_default=False)]
Preset = Annotated[str | None, typer.Option(help="A preset of the file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace a value, such as budget.max_epochs=60; may be repeated.", show_default=False),
]
Name = Annotated[str | None, typer.Option(help="The sweep's name, instead of the file's.", show_default=False)]
Home = Annotated[
    Path | None, typer.Option(help="Folder of all sweeps [default: $ORCHESTRATE_HOME, or runs].", show_default=False)
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Run in the background, where a closed connection does not end it.")
]

Storage = Annotated[
    str | None,
    typer.Option(
        help="The object store through which machines exchange files that do not share the home: s3://BUCKET/PREFIX, "
        "gs://BUCKET/PREFIX, file:///FOLDER or a folder [default: storage of the search space].",
        show_default=False,
    ),
]

Address = Annotated[
    str | None,
    typer.Option(
        help="The Ray cluster: HOST:PORT, auto (this machine's) or local (a Ray of its own); `sweep --detach` and "
        "`resume --detach` also take its dashboard's URL [default: $RAY_ADDRESS, or local].",
        show_default=False,
    ),
]

Sent = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="The Ray cluster to which the sweep was sent with --detach: HOST:PORT, auto, or its dashboard's URL "
        "[default: $RAY_ADDRESS; `status` and `stop` use it only if it is a URL and --home is not given].",
        show_default=False,
    ),
]


def as_override(storage: str | None) -> list[str]:
    """Return the option `--storage` as one of `--set`; none if it is not given.

    Raises:
        UserError: it is not the address of a store. The message does not repeat it, since it may have a password.
    """
    if storage is None:
        return []
    try:
        parse_address(make_absolute(storage))
    except ValueError as error:
        raise UserError(f"--storage: {error}") from None
    return [f"storage={storage}"]


def complete_example(incomplete: str) -> list[tuple[str, str]]:
    """Return the examples whose names begin with what was typed, each with its question."""
    from orchestrator.commands.init import find_examples

    examples = find_examples().values()
    return [(example.name, example.question) for example in examples if example.name.startswith(incomplete)]


ExampleName = Annotated[
    str | None,
    typer.Argument(
        help="An example, such as vae [default: list them].", show_default=False, autocompletion=complete_example
    ),
]


def find_search_spaces(path: Path) -> list[Path]:
    """Return the search spaces that an argument names: one file, or all `*.yaml` files of a folder.

    Raises:
        UserError: the folder has no such file.
    """
    if not path.is_dir():
        return [path]
    paths = sorted(path.glob("*.yaml"))
    if not paths:
        raise UserError(f"{path}: has no search space; a folder with files named *.yaml is needed, or one such file")
    return paths
