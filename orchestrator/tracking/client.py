"""Where runs are recorded: an MLflow server or a sqlite file. Every call is made once; its failure is told in one line.

MLflow itself is imported at the first connection: it takes more than a second.
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

from orchestrator.tracking.database import prepared
from reports import vocabulary as words

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    # A POST that MLflow itself repeats after a late answer makes two runs: one try, the follower comes back.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
SCHEMES = "sqlite:////path/mlflow.db, http://host:port, https://…, postgresql://…, mysql://…"
LINKED = (".wav", ".png")
"""Files that are never written to again once they are there: they are replaced by new ones."""
REFUSALS = (
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
    "BAD_REQUEST",
)
CREDENTIALS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")
REASONS = (
    r"\[Errno \d+\] ([\w ]+)|(timed out)|(database is locked)|(Failed to resolve)|too many (\d+) error|error code (\d+)"
)
"""What of a long message says why nobody answered."""
MISTAKES = (AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Exceptions that are our own fault: no waiting for a server helps."""


class Unreachable(Exception):
    """MLflow can't be spoken to now; the same call may work later."""


class Unusable(Unreachable):
    """The URI is none that MLflow can be spoken to by."""


class Refused(Exception):
    """MLflow understood the call and won't do it."""


class Gone(Exception):
    """Somebody deleted what the call was about."""


class Store:
    """One tracking URI; `open` connects."""

    def __init__(self, uri: str, artifact_root: str | None) -> None:
        self.uri = uri
        self.shown = re.sub(r"//[^/@]+@", "//", uri)
        """Without the password."""
        self._artifact_root = artifact_root
        self._client: MlflowClient | None = None
        self._roots: dict[str, Path | None] = {}

    @property
    def client(self) -> MlflowClient:
        assert self._client is not None, "open() comes first"
        return self._client

    def open(self) -> None:
        """Connect; a new sqlite file gets its tables, which takes some seconds.

        Raises:
            Unusable: of the URI.
            Unreachable: nobody answers there.
        """
        if self._client is not None:
            return
        os.environ.update(ENVIRONMENT)
        try:
            with self.told(), prepared(self.uri):
                from mlflow import MlflowClient

                client = MlflowClient(self.uri)
                client.search_experiments(max_results=1)
                self._client = client
        except Refused as error:
            raise Unusable(f"tracking URI {self.shown!r} can't be used ({error}); allowed: {SCHEMES}") from None

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn whatever goes wrong with MLflow, its database or the network into `Unreachable` or `Refused`."""
        try:
            yield
        except (Unreachable, Refused, Gone, *MISTAKES):
            raise
        except Exception as error:
            raise _translate(error, self.shown) from error

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if there is none.

        A deleted experiment keeps its name for itself, so that its successor is `<name>-2`.
        """
        with self.told():
            candidate, number = name, 1
            while (experiment := self.client.get_experiment_by_name(candidate)) is not None:
                if experiment.lifecycle_stage == "active":
                    return str(experiment.experiment_id)
                number += 1
                candidate = f"{name}-{number}"
            location = self._artifact_root and f"{self._artifact_root}/{candidate}"
            return str(self.client.create_experiment(candidate, artifact_location=location))

    def experiment_of(self, run_id: str) -> str | None:
        """The experiment of a run; None if either has been deleted."""
        try:
            with self.told():
                run = self.client.get_run(run_id)
                experiment = self.client.get_experiment(run.info.experiment_id)
        except Refused:
            return None
        alive = run.info.lifecycle_stage == "active" and experiment.lifecycle_stage == "active"
        return str(run.info.experiment_id) if alive else None

    def find_runs(
        self, experiment_id: str, sweep_id: str, known_ids: Container[str | None], ids: Mapping[str, str]
    ) -> dict[str, str]:
        """The runs of a sweep by trial number (`""` is the sweep's own), and of renderings by `NUMBER NAME`.

        A call whose answer was lost may have made a run twice: the one that is in `known_ids`, else the oldest, is
        kept, and the other deleted. So is a run of a trial that the sweep log does not know any more.

        Args:
            experiment_id: where they are.
            sweep_id: tells the sweep from others.
            known_ids: runs that are kept.
            ids: of the sweep's trials, by number.
        """
        runs: dict[str, str] = {}
        token = None
        with self.told():
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
        """Send a folder to a run's root; to a folder of this machine as links to the same sounds and pictures.

        What is heard is then on the disk once, and not once in the sweep's folder and once in MLflow's.
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
            if path.suffix not in LINKED or not _linked(path.resolve(), temporary):
                shutil.copyfile(path, temporary)
            temporary.replace(target)

    def _local_root(self, run_id: str) -> Path | None:
        """Where a run's artifacts are, if that is a folder of this machine."""
        if run_id not in self._roots:
            with self.told():
                uri = urlsplit(self.client.get_run(run_id).info.artifact_uri)
            self._roots[run_id] = Path(unquote(uri.path)) if uri.scheme in ("", "file") else None
        return self._roots[run_id]

    def delete_run(self, run_id: str) -> None:
        """Put a run where MLflow's users can still restore it from; one that is gone already is no fault."""
        with contextlib.suppress(Refused), self.told():
            self.client.delete_run(run_id)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        with self.told():
            for key, value in tags.items():
                self.client.set_experiment_tag(experiment_id, key, value)


def _linked(path: Path, target: Path) -> bool:
    """Give a file a second name; False where its disk can't, or isn't the same."""
    try:
        os.link(path, target)
    except OSError:
        return False
    return True


def _translate(error: Exception, uri: str) -> Unreachable | Refused:
    text = " ".join(str(error).split())
    code = str(getattr(error, "error_code", ""))
    # MLflow's own server answers with JSON; a bare status comes from a proxy, a login page, another server.
    bare = re.search(r"API request to endpoint .* failed with error code (\d+)", text)
    status = bare.group(1) if bare else ""
    if status in ("401", "403") or code in CREDENTIALS:
        cure = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Unreachable(f"MLflow at {uri} refuses us ({status or code}); {cure}")
    if status == "404":
        return Unreachable(f"{uri} is no MLflow server (404); check MLFLOW_TRACKING_URI")
    unknown_scheme = type(error).__name__ in ("UnsupportedModelRegistryStoreURIException", "NoSuchModuleError")
    if (code in REFUSALS and not bare) or unknown_scheme or isinstance(error, ImportError):
        return Refused(textwrap.shorten(text.split("; ")[0], 200, placeholder=" …"))
    reason_match = re.search(REASONS, text)
    reason = next(filter(None, reason_match.groups())) if reason_match else text[:200]
    return Unreachable(f"MLflow at {uri} does not answer ({reason}); everything is sent when it does")
