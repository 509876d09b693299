"""The commands that read or write a search space and run no sweep: `init`, `plan`, `try`, `check` and `schema`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Address, ExampleName, File, Home, Overrides, Preset
from orchestrator.errors import UserError

app = typer.Typer()


@app.command()
def init(
    name: ExampleName = None,
    own: Annotated[
        bool, typer.Option("--own", help="A small trainable of your own with its search space, under this name.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write into.")] = Path(),
) -> None:
    """Write an example search space into this folder, or list the examples."""
    from orchestrator.commands.init import list_examples, write_example, write_own

    if own:
        write_own(name, out, print)
    elif name is None:
        list_examples(print)
    else:
        write_example(name, out, print)


@app.command()
def plan(
    file: File,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Train an epoch or two of each distinct shape, and estimate time and money."),
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(
            "--price-per-gpu-hour",
            min=0,
            help="The price of a GPU for an hour, with --probe [default: budget.price_per_gpu_hour].",
            show_default=False,
        ),
    ] = None,
    preset: Preset = None,
    set_: Overrides = None,
    home: Home = None,
    address: Address = None,
) -> None:
    """Show what a search space would run; with --probe also how long it takes, and what it costs."""
    from rich.console import Console

    from orchestrator.commands.planning.contents import print_plan
    from orchestrator.commands.planning.plan import make_plan
    from orchestrator.machines.address import use_address
    from orchestrator.notices.addresses import check_addresses
    from orchestrator.plugins.loader import check_corpus
    from orchestrator.search_space.reader import read_search_space
    from orchestrator.state.disk import free_bytes
    from orchestrator.state.home import find_home

    for option, value in (("--price-per-gpu-hour", price), ("--address", address)):
        if value is not None and not probe:
            raise UserError(f"{option} {value}: is for the estimate of --probe; add --probe, or leave it out")
    if probe:
        use_address(address)
    sweep = read_search_space(file, preset=preset, overrides=set_ or [])
    check_corpus(sweep.space.corpus)
    check_addresses(sweep.space.notify, sweep.path)
    folder = find_home(home)
    sweep_plan = make_plan(sweep, folder)
    print_plan(sweep_plan, Console(highlight=False), free_bytes(folder))
    if probe:
        from orchestrator.commands.planning.estimate import print_estimate

        print_estimate(sweep, sweep_plan, folder, price)


@app.command(name="try")
def try_(
    file: File,
    arm: Annotated[str | None, typer.Option(help="The arm, such as loss=vae [default: the first].")] = None,
    preset: Preset = None,
    set_: Overrides = None,
    home: Home = None,
) -> None:
    """Run one trial for two batches in this process, for a debugger; nothing is recorded."""
    from orchestrator.commands.try_out import try_out
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import read_search_space
    from orchestrator.state.home import find_home

    try_out(read_search_space(file, preset=preset, overrides=set_ or []), find_home(home), Screen(), arm)


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="A search space, or a Python file with a trainable or losses.", show_default=False)
    ],
    arm: Annotated[str | None, typer.Option(help="The arm, such as loss=vae [default: the first].")] = None,
    set_: Overrides = None,
    home: Home = None,
) -> None:
    """Run the contract tests, such as exact resume, on your own trainable, losses and corpus."""
    from orchestrator.commands.check import check as check_file
    from orchestrator.overview.screen import Screen
    from orchestrator.state.home import find_home

    screen = Screen()
    try:
        check_file(file, find_home(home), set_ or [], arm, screen.say, screen.show_step, screen.progress)
    finally:
        screen.close()


@app.command()
def schema() -> None:
    """Print the JSON Schema of a search space, for editors."""
    from orchestrator.search_space.json_schema import schema_text

    sys.stdout.write(schema_text())
