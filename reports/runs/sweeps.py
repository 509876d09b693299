"""Find a sweep in MLflow by its name or, if several sweeps have that name, by its name and id (`vae@3fa9c1`)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reports import vocabulary as words
from reports.errors import ReportError, SweepMissing
from reports.runs.artifacts import ArtifactError, download

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MARK = "@"
"""Separator between a sweep's name, which can't contain it, and the beginning of its id."""


def name_of(sweep: str) -> str:
    """Return the name without the id: `vae@3fa9c1` → `vae`."""
    return sweep.partition(MARK)[0]


def identity(run: Run) -> str:
    """Return the id of a sweep, or its run's id if the sweep has none."""
    sweep_id: str = run.data.tags.get(words.TAG_SWEEP_ID) or run.info.run_id
    return sweep_id


def choose(client: MlflowClient, runs: Sequence[Run], sweep: str) -> Run | None:
    """Return the run of the sweep with this name or id; None if no sweep has the name.

    Args:
        client: client of the MLflow that has the runs.
        runs: the parent runs of all sweeps.
        sweep: a name, or a name and the beginning of an id such as `vae@3fa9c1`.

    Raises:
        ReportError: several sweeps match, or none of those with this name has this id.
    """
    name, _, wanted_id = sweep.partition(MARK)
    of_name = [run for run in runs if run.data.tags.get(words.TAG_SWEEP) == name]
    # Two processes can make a deleted run again at the same time; then one sweep has two runs; the newer one counts.
    oldest_first = sorted(of_name, key=lambda run: int(run.info.start_time))
    run_by_identity = {identity(run): run for run in oldest_first}
    matching = [
        run for key, run in run_by_identity.items() if key.startswith(wanted_id) or run.info.run_id == wanted_id
    ]
    if len(matching) == 1:
        return matching[0]
    if not of_name:
        return None
    choices = "; ".join(_describe(client, run) for run in (matching or run_by_identity.values()))
    if not matching:
        raise SweepMissing(f"sweep {sweep} is not in MLflow, which has others of that name: {choices}")
    raise ReportError(f"MLflow has {len(matching)} sweeps called {name}; say which one is meant: {choices}")


def read_record(client: MlflowClient, run: Run) -> dict[str, Any] | None:
    """Return a sweep's record of its last start (`words.ARTIFACT_SWEEP`); None if MLflow has none that can be read."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download(client, run.info.run_id, words.ARTIFACT_SWEEP, folder)
            record: dict[str, Any] = json.loads(path.read_text())
        except (ArtifactError, ValueError):
            return None
    return record


def _describe(client: MlflowClient, run: Run) -> str:
    """Return a line that distinguishes a sweep from others of its name."""
    started = datetime.fromtimestamp(run.info.start_time / 1000)
    of_trials = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{run.info.run_id}'"
    num_trials = len(client.search_runs([run.info.experiment_id], of_trials, max_results=1000))
    tags = run.data.tags
    host, outcome = tags.get(words.TAG_HOST, "an unknown machine"), tags.get(words.TAG_OUTCOME, "unknown")
    trials = words.amount(num_trials, "trial") if num_trials < 1000 else "1000 trials or more"
    began = f"started {started:%Y-%m-%d %H:%M} on {host}"
    return f"{tags[words.TAG_SWEEP]}{MARK}{identity(run)} ({began}, {trials}, {outcome})"
