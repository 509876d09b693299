"""The verbs: each parses its arguments, calls one function and prints; heavy packages are imported inside."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import results
from orchestrator.cli.options import Detach, File, Home, Name, Overrides, Preset, search_spaces_in
from orchestrator.cli.verbs import Verbs
from orchestrator.errors import OrchestratorError, SweepStopped, UserError
from reports.errors import ReportError

app = typer.Typer(
    cls=Verbs,
    help="Audio-and-vision experiments from one YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(metadata.version("orchestrate"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Audio-and-vision experiments from one YAML file."""


@app.command()
def sweep(
    files: Annotated[list[Path], typer.Argument(help="Search spaces, or folders of them.", show_default=False)],
    preset: Preset = None,
    set_: Overrides = None,
    name: Name = None,
    home: Home = None,
    detach: Detach = False,
) -> None:
    """Run a search space; the same command again goes on where it was."""
    from orchestrator.commands.finished import Request, find_finished, record_finished, say_finished
    from orchestrator.state.home import find_home, was_run

    paths = [path for argument in files for path in search_spaces_in(argument)]
    if name is not None and len(paths) > 1:
        raise UserError(f"--name {name}: {len(paths)} search spaces can't share one name; run them one by one")
    requests = [Request(path, preset, tuple(set_ or ()), name) for path in paths]
    finished = [find_finished(find_home(home), request) for request in requests]
    if all(finished):
        for sweep_name in filter(None, finished):
            say_finished(find_home(home), sweep_name, print)
        return
    from orchestrator.driver.sweep import run_sweep
    from orchestrator.overview.screen import Screen
    from orchestrator.plugins.loader import check_corpus
    from orchestrator.search_space.reader import read_search_space

    # Every file is checked before the first one runs.
    sweeps = [read_search_space(path, preset=preset, overrides=set_ or [], name=name) for path in paths]
    for sweep in sweeps:
        # One that was run may be finished, and needs nothing more.
        if not was_run(find_home(home) / sweep.name):
            check_corpus(sweep.space.corpus)
    screen = Screen()
    if detach:
        _detach(find_home(home) / sweeps[0].name, screen.say)
        return
    for request, sweep in zip(requests, sweeps, strict=True):
        for remark in sweep.remarks:
            screen.say(f"{sweep.name}: {remark}")
        try:
            # Of several, the others are still to come.
            ledger = run_sweep(
                sweep, find_home(home), screen, resume_arguments=sys.argv[1:] if len(sweeps) > 1 else None
            )
        finally:
            screen.close()
        screen.print_results(sweep, ledger)
        _report(sweep.name, find_home(home), screen.say)
        record_finished(find_home(home), request, sweep)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again.")] = False,
    only: Annotated[
        str | None, typer.Option(help="Those of one cause, such as oom or nonfinite.", show_default=False)
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="From their first epoch, not from the last good checkpoint.")
    ] = False,
    trials: Annotated[str | None, typer.Option(help="More trials in each arm: +4.", show_default=False)] = None,
    epochs: Annotated[str | None, typer.Option(help="More epochs for each trial: +10.", show_default=False)] = None,
    hours: Annotated[str | None, typer.Option(help="More time for the sweep: +0.5.", show_default=False)] = None,
    arm: Annotated[str | None, typer.Option(help="For these arms only, such as loss=vae.", show_default=False)] = None,
    set_: Overrides = None,
    home: Home = None,
    detach: Detach = False,
) -> None:
    """Go on with a sweep where it was; with failed trials again, or with more budget."""
    from orchestrator.commands.resume import ResumeOptions, parse_increment
    from orchestrator.commands.resume import resume as go_on
    from orchestrator.overview.screen import Screen
    from orchestrator.state.home import find_home, find_sweep

    more = ResumeOptions(
        retry_failed,
        only,
        from_scratch,
        int(parse_increment("--trials", trials, int)),
        int(parse_increment("--epochs", epochs, int)),
        parse_increment("--hours", hours, float),
        arm,
    )
    screen = Screen()
    if detach:
        _detach(find_sweep(find_home(home), name), screen.say)
        return
    try:
        sweep, ledger = go_on(name, find_home(home), screen, more, set_ or [])
    finally:
        screen.close()
    screen.print_results(sweep, ledger)
    _report(sweep.name, find_home(home), screen.say)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A sweep [default: all of them].", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    shows_all: Annotated[bool, typer.Option("--all", help="A line for every trial, also of thousands.")] = False,
    home: Home = None,
) -> None:
    """Say where sweeps stand: each arm, each trial, and what MLflow still has to get."""
    from rich.console import Console

    from orchestrator.commands.status import show_status
    from orchestrator.state.home import find_home

    show_status(find_home(home), name, as_json=as_json, console=Console(highlight=False), shows_all=shows_all)


@app.command()
def why(
    trial: Annotated[str, typer.Argument(help="A trial, such as vae/7.", show_default=False)], home: Home = None
) -> None:
    """Say why a trial ended as it did, and what would help."""
    from orchestrator.commands.why import explain
    from orchestrator.state.home import find_home

    for line in explain(find_home(home), trial):
        print(line)


@app.command()
def stop(
    name: Annotated[str, typer.Argument(help="A sweep, or one of its trials: vae or vae/7.", show_default=False)],
    home: Home = None,
) -> None:
    """End a sweep or a trial cleanly; it can be resumed."""
    from orchestrator.commands.stop import stop as end
    from orchestrator.state.home import find_home

    end(find_home(home), name, lambda line: print(line, flush=True))


@app.command()
def clean(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much it would be.")] = False,
    keep: Annotated[
        str | None,
        typer.Option(help="best: keep no checkpoint but the best one of each arm.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Free disk: delete what a sweep has no more use for."""
    from rich.console import Console

    from orchestrator.commands.clean import clean as free
    from orchestrator.state.home import find_home

    if keep not in (None, "best"):
        raise UserError(f"--keep {keep}: only best is known")
    free(find_home(home), name, Console(highlight=False), keep_best=keep == "best", dry_run=dry_run)


@app.command()
def doctor(
    move: Annotated[bool, typer.Option("--relocate", help="Put a home right that was moved to this place.")] = False,
    home: Home = None,
) -> None:
    """Say what is wrong with this machine and this home."""
    from orchestrator.commands.doctor import examine, relocate
    from orchestrator.state.home import find_home

    (relocate if move else examine)(find_home(home), print)


@app.command()
def plan(file: File, preset: Preset = None, set_: Overrides = None, home: Home = None) -> None:
    """Say what a search space would run, without starting anything."""
    from rich.console import Console

    from orchestrator.commands.plan import make_plan, print_plan
    from orchestrator.plugins.loader import check_corpus
    from orchestrator.search_space.reader import read_search_space
    from orchestrator.state.disk import free_bytes
    from orchestrator.state.home import find_home

    sweep = read_search_space(file, preset=preset, overrides=set_ or [])
    check_corpus(sweep.space.corpus)
    print_plan(make_plan(sweep), Console(highlight=False), free_bytes(find_home(home)))


@app.command(name="try")
def try_(
    file: File,
    arm: Annotated[str | None, typer.Option(help="The arm, such as loss=vae [default: the first].")] = None,
    preset: Preset = None,
    set_: Overrides = None,
    home: Home = None,
) -> None:
    """Run one trial for two batches in this process and record nothing: for a debugger."""
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
    """Check that your own trainable, losses and corpus hold what ours must hold, exact resume among it."""
    from orchestrator.commands.check import check as check_file
    from orchestrator.state.home import find_home

    check_file(file, find_home(home), set_ or [], arm, print)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a search space, for editors."""
    from orchestrator.search_space.json_schema import schema_text

    sys.stdout.write(schema_text())


app.add_typer(results.app)


def _report(name: str, home: Path, say: Callable[[str], None]) -> None:
    """Write the page of a sweep that has just ended, unless it is as new; that it can't be written takes nothing."""
    from orchestrator.command_line import typed
    from orchestrator.commands.finished import has_report
    from orchestrator.commands.report import write_reports
    from orchestrator.state.home import home_option

    if has_report(home, name):
        return
    try:
        write_reports(home, [name], None, "html", say)
    except (OrchestratorError, ReportError) as error:
        say(f"No report: {error}")
    except Exception as error:
        # Whatever it is, the sweep has ended well.
        command = typed("report", name, *home_option(home))
        say(f"No report ({type(error).__name__}: {error}); {command} says where that is")


def _detach(folder: Path, say: Callable[[str], None]) -> None:
    """Run this very command in the background."""
    from orchestrator.driver.background import detach

    detach([argument for argument in sys.argv[1:] if argument != "--detach"], folder, say)


def main() -> None:
    """Run the command line; a known error is its message and its exit code, never a traceback."""
    # Read when torch is imported, here and in workers. Threads that wait in a loop take the processors from those that
    # they wait for: beside two other busy processes on two cores a convolution took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(standalone_mode=True)
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except ReportError as error:
        print(error, file=sys.stderr)
        raise SystemExit(UserError.exit_code) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"the disk is full ({error}); free some space, and go on with orchestrate resume", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(SweepStopped("Stopped."), file=sys.stderr)
        raise SystemExit(130) from None
