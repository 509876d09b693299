"""What the listening test asks MLflow for, a call a function; what goes wrong is told in one line."""

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
"""What of a long message says why nobody answered."""
MISTAKES = (ReportError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Exceptions that MLflow has no part in."""
SOUND_ENDS = tuple(f"_{kind}.wav" for kind in (words.ORIGINAL, words.RECONSTRUCTION))
"""How the names of a clip's two sounds end."""


@contextlib.contextmanager
def telling(client: MlflowClient) -> Iterator[None]:
    """Turn whatever goes wrong with MLflow, its database or the network into one line."""
    try:
        yield
    except MISTAKES:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = " ".join(str(error).split())
        match = re.search(REASONS, text)
        uri = re.sub(r"//[^/@]+@", "//", client.tracking_uri)
        reason = match.group() if match else text[:200]
        raise ReportError(f"MLflow at {uri} does not answer ({reason}); check MLFLOW_TRACKING_URI") from error


def find_sweep(client: MlflowClient, sweep: str) -> Run:
    """The own run of a sweep, by its name or, where several have that name, by its name and id (`vae@3fa9c1`)."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments(max_results=PAGE_RUNS)]
    runs = runs_of_role(client, experiments, words.ROLE_SWEEP)
    run = choose(client, runs, sweep)
    if run is not None:
        return run
    name = name_of(sweep)
    names = sorted({run.data.tags.get(words.TAG_SWEEP, "") for run in runs} - {""})
    if not names:
        raise ReportError(f"MLflow has no sweep at all, so none called {name!r}; run one (orchestrate sweep FILE)")
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ReportError(f"MLflow has no sweep {name!r}.{hint} Available: {', '.join(names)}.")


def runs_of_role(client: MlflowClient, experiments: Sequence[str], role: str) -> list[Run]:
    """The runs of some experiments that are a sweep, a trial or an evaluation."""
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
    """The clips of which a run has both sounds at its root."""
    files = {file.path for file in client.list_artifacts(run_id)}
    original, reconstructed = ({file.removesuffix(end) for file in files if file.endswith(end)} for end in SOUND_ENDS)
    return original & reconstructed


def fetch_sounds(client: MlflowClient, run_id: str, clip: str, folder: Path) -> tuple[Path, Path]:
    """Copies of a clip as it is and as a run makes it, in a folder of their own below `folder`."""
    # A bar for every single file would bury what is said to the user.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = folder / run_id
    target.mkdir(exist_ok=True)
    original, reconstruction = (Path(client.download_artifacts(run_id, clip + end, str(target))) for end in SOUND_ENDS)
    return original, reconstruction
