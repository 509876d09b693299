"""A model that is logged to a trial's run leaves the run as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.models.registry import _resume_run, _use_tracking_uri


@pytest.mark.parametrize("error", [RuntimeError("the server refuses the artifact"), KeyboardInterrupt(), None])
def test_a_run_keeps_its_status_whatever_ends_the_logging(home: Path, error: BaseException | None) -> None:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("vae", artifact_location=str(home / "artifacts"))
    run_id = client.create_run(experiment).info.run_id
    client.set_terminated(run_id, "FINISHED", 1000)

    def log() -> None:
        with _use_tracking_uri(uri), _resume_run(client, run_id):
            assert client.get_run(run_id).info.status == "RUNNING"
            if error is not None:
                raise error

    if error is None:
        log()
    else:
        with pytest.raises(type(error)):
            log()
    info = client.get_run(run_id).info
    assert (info.status, info.end_time) == ("FINISHED", 1000)
