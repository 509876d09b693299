"""The commands that use what sweeps have recorded, such as `compare`, `report`, `listen` and `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Home
from orchestrator.command_line import UI_PORT

app = typer.Typer()


@app.command()
def ui(
    name: Annotated[str | None, typer.Argument(help="A sweep [default: the newest].", show_default=False)] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = UI_PORT,
    home: Home = None,
) -> None:
    """Start MLflow's user interface for the home, and print links to a sweep's pages."""
    from orchestrator.state.home import find_home
    from orchestrator.tracking.ui import serve

    serve(find_home(home), name, port)


@app.command()
def compare(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    trials: Annotated[
        list[str] | None, typer.Argument(help="Trials, such as 3 or vae/3 [default: its arms].", show_default=False)
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, with all digits.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="As a LaTeX table.")] = False,
    home: Home = None,
) -> None:
    """Compare a sweep's arms, or some of its trials, in one table, and print links to MLflow's pages of them."""
    from rich.console import Console

    from orchestrator.commands.compare import compare as print_comparison
    from orchestrator.commands.compare import parse_trials
    from orchestrator.state.home import find_home

    form = "latex" if latex else "table"
    if csv:
        form = "csv"
    sweep_name, numbers = parse_trials(name, trials or [])
    print_comparison(find_home(home), sweep_name, numbers, form, Console(highlight=False))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="A trial, such as vae/3.", show_default=False)],
    second: Annotated[str, typer.Argument(help="Another, also of another sweep.", show_default=False)],
    home: Home = None,
) -> None:
    """Show the differences between two trials (parameters, code, versions), and their curves and classes."""
    from rich.console import Console

    from orchestrator.commands.diff import diff as print_differences
    from orchestrator.state.home import find_home

    print_differences(find_home(home), first, second, Console(highlight=False))


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(help="Sweeps that were run.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Folder [default: reports in the home].", show_default=False)] = None,
    form: Annotated[str, typer.Option("--format", help="html, md, csv, latex, png or svg.")] = "html",
    best_yaml: Annotated[
        bool, typer.Option("--best-yaml", help="Print the best configuration as YAML, and write no report.")
    ] = False,
    arm: Annotated[
        str | None, typer.Option(help="With --best-yaml: of these arms, such as loss=vae.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Write a report for each sweep from its runs in MLflow: which arm is better, by how much, and how surely.

    For several sweeps it also writes a page that shows their differences.
    """
    from orchestrator.commands.report import print_best, write_reports
    from orchestrator.state.home import find_home

    if best_yaml:
        print_best(find_home(home), names, arm, print)
        return
    write_reports(find_home(home), names, out, form, print)


@app.command()
def listen(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    more: Annotated[list[int] | None, typer.Argument(metavar="", hidden=True)] = None,
    method: Annotated[
        str,
        typer.Option(
            help="mos: rate each sound; mushra: rate all of a clip next to the original; prefer: say which of two is "
            "better; abx: distinguish two sounds."
        ),
    ] = "mos",
    top: Annotated[int, typer.Option(help="Test the best trials of at most this number of arms.")] = 5,
    trials: Annotated[
        list[int] | None, typer.Option(help="Test these trials instead: --trials 7 12.", show_default=False)
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            help="Test renderings of one model that differ in this setting, such as phase.", show_default=False
        ),
    ] = None,
    against_original: Annotated[
        bool, typer.Option("--against-original", help="In an abx test, compare each sound with the original.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the test into one HTML file for other people.", show_default=False)
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--import", help="Read a file of answers to an exported test.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5001,
    home: Home = None,
) -> None:
    """Hold a blind listening test of a sweep's sounds in a browser, until Ctrl-C; its results go to MLflow."""
    from orchestrator.commands.report import hold_listening_test
    from orchestrator.state.home import find_home
    from reports.listening.session import Options

    # The parser takes only the first number after --trials as the option's value, the others as arguments.
    numbers = (*(trials or ()), *(more or ()))
    options = Options(method, top, numbers, vary, against_original, export, answers, port)
    hold_listening_test(find_home(home), name, options, lambda line: print(line, flush=True))


@app.command()
def generate(
    files: Annotated[
        list[Path],
        typer.Argument(help="Images (jpg, png, webp) or recordings (wav, flac, mp3, mp4).", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the generated files.")] = Path("generated"),
    sweep_: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            help="A sweep, for its best trial, or a trial such as vae/7 [default: the newest sweep that can].",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A promoted model instead, such as models:/audiovision@champion.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option(help="Outputs for each file.", min=1, max=100)] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the outputs.", min=0)] = 0,
    at: Annotated[float, typer.Option(help="Start of the clip in a recording, in s.", min=0)] = 0.0,
    home: Home = None,
) -> None:
    """Generate sounds from images, images from sounds, or reconstruct sounds, with a trained trial."""
    from orchestrator.commands.generate import Options
    from orchestrator.commands.generate import generate as generate_files
    from orchestrator.state.home import find_home

    options = Options(out, sweep_, model, count, seed, at)
    generate_files(find_home(home), files, options, lambda line: print(line, flush=True))


@app.command()
def promote(
    name: Annotated[
        str, typer.Argument(help="A sweep, for its best trial, or a trial such as vae/7.", show_default=False)
    ],
    registered: Annotated[str, typer.Option("--as", help="The model's name in MLflow's registry.")] = "audiovision",
    alias: Annotated[str, typer.Option(help="The alias to set for the new version.")] = "champion",
    home: Home = None,
) -> None:
    """Register a trial in MLflow's model registry, by default a sweep's best, so that it can be loaded anywhere."""
    from orchestrator.models.registry import promote as register
    from orchestrator.state.home import find_home

    register(find_home(home), name, registered, alias, lambda line: print(line, flush=True))


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    kind: Annotated[
        str,
        typer.Option(
            "--to",
            help="optuna (studies for optuna-dashboard), csv, tensorboard (event files), or hf (a model with its card, "
            "for the Hugging Face Hub).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.", show_default=False)],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder if an earlier export has written it.")
    ] = False,
    home: Home = None,
) -> None:
    """Write what a sweep has recorded as files for another program."""
    from orchestrator.commands.exports.export import Request
    from orchestrator.commands.exports.export import export as write_export
    from orchestrator.overview.screen import Screen
    from orchestrator.state.home import find_home

    screen = Screen()
    try:
        write_export(Request(find_home(home), name, screen.say, screen.progress), kind, out, overwrite=overwrite)
    finally:
        screen.close()
