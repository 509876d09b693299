"""A connection to MLflow for commands that read what sweeps have sent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError, UserError
from orchestrator.state.home import find_sweep
from orchestrator.tracking import sender
from orchestrator.tracking.client import Refused, Store, Unreachable, Unusable
from orchestrator.tracking.database import SQLITE

if TYPE_CHECKING:
    from mlflow import MlflowClient

TALKERS = ("mlflow", "requests", "sqlalchemy", "urllib3")
"""Packages whose exceptions mean that MLflow can't be read."""


@contextlib.contextmanager
def connect(home: Path, name: str | None = None) -> Iterator[MlflowClient]:
    """Connect to the MLflow that has a sweep, and yield its client.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for the MLflow of new sweeps.

    Raises:
        UserError: its address can't be used, or the database does not exist; reading never makes one.
        OrchestratorError: MLflow does not answer, now or inside the block.
    """
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    sender.check_tracking_uri(home)
    uri = sender.tracking_uri(home, name)
    _check_database(home, uri)
    store = Store(uri, None)
    try:
        store.open()
        try:
            yield store.client
        except Exception as error:
            # Other errors of the block, as in a figure, are not about MLflow.
            if not (isinstance(error, OSError) or type(error).__module__.startswith(TALKERS)):
                raise
            with store.translate_errors():
                raise
    except Unusable as error:
        raise UserError(str(error)) from None
    except (Unreachable, Refused) as error:
        raise OrchestratorError(str(error).partition("; everything is sent")[0]) from None


def _check_database(home: Path, uri: str) -> None:
    """Check that the SQLite file that a URI names exists and can be written to, if it names one."""
    path = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and not path.exists():
        # In a home without sweeps this raises the message that all commands give.
        find_sweep(home, None)
        raise UserError(f"{path}: there is no such database; check MLFLOW_TRACKING_URI, or name another --home")
    if uri.startswith(SQLITE) and not os.access(path, os.W_OK):
        raise UserError(f"{path}: can't be written, which MLflow has to do to read it; ask its owner, or copy the home")
