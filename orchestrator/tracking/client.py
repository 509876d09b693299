"""The connection to MLflow: a server or an SQLite file. Every call is made once, and errors become one line.

MLflow is imported at the first connection, because that takes more than a second.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import textwrap
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from orchestrator.tracking.database import prepare_database
from reports import vocabulary as words

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    # If MLflow repeated a POST after a late answer, there would be two runs. `tracking.__main__` tries again instead.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
SCHEMES = "sqlite:////path/mlflow.db, http://host:port, https://…, postgresql://…, mysql://…"
LINKED = (".wav", ".png")
"""Suffixes of files that may be hard links, because they are replaced by new files and never changed in place."""
REFUSALS = (
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
    "BAD_REQUEST",
)
"""MLflow's error codes for calls that would also fail the next time."""
CREDENTIALS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")
REASONS = (
    r"\[Errno \d+\] ([\w ]+)|(timed out)|(database is locked)|(Failed to resolve)|too many (\d+) error|error code (\d+)"
)
"""The part of a long message that says why there was no answer."""
MISTAKES = (AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Exceptions that are mistakes in our code, not failures of MLflow."""


class Unreachable(Exception):
    """MLflow can't be reached now; the same call may work later."""


class Unusable(Unreachable):
    """The tracking URI can't be that of an MLflow."""


class Refused(Exception):
    """MLflow received the call and refused it."""


class Gone(Exception):
    """The run or the experiment of the call was deleted."""


class Store:
    """The MLflow at the tracking URI `uri`; `display_uri` is the URI without a password.

    New experiments have their artifacts in `artifact_root`; if that is None, MLflow decides.
    """

    def __init__(self, uri: str, artifact_root: str | None) -> None:
        self.uri = uri
        self.display_uri = re.sub(r"//[^/@]+@", "//", uri)
        self._artifact_root = artifact_root
        self._client: MlflowClient | None = None
        self._roots: dict[str, Path | None] = {}

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client, after `open`."""
        assert self._client is not None, "open() comes first"
        return self._client

    def open(self) -> None:
        """Connect, if that was not done before; in a new SQLite file tables are made, which takes some seconds.

        Raises:
            Unusable: the URI can't be that of an MLflow.
            Unreachable: there is no answer.
        """
        if self._client is not None:
            return
        os.environ.update(ENVIRONMENT)
        try:
            with self.translate_errors(), prepare_database(self.uri):
                from mlflow import MlflowClient

                client = MlflowClient(self.uri)
                client.search_experiments(max_results=1)
                self._client = client
        except Refused as error:
            raise Unusable(f"tracking URI {self.display_uri!r} can't be used ({error}); allowed: {SCHEMES}") from None

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors of MLflow, its database or the network as `Unreachable` or `Refused`."""
        try:
            yield
        except (Unreachable, Refused, Gone, *MISTAKES):
            raise
        except Exception as error:
            raise _translate(error, self.display_uri) from error

    def get_or_create_experiment(self, name: str) -> str:
        """Return the id of the experiment with a name; make it if there is none.

        MLflow keeps the name of a deleted experiment reserved, so that its successor is `<name>-2`.
        """
        with self.translate_errors():
            candidate, number = name, 1
            while (experiment := self.client.get_experiment_by_name(candidate)) is not None:
                if experiment.lifecycle_stage == "active":
                    return str(experiment.experiment_id)
                number += 1
                candidate = f"{name}-{number}"
            location = self._artifact_root and f"{self._artifact_root}/{candidate}"
            return str(self.client.create_experiment(candidate, artifact_location=location))

    def experiment_of(self, run_id: str) -> str | None:
        """Return the id of a run's experiment; None if the run or the experiment was deleted."""
        try:
            with self.translate_errors():
                run = self.client.get_run(run_id)
                experiment = self.client.get_experiment(run.info.experiment_id)
        except Refused:
            return None
        alive = run.info.lifecycle_stage == "active" and experiment.lifecycle_stage == "active"
        return str(run.info.experiment_id) if alive else None

    def find_runs(
        self, experiment_id: str, sweep_id: str, known_ids: Container[str | None], ids: Mapping[str, str]
    ) -> dict[str, str]:
        """Find the runs of a sweep, and delete double and foreign ones.

        A call whose answer was lost may have made a run twice: then the one in `known_ids`, or else the older one, is
        kept. Runs of trials that are not in the sweep log any more are deleted too.

        Args:
            experiment_id: the experiment of the runs.
            sweep_id: the id of the sweep.
            known_ids: ids of runs that are kept.
            ids: the ids of the sweep's trials, by number.

        Returns:
            Ids of runs: by trial number, by `NUMBER NAME` for renderings, and by "" for the sweep's own run.
        """
        runs: dict[str, str] = {}
        token = None
        with self.translate_errors():
            while True:
                page = self.client.search_runs(
                    [experiment_id],
                    f"tags.`{words.TAG_SWEEP_ID}` = '{sweep_id}'",
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
                for run in page:
                    tags, run_id = run.data.tags, run.info.run_id
                    number = tags.get(words.TAG_TRIAL)
                    if number is not None and tags.get(words.TAG_TRIAL_ID, "") != ids.get(number):
                        self.client.delete_run(run_id)
                        continue
                    key = " ".join(tags[name] for name in (words.TAG_TRIAL, words.TAG_RENDERING) if name in tags)
                    kept = runs.setdefault(key, run_id)
                    if kept != run_id:
                        runs[key], double = (run_id, kept) if run_id in known_ids else (kept, run_id)
                        self.client.delete_run(double)
                token = page.token
                if not token:
                    return runs

    def put_files(self, run_id: str, folder: Path) -> None:
        """Send the files of a folder to a run's artifacts, and replace those of the same path.

        If the artifacts are in a folder of this machine, sounds and pictures become hard links, which take no space.
        """
        root = self._local_root(run_id)
        if root is None:
            self.client.log_artifacts(run_id, str(folder))
            return
        for path in folder.rglob("*"):
            target = root / path.relative_to(folder)
            if path.is_dir() or (target.exists() and target.samefile(path)):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.tmp")
            temporary.unlink(missing_ok=True)
            if path.suffix not in LINKED or not _try_link(path.resolve(), temporary):
                shutil.copyfile(path, temporary)
            temporary.replace(target)

    def _local_root(self, run_id: str) -> Path | None:
        """Return the folder of a run's artifacts if it is on this machine, else None."""
        if run_id not in self._roots:
            with self.translate_errors():
                uri = urlsplit(self.client.get_run(run_id).info.artifact_uri)
            self._roots[run_id] = Path(unquote(uri.path)) if uri.scheme in ("", "file") else None
        return self._roots[run_id]

    def delete_run(self, run_id: str) -> None:
        """Delete a run, so that a user can still restore it; a run that is already deleted is not an error."""
        with contextlib.suppress(Refused), self.translate_errors():
            self.client.delete_run(run_id)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment."""
        with self.translate_errors():
            for key, value in tags.items():
                self.client.set_experiment_tag(experiment_id, key, value)


def _try_link(path: Path, target: Path) -> bool:
    """Make a hard link, and return whether that succeeded: some file systems can't, and it needs the same disk."""
    try:
        os.link(path, target)
    except OSError:
        return False
    return True


def _translate(error: Exception, uri: str) -> Unreachable | Refused:
    """Return an exception of MLflow or the network as one of ours, with a message of one line."""
    text = " ".join(str(error).split())
    code = str(getattr(error, "error_code", ""))
    # MLflow's own server answers with JSON. A status without it is that of a proxy, a login page or another server.
    bare = re.search(r"API request to endpoint .* failed with error code (\d+)", text)
    status = bare.group(1) if bare else ""
    if status in ("401", "403") or code in CREDENTIALS:
        cure = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Unreachable(f"MLflow at {uri} refuses us ({status or code}); {cure}")
    if status == "404":
        return Unreachable(f"{uri} is not an MLflow server (404); check MLFLOW_TRACKING_URI")
    unknown_scheme = type(error).__name__ in ("UnsupportedModelRegistryStoreURIException", "NoSuchModuleError")
    if (code in REFUSALS and not bare) or unknown_scheme or isinstance(error, ImportError):
        return Refused(textwrap.shorten(text.split("; ")[0], 200, placeholder=" …"))
    reason_match = re.search(REASONS, text)
    reason = next(filter(None, reason_match.groups())) if reason_match else text[:200]
    return Unreachable(f"MLflow at {uri} does not answer ({reason}); everything is sent when it does")
