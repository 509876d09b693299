"""`orchestrate report NAME…`: the reports of some sweeps as files, and each page beside the runs that it is about."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.state.history import read_identity
from orchestrator.state.home import REPORTS, was_run
from orchestrator.tracking.connection import connect
from orchestrator.tracking.ui import check_port
from reports import vocabulary as words
from reports.runs.sweeps import MARK

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from reports.listening.session import Options

LISTENING = "listening"
"""In the home."""


def write_reports(home: Path, names: Sequence[str], out: Path | None, form: str, say: Callable[[str], None]) -> None:
    """Write the reports of sweeps; a page becomes an artifact of its sweep's run too.

    Raises:
        ReportError: a sweep that isn't there or can't be ranked, an unknown form, a folder that can't be written.
        OrchestratorError: MLflow does not answer.
    """
    from reports.page.content import read_report
    from reports.page.files import check_form, write

    check_form(form)
    with connect(home) as client:
        for name in names:
            report = read_report(client, sweep_named(home, name))
            for sentence in report.summary:
                say(f"  {sentence}")
            paths = write(report, form, out or home / REPORTS)
            for path in paths:
                say(f"{path}")
            if form == "html":
                _keep(client, report.runs.run.info.run_id, paths[0], say)


def hold_listening_test(home: Path, name: str, options: Options, say: Callable[[str], None]) -> None:
    """Hold, export or import a blind listening test of a sweep; it is kept in the home.

    Raises:
        ReportError: something can't be done as asked.
        OrchestratorError: MLflow does not answer.
    """
    from reports.listening.session import listen

    if options.export is None and options.answers is None:
        check_port(options.port)
    with connect(home) as client:
        listen(client, sweep_named(home, name), home / LISTENING / name, options, say)


def sweep_named(home: Path, name: str) -> str:
    """What names a sweep in an MLflow that others write to as well: its name and id, where its folder is in this home.

    Elsewhere the name as it was given, which may have an id.
    """
    folder = home / name
    if not was_run(folder):
        return name
    return MARK.join(read_identity(folder))


def _keep(client: MlflowClient, run_id: str, path: Path, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / words.ARTIFACT_REPORT
        copy.write_bytes(path.read_bytes())
        try:
            client.log_artifact(run_id, str(copy))
        except Exception as error:
            # The page is written: that MLflow has no copy is worth a line and no more.
            say(f"MLflow has no copy of it: {' '.join(str(error).split())[:200]}")
