"""The commands that steer a sweep while it runs; its driver carries them out."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.clusters import ask_cluster
from orchestrator.cli.options import Home, Sent

app = typer.Typer()
Running = Annotated[str, typer.Argument(help="A sweep that runs.", show_default=False)]
Target = Annotated[str, typer.Argument(help="A sweep, or one of its trials: vae or vae/7.", show_default=False)]
TrialOf = Annotated[str, typer.Argument(help="A trial of a sweep that runs, such as vae/7.", show_default=False)]


def _print(line: str) -> None:
    print(line, flush=True)


@app.command()
def top(
    name: Annotated[
        str | None, typer.Argument(help="A sweep [default: the one that ran last].", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Watch a sweep in the whole terminal, and steer it with single keys."""
    from orchestrator.state.home import find_home
    from orchestrator.steering.top import show_top

    show_top(find_home(home), name)


@app.command()
def stop(name: Target, home: Home = None, address: Sent = None) -> None:
    """Stop a sweep or a trial so that it can be resumed."""
    from orchestrator.machines.address import default_dashboard

    if cluster := address or (default_dashboard() if home is None else None):
        ask_cluster(cluster, name.partition("/")[0], ["stop", name])
        return
    from orchestrator.state.home import find_home
    from orchestrator.steering.stop import stop as stop_target

    stop_target(find_home(home), name, _print)


@app.command()
def pause(name: Target, home: Home = None) -> None:
    """Pause a sweep, or stop one trial: its CPUs and GPUs are free until you continue it."""
    from orchestrator.state.home import find_home
    from orchestrator.steering import requesting

    requesting.pause(find_home(home), name, _print)


@app.command("continue")
def go_on(name: Target, home: Home = None) -> None:
    """Continue a paused sweep, or a stopped trial of a sweep that runs."""
    from orchestrator.state.home import find_home
    from orchestrator.steering import requesting

    requesting.go_on(find_home(home), name, _print)


@app.command()
def retry(trial: TrialOf, home: Home = None) -> None:
    """Try a failed or diverged trial again, without waiting for the end of its sweep."""
    from orchestrator.state.home import find_home
    from orchestrator.steering import requesting

    requesting.retry(find_home(home), trial, _print)


@app.command()
def boost(trial: TrialOf, home: Home = None) -> None:
    """Give a trial that waits the next place that is free."""
    from orchestrator.state.home import find_home
    from orchestrator.steering import requesting

    requesting.boost(find_home(home), trial, _print)


@app.command()
def limit(
    name: Running,
    at_once: Annotated[str, typer.Argument(help="The most trials at once, or all.", show_default=False)],
    home: Home = None,
) -> None:
    """Change how many trials of a sweep run at once."""
    from orchestrator.state.home import find_home
    from orchestrator.steering import requesting

    requesting.limit(find_home(home), name, at_once, _print)
