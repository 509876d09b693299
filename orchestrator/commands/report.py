"""`orchestrate report` and `listen`: write reports of sweeps, and hold listening tests, from their runs in MLflow."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.command_line import format_command
from orchestrator.commands.listening import choose_trials, pass_votes_on, read_hearing
from orchestrator.errors import UserError
from orchestrator.state.history import read_identity
from orchestrator.state.home import REPORTS, home_option, was_run
from orchestrator.tracking.connection import connect
from orchestrator.tracking.ui import check_port
from reports import vocabulary as words
from reports.errors import SweepMissing
from reports.runs.sweeps import MARK

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from reports.listening.session import Options

LISTENING = "listening"
"""In the home: a folder of listening tests for each sweep."""


def write_reports(home: Path, names: Sequence[str], out: Path | None, form: str, say: Callable[[str], None]) -> None:
    """Write the reports of sweeps; an html page is also logged as an artifact of its sweep's run.

    Of several sweeps, a page that compares them is written, too.

    Args:
        home: the folder of all sweeps.
        names: the sweeps.
        out: the folder for the files; None for `reports` in the home.
        form: `html`, `md`, `csv`, `latex`, `png` or `svg`.
        say: prints a line.

    Raises:
        ReportError: a sweep does not exist or can't be ranked, the form is unknown, or the folder can't be written.
        OrchestratorError: MLflow does not answer.
    """
    from reports.page.comparison import explain_unranked
    from reports.page.content import read_report
    from reports.page.files import check_form, write, write_comparison

    check_form(form)
    reports = []
    for name in dict.fromkeys(names):
        with _open_sweep(home, name) as (client, unique_name):
            report = read_report(client, unique_name)
            reports.append(report)
            for sentence in report.summary:
                say(f"  {sentence}")
            paths = write(report, form, out or home / REPORTS)
            for path in paths:
                say(f"{path}")
            if form == "html":
                _log_page(client, report.runs.run.info.run_id, paths[0], say)
    if form == "html" and len(reports) > 1:
        if unranked := explain_unranked(reports):
            say(f"  {unranked}")
        say(f"{write_comparison(reports, out or home / REPORTS)}")


def write_tables(home: Path, name: str, folder: Path) -> list[Path]:
    """Write the tables of a sweep's report as CSV, as `orchestrate report --format csv` does; return their paths.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        folder: the folder for the files.

    Raises:
        ReportError: MLflow does not have the sweep, it can't be ranked, or the folder can't be written.
        OrchestratorError: MLflow does not answer.
    """
    from reports.page.content import read_report
    from reports.page.files import write

    with _open_sweep(home, name) as (client, unique_name):
        return write(read_report(client, unique_name), "csv", folder)


def read_markdown(home: Path, name: str) -> str:
    """Return the report of a sweep in Markdown, as `orchestrate report --format md` writes it.

    Args:
        home: the folder of all sweeps.
        name: the sweep.

    Raises:
        ReportError: MLflow does not have the sweep, or it can't be ranked.
        OrchestratorError: MLflow does not answer.
    """
    from reports.page.content import read_report
    from reports.page.files import make_markdown

    with _open_sweep(home, name) as (client, unique_name):
        return make_markdown(read_report(client, unique_name))


def print_best(home: Path, names: Sequence[str], arm: str | None, say: Callable[[str], None]) -> None:
    """Print the best configuration of each sweep as the `params` of a search space.

    Args:
        home: the folder of all sweeps.
        names: the sweeps.
        arm: compared values that the arms have, such as `loss=vae`; None for all arms.
        say: prints a line.

    Raises:
        ReportError: a sweep does not exist, or no such arm has a completed trial.
        OrchestratorError: MLflow does not answer.
    """
    from reports.runs.frames import read_sweep
    from reports.runs.winners import as_yaml

    for name in names:
        with _open_sweep(home, name) as (client, unique_name):
            say(as_yaml(read_sweep(client, unique_name), arm).rstrip())


def hold_listening_test(home: Path, name: str, options: Options, say: Callable[[str], None]) -> None:
    """Hold, export or import a blind listening test of a sweep; its files are in the home.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        options: the options of the command.
        say: prints a line.

    Raises:
        ReportError: the test can't be held with these options.
        OrchestratorError: MLflow does not answer.
    """
    from reports.listening.design import PREFER
    from reports.listening.preferences import score_trials
    from reports.listening.session import listen

    if options.export is None and options.answers is None:
        check_port(options.port)
    tests = home / LISTENING / name
    hearing = read_hearing(home / name)
    is_free = not (options.trials or options.vary or options.answers)
    if hearing is not None and options.method == PREFER and is_free:
        options = replace(options, trials=choose_trials(hearing))
    import_command = format_command("listen", name, *home_option(home), "--import")
    with _open_sweep(home, name) as (client, unique_name):
        listen(client, unique_name, tests, replace(options, import_command=import_command), say)
    if hearing is not None and options.export is None:
        scored = score_trials(tests)
        if scored.scores:
            pass_votes_on(hearing, scored.scores, scored.votes, say)


@contextlib.contextmanager
def _open_sweep(home: Path, name: str) -> Iterator[tuple[MlflowClient, str]]:
    """Connect to the MLflow that has a sweep, and yield its client and the sweep's unique name.

    Raises:
        UserError: that MLflow has other sweeps of this name only.
    """
    with connect(home, name) as client:
        try:
            yield client, find_unique_name(home, name)
        except SweepMissing as error:
            command = format_command("resume", name, *home_option(home))
            raise UserError(f"{error}; {command} sends it" if was_run(home / name) else str(error)) from error


def find_unique_name(home: Path, name: str) -> str:
    """Return a sweep's name with its id, which is unique in an MLflow that several homes write to.

    If the home has no folder of the sweep, the name is returned as it is; it may have an id already.
    """
    folder = home / name
    if not was_run(folder):
        return name
    return MARK.join(read_identity(folder))


def _log_page(client: MlflowClient, run_id: str, path: Path, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / words.ARTIFACT_REPORT
        copy.write_bytes(path.read_bytes())
        try:
            client.log_artifact(run_id, str(copy))
        except Exception as error:
            # The page itself is written: a failed upload is not an error of the command.
            say(f"MLflow has no copy of it: {' '.join(str(error).split())[:200]}")
