"""The commands about sweeps that were sent to a cluster with `--detach --address`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Sent

app = typer.Typer()
SentName = Annotated[str, typer.Argument(help="A sweep that was sent to a cluster.", show_default=False)]


@app.command()
def attach(name: SentName, address: Sent = None) -> None:
    """Follow a sweep on a cluster until it ends, or until Ctrl-C, which does not end the sweep."""
    from orchestrator.command_line import format_command
    from orchestrator.machines.address import require_cluster
    from orchestrator.machines.jobs import Jobs

    cluster = require_cluster(address)
    jobs = Jobs(cluster)
    job = jobs.find(name)
    try:
        if not jobs.follow(job, lambda text: print(text, end="", flush=True)):
            raise typer.Exit(1)
    except KeyboardInterrupt:
        again = format_command("attach", name, "--address", cluster)
        print(f"\n{name} continues without this terminal; follow it again: {again}")


@app.command()
def logs(name: SentName, address: Sent = None) -> None:
    """Print what a sweep on a cluster has printed so far."""
    from orchestrator.machines.address import require_cluster
    from orchestrator.machines.jobs import Jobs

    jobs = Jobs(require_cluster(address))
    print(jobs.read_log(jobs.find(name)), end="")


def ask_cluster(address: str, name: str, arguments: list[str]) -> None:
    """Run a command on the cluster to which a sweep was sent, and print what it prints.

    Args:
        address: the cluster.
        name: the sweep.
        arguments: those of `orchestrate`, without the home.

    Raises:
        Exit: the command failed there.
    """
    from orchestrator.machines.address import require_cluster
    from orchestrator.machines.jobs import Jobs

    jobs = Jobs(require_cluster(address))
    text, succeeded = jobs.ask(jobs.find(name), arguments)
    print(text, end="")
    if not succeeded:
        raise typer.Exit(1)
