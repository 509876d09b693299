"""MLflow as those have it who only read what sweeps have sent there."""

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
"""Packages whose exceptions say that MLflow can't be read."""


@contextlib.contextmanager
def tracking(home: Path) -> Iterator[MlflowClient]:
    """A client of the MLflow that a home's sweeps go to.

    Raises:
        UserError: its address can't be used, or there is nothing: whoever only reads makes no home and no database.
        OrchestratorError: it does not answer, now or inside the block.
    """
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    sender.check_tracking_uri(home)
    _check_there(home)
    store = Store(sender.tracking_uri(home), None)
    try:
        store.open()
        try:
            yield store.client
        except Exception as error:
            # What is wrong with a table or a figure is no fault of MLflow's.
            if not (isinstance(error, OSError) or type(error).__module__.startswith(TALKERS)):
                raise
            with store.told():
                raise
    except Unusable as error:
        raise UserError(str(error)) from None
    except (Unreachable, Refused) as error:
        raise OrchestratorError(str(error).partition("; everything is sent")[0]) from None


def _check_there(home: Path) -> None:
    """Refuse a sqlite file that nobody has written."""
    uri = sender.tracking_uri(home)
    path = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and not path.exists():
        # Of a home without sweeps that is said as everywhere.
        find_sweep(home, None)
        raise UserError(f"{path}: there is no such database; check MLFLOW_TRACKING_URI, or name another --home")
