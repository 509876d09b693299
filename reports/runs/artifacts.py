"""Files of runs in MLflow; all exceptions of a store become one type of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reports.errors import ReportError

if TYPE_CHECKING:
    from mlflow import MlflowClient


class ArtifactError(ReportError):
    """A file is missing in MLflow, or its store does not answer."""


def list_files(client: MlflowClient, run_id: str) -> list[str]:
    """Return the paths of the files and folders at the top of a run's artifacts.

    Raises:
        ArtifactError: the store does not answer.
    """
    with _translate_errors():
        return [str(file.path) for file in client.list_artifacts(run_id)]


def download(client: MlflowClient, run_id: str, path: str, folder: Path | str) -> Path:
    """Copy a file or a folder of a run into a folder, and return where it is.

    Raises:
        ArtifactError: it is missing, or the store does not answer.
    """
    with _translate_errors():
        return Path(client.download_artifacts(run_id, path, str(folder)))


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # MLflow passes on the errors of a store's own client, such as botocore's, which have no base in common.
        raise ArtifactError(" ".join(str(error).split())) from error
