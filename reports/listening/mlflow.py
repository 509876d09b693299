"""What listening tests read from MLflow, and its errors as one-line messages."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.errors import ReportError
from reports.runs.sweeps import choose, name_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE_RUNS = 1000
REASONS = r"\[Errno \d+\] [\w ]+|timed out|database is locked|Failed to resolve|too many \d+ error|error code \d+"
"""The part of a long error message that has the reason."""
OWN_ERRORS = (ReportError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Exceptions that come from our own code, not from MLflow."""
SOUND_ENDS = tuple(f"_{kind}.wav" for kind in (words.ORIGINAL, words.RECONSTRUCTION))
"""The ends of the file names of a clip's original and reconstruction."""


@contextlib.contextmanager
def report_mlflow_errors(client: MlflowClient) -> Iterator[None]:
    """Raise errors of MLflow, its database or the network as `ReportError` with a one-line message."""
    try:
        yield
    except OWN_ERRORS:
        raise
    except Exception as error:
        # A full disk here is not a failure of MLflow.
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = " ".join(str(error).split())
        match = re.search(REASONS, text)
        # A message shows no password.
        uri = re.sub(r"//[^/@]+@", "//", client.tracking_uri)
        reason = match.group() if match else text[:200]
        raise ReportError(f"MLflow at {uri} does not answer ({reason}); check MLFLOW_TRACKING_URI") from error


def find_sweep(client: MlflowClient, sweep: str) -> Run:
    """Return the parent run of a sweep, by its name or, if several have that name, by name and id (`vae@3fa9c1`).

    Raises:
        ReportError: there is none, or several have this name.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments(max_results=PAGE_RUNS)]
    runs = runs_of_role(client, experiments, words.ROLE_SWEEP)
    run = choose(client, runs, sweep)
    if run is not None:
        return run
    name = name_of(sweep)
    names = sorted({run.data.tags.get(words.TAG_SWEEP, "") for run in runs} - {""})
    if not names:
        raise ReportError(f"MLflow has no sweep {name!r}, nor any other; run one with  orchestrate sweep FILE")
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ReportError(f"MLflow has no sweep {name!r}.{hint} Available: {', '.join(names)}.")


def runs_of_role(client: MlflowClient, experiments: Sequence[str], role: str) -> list[Run]:
    """Return the runs with a role, such as `words.ROLE_TRIAL`, of the experiments with these ids."""
    runs: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(
            list(experiments), f"tags.`{words.TAG_ROLE}` = '{role}'", max_results=PAGE_RUNS, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            break
    return runs


def clips_of(client: MlflowClient, run_id: str) -> set[str]:
    """Return the names of the clips whose original and reconstruction at its best epoch a run has."""
    files = {file.path for file in client.list_artifacts(run_id)}
    original, reconstructed = ({file.removesuffix(end) for file in files if file.endswith(end)} for end in SOUND_ENDS)
    return original & reconstructed


def fetch_sounds(client: MlflowClient, run_id: str, clip: str, folder: Path) -> tuple[Path, Path]:
    """Download a clip of a run into a subfolder and return the paths of its original and its reconstruction."""
    # MLflow would print a progress bar for every file.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = folder / run_id
    target.mkdir(exist_ok=True)
    original, reconstruction = (Path(client.download_artifacts(run_id, clip + end, str(target))) for end in SOUND_ENDS)
    return original, reconstruction
