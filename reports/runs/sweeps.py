"""Which sweep of MLflow somebody means: by its name or, where several people have one of that name, `vae@3fa9c1`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports import vocabulary as words
from reports.errors import ReportError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MARK = "@"
"""Between a sweep's name, which can't contain it, and the beginning of its id."""


def name_of(sweep: str) -> str:
    """The name in what names a sweep: `vae@3fa9c1` → `vae`."""
    return sweep.partition(MARK)[0]


def identity(run: Run) -> str:
    """What tells a sweep from all others: its id, of one that has none its run's."""
    sweep_id: str = run.data.tags.get(words.TAG_SWEEP_ID) or run.info.run_id
    return sweep_id


def choose(client: MlflowClient, runs: Sequence[Run], sweep: str) -> Run | None:
    """The run of the sweep that is meant; None if there is none of its name.

    Args:
        client: of the MLflow that has them.
        runs: the own runs of all sweeps.
        sweep: a name, or a name and the beginning of an id such as `vae@3fa9c1`.

    Raises:
        ReportError: several are of that name, or of those that are none has this id.
    """
    name, _, wanted = sweep.partition(MARK)
    of_name = [run for run in runs if run.data.tags.get(words.TAG_SWEEP) == name]
    # A run that was deleted and made anew at the same time as another process did so is the same sweep twice.
    newest_last = sorted(of_name, key=lambda run: int(run.info.start_time))
    by_identity = {identity(run): run for run in newest_last}
    matching = [run for key, run in by_identity.items() if key.startswith(wanted) or run.info.run_id == wanted]
    if len(matching) == 1:
        return matching[0]
    if not of_name:
        return None
    choices = "; ".join(_in_words(client, run) for run in (matching or by_identity.values()))
    if not matching:
        raise ReportError(
            f"sweep {sweep} is not in MLflow, which has others of that name: {choices}. What a sweep's folder has and "
            f"MLflow has not got is sent by orchestrate resume {name}"
        )
    raise ReportError(f"MLflow has {len(matching)} sweeps called {name}; say which one is meant: {choices}")


def read_record(client: MlflowClient, run: Run) -> dict[str, Any] | None:
    """What a sweep said of itself when it last started (`words.ARTIFACT_SWEEP`); None where MLflow has not got it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run.info.run_id, words.ARTIFACT_SWEEP, folder)
            record: dict[str, Any] = json.loads(Path(path).read_text())
        except Exception:
            return None
    return record


def _in_words(client: MlflowClient, run: Run) -> str:
    """A sweep as one of several to choose from."""
    started = datetime.fromtimestamp(run.info.start_time / 1000)
    of_trials = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{run.info.run_id}'"
    num_trials = len(client.search_runs([run.info.experiment_id], of_trials, max_results=1000))
    tags = run.data.tags
    host, outcome = tags.get(words.TAG_HOST, "an unknown machine"), tags.get(words.TAG_OUTCOME, "unknown")
    trials = words.amount(num_trials, "trial") if num_trials < 1000 else "1000 trials or more"
    began = f"started {started:%Y-%m-%d %H:%M} on {host}"
    return f"{tags[words.TAG_SWEEP]}{MARK}{identity(run)} ({began}, {trials}, {outcome})"
