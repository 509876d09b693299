"""The command line: each command parses its arguments and calls one function.

Packages that take long to import are imported inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import clusters, data, results, search_spaces, steering, sweeps
from orchestrator.cli.options import (
    Address,
    Detach,
    Home,
    Name,
    Overrides,
    Preset,
    Storage,
    as_override,
    find_search_spaces,
)
from orchestrator.cli.verbs import Verbs
from orchestrator.command_line import format_command, use_utf8, version
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.terminal import outlive_readers
from reports.errors import ReportError

app = typer.Typer(
    cls=Verbs,
    help="Audio-and-vision experiments from one YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(is_given: bool) -> None:
    if is_given:
        print(version())
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
    storage: Storage = None,
    detach: Detach = False,
    address: Address = None,
) -> None:
    """Run a search space; the same command resumes it."""
    from orchestrator.commands.already_finished import Request, find_finished, record_finished, say_finished
    from orchestrator.machines.address import cluster_address, use_address
    from orchestrator.state.home import find_home, was_run

    use_address(address, detached=detach)
    set_ = [*(set_ or []), *as_override(storage)]
    home_path = find_home(home)
    _outlive_readers(home_path)
    paths = [path for argument in files for path in find_search_spaces(argument)]
    if name is not None and len(paths) > 1:
        raise UserError(f"--name {name}: {len(paths)} search spaces can't share one name; run them one by one")
    if detach and (cluster := cluster_address()):
        for path in paths:
            _send(path, cluster, home, preset, set_ or [], name)
        return
    requests = [Request(path, preset, tuple(set_ or ()), name) for path in paths]
    finished = [find_finished(home_path, request) for request in requests]
    if all(finished):
        for sweep_name in filter(None, finished):
            say_finished(home_path, sweep_name, print)
        return
    # Imported only now: a finished sweep needs neither torch nor Ray.
    from orchestrator.driver.sweep import run_sweep
    from orchestrator.notices.addresses import check_addresses
    from orchestrator.overview.screen import Screen
    from orchestrator.plugins.loader import check_corpus
    from orchestrator.search_space.reader import read_search_space

    # Every file is checked before the first one runs.
    sweeps = [read_search_space(path, preset=preset, overrides=set_ or [], name=name) for path in paths]
    for sweep in sweeps:
        # A sweep that has started before may be finished, and a finished one needs no corpus.
        if not was_run(home_path / sweep.name):
            check_corpus(sweep.space.corpus)
            check_addresses(sweep.space.notify, sweep.path)
    screen = Screen()
    if detach:
        _detach(home_path / sweeps[0].name, screen.say)
        return
    # If Ray dies, the whole command is repeated, since other search spaces may follow this one.
    resume_arguments = sys.argv[1:] if len(sweeps) > 1 else None
    for request, sweep in zip(requests, sweeps, strict=True):
        for remark in sweep.remarks:
            screen.say(f"{sweep.name}: {remark}")
        try:
            ledger = run_sweep(sweep, home_path, screen, resume_arguments=resume_arguments)
        finally:
            screen.close()
        screen.print_results(sweep, ledger)
        _write_report(sweep.name, home_path, screen.say)
        record_finished(home_path, request, sweep)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="A sweep that was run.", show_default=False)],
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again.")] = False,
    only: Annotated[
        str | None,
        typer.Option(help="Retry trials with this cause only, such as oom or nonfinite.", show_default=False),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Retry from the first epoch, not from the last good checkpoint.")
    ] = False,
    trials: Annotated[str | None, typer.Option(help="More trials in each arm: +4.", show_default=False)] = None,
    epochs: Annotated[str | None, typer.Option(help="More epochs for each trial: +10.", show_default=False)] = None,
    hours: Annotated[str | None, typer.Option(help="More time for the sweep: +0.5.", show_default=False)] = None,
    arm: Annotated[str | None, typer.Option(help="For these arms only, such as loss=vae.", show_default=False)] = None,
    set_: Overrides = None,
    home: Home = None,
    storage: Storage = None,
    detach: Detach = False,
    address: Address = None,
) -> None:
    """Resume a sweep; retry its failed trials, or add to its budget."""
    from orchestrator.commands.resume import ResumeOptions, parse_increment
    from orchestrator.commands.resume import resume as resume_sweep
    from orchestrator.machines.address import cluster_address, use_address
    from orchestrator.overview.screen import Screen
    from orchestrator.state.home import find_home, find_sweep

    use_address(address, detached=detach)
    _outlive_readers(find_home(home))
    as_override(storage)
    options = ResumeOptions(
        retry_failed,
        only,
        from_scratch,
        int(parse_increment("--trials", trials, int)),
        int(parse_increment("--epochs", epochs, int)),
        parse_increment("--hours", hours, float),
        arm,
    )
    screen = Screen()
    if detach and (cluster := cluster_address()):
        from orchestrator.machines.sending import drop_options, require_home, send_resume

        options_there = drop_options(sys.argv[2:], name, {"--detach"}, {"--address", "--home"})
        send_resume(cluster, require_home(home), name, options_there, screen.say)
        return
    if storage is not None:
        from orchestrator.exchange.adoption import adopt_sweep

        adopt_sweep(find_home(home), name, storage, screen.say)
    if detach:
        _detach(find_sweep(find_home(home), name), screen.say)
        return
    try:
        sweep, ledger = resume_sweep(name, find_home(home), screen, options, set_ or [])
    finally:
        screen.close()
    screen.print_results(sweep, ledger)
    _write_report(sweep.name, find_home(home), screen.say)


app.add_typer(search_spaces.app)
app.add_typer(sweeps.app)
app.add_typer(clusters.app)
app.add_typer(steering.app)
app.add_typer(results.app)
app.add_typer(data.app, name="data")


def _outlive_readers(home: Path) -> None:
    """Let a sweep continue when the reader of its output ends, such as `head` or a pager."""
    from orchestrator.state.home import home_option

    status = format_command("status", *home_option(home))
    outlive_readers(f"The reader of this output has ended; the sweep continues: {status}")


def _write_report(name: str, home: Path, say: Callable[[str], None]) -> None:
    """Write the report of a sweep that has just ended, unless it is up to date; a failure is printed, not raised."""
    from orchestrator.commands.already_finished import has_report
    from orchestrator.commands.report import write_reports
    from orchestrator.state.home import home_option

    if has_report(home, name):
        return
    try:
        write_reports(home, [name], None, "html", say)
    except (OrchestratorError, ReportError) as error:
        say(f"No report: {error}")
    except Exception as error:
        # The sweep has ended without an error, whatever is wrong with its report.
        command = format_command("report", name, *home_option(home))
        say(f"No report ({type(error).__name__}: {error}); {command} shows the traceback")


def _send(
    path: Path, address: str, home: Path | None, preset: str | None, overrides: list[str], name: str | None
) -> None:
    """Let a cluster run a search space, which is checked here before."""
    from orchestrator.machines.code_copy import user_code_paths
    from orchestrator.machines.sending import require_home, send_sweep
    from orchestrator.search_space.reader import read_search_space
    from orchestrator.search_space.sampler import is_file

    home_there = require_home(home)
    sweep = read_search_space(path, preset=preset, overrides=overrides, name=name)
    options = [part for override in overrides for part in ("--set", override)]
    for option, value in (("--preset", preset), ("--name", name)):
        options += [option, value] if value is not None else []
    sampler = sweep.space.search.sampler
    own = [*user_code_paths(sweep), *([Path(sampler)] if is_file(sampler) else [])]
    send_sweep(address, home_there, path, sweep.name, options, print, own)


def _detach(folder: Path, say: Callable[[str], None]) -> None:
    """Run this command in the background."""
    from orchestrator.driver.background import detach

    detach([argument for argument in sys.argv[1:] if argument != "--detach"], folder, say)


def main() -> None:
    """Run the command line; a known error ends it with a message and an exit code instead of a traceback."""
    # OpenMP reads this when torch is imported, here and in workers. By default its threads wait in a busy loop, and
    # take CPU time from the threads that they wait for: with two other busy processes on two cores, a
    # convolution took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    use_utf8()
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
        print(f"the disk is full ({error}); free some space, and continue with orchestrate resume", file=sys.stderr)
        raise SystemExit(1) from None
