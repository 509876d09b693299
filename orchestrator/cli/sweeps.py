"""The commands about sweeps that have started: their state, why a trial ended, cleaning, and repairs."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.clusters import ask_cluster
from orchestrator.cli.options import Home, Sent
from orchestrator.errors import UserError

app = typer.Typer()


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A sweep [default: all of them].", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    shows_all: Annotated[bool, typer.Option("--all", help="A row for every trial, even for thousands.")] = False,
    watches: Annotated[
        bool, typer.Option("--watch", help="Draw it again every 2 s, until the sweep ends or you press Ctrl-C.")
    ] = False,
    home: Home = None,
    address: Sent = None,
) -> None:
    """Show the state of sweeps: their arms, their trials, and what MLflow does not have yet."""
    from rich.console import Console

    from orchestrator.commands.status import show_status
    from orchestrator.commands.watch import watch
    from orchestrator.machines.address import default_dashboard
    from orchestrator.state.home import find_home

    console = Console(highlight=False)
    if cluster := address or (default_dashboard() if name and not watches and home is None else None):
        if name is None or watches:
            raise UserError("--address: needs the name of a sweep, and not --watch; attach follows a sweep")
        options = [option for option, is_set in (("--json", as_json), ("--all", shows_all)) if is_set]
        ask_cluster(cluster, name, ["status", name, *options])
        return
    if watches and (as_json or shows_all):
        raise UserError(f"--watch: not with {'--json' if as_json else '--all'}; leave one of them out")
    if watches:
        watch(find_home(home), name, console)
    else:
        show_status(find_home(home), name, as_json=as_json, console=console, shows_all=shows_all)


@app.command()
def why(
    trial: Annotated[str, typer.Argument(help="A trial, such as vae/7.", show_default=False)], home: Home = None
) -> None:
    """Explain why a trial ended, and print the command that would help."""
    from orchestrator.commands.why import explain
    from orchestrator.state.home import find_home

    for line in explain(find_home(home), trial):
        print(line)


@app.command(name="try-next")
def try_next(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    settings: Annotated[
        list[str],
        typer.Argument(help="Searched or compared parameters: lr=3e-4 loss=vae.", show_default=False),
    ],
    home: Home = None,
) -> None:
    """Let the next trial of a sweep have these parameters; the others are proposed as usual."""
    from orchestrator.policy.user_trials import try_next as want_next
    from orchestrator.state.home import find_home

    want_next(find_home(home), name, settings, print)


@app.command()
def clean(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the sizes and delete nothing.")] = False,
    keep: Annotated[
        str | None,
        typer.Option(help="best: keep no checkpoint but the best one of each arm.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Delete files that a sweep no longer needs."""
    from rich.console import Console

    from orchestrator.commands.clean import clean as clean_sweep
    from orchestrator.state.home import find_home

    if keep not in (None, "best"):
        raise UserError(f"--keep {keep}: only best is allowed; leave the option out to keep the usual checkpoints")
    clean_sweep(find_home(home), name, Console(highlight=False), keep_best=keep == "best", dry_run=dry_run)


@app.command()
def doctor(
    is_moved: Annotated[
        bool, typer.Option("--relocate", help="Replace the old absolute paths in a home that was moved.")
    ] = False,
    home: Home = None,
) -> None:
    """Check this machine and this home, and print what is wrong."""
    from orchestrator.commands.doctor import examine, relocate
    from orchestrator.state.home import find_home

    command = relocate if is_moved else examine
    command(find_home(home), print)
