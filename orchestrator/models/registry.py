"""`orchestrate promote NAME`: register a trial as a model in MLflow, and download registered models."""

from __future__ import annotations

import io
import logging
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.models.champion import export_trial
from orchestrator.plugins import exported_models, loader
from orchestrator.state.home import home_option
from orchestrator.state.paths import RUN_FILE, trial_folder
from orchestrator.tracking import sender
from orchestrator.tracking.connection import connect
from orchestrator.tracking.run import read_sent

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACT = "model"
"""The name of the logged model, and of the artifact with its weights."""
REQUIREMENTS = (
    "mlflow",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "scipy",
    "pillow",
    "av",
    "pydantic",
    "jaxtyping",
    "safetensors",
    "filelock",
    "soundfile",
)
"""The packages that the stored code imports where the model is loaded."""
EXAMPLES = {"image": "example.png", "sound": "example.wav"}
"""The name of the example input, by kind."""
EXAMPLE_PX, EXAMPLE_S, EXAMPLE_HZ, RATE_HZ = 64, 2, 440, 22050


def promote(home: Path, reference: str, registered: str, alias: str, say: Callable[[str], None]) -> str:
    """Log a trial's model to its run as a pyfunc model, register it, and set an alias for its version.

    Args:
        home: the folder of all sweeps.
        reference: a trial, such as `vae/7`; or a sweep, for its best trial.
        registered: the name of the model in MLflow's registry.
        alias: the alias.
        say: prints a line.

    Returns:
        The URI of the model, such as `models:/audiovision@champion`.

    Raises:
        UserError: there is nothing to promote.
        OrchestratorError: MLflow does not answer.
    """
    champion = export_trial(home, reference, say)
    say(champion.description)
    sweep = champion.origin["sweep"]
    run_id = read_sent(trial_folder(home / sweep, champion.origin["trial"]) / RUN_FILE).run_id
    if run_id is None:
        raise UserError(
            f"{reference}: MLflow does not have the trial yet; resume the sweep, which sends it, then promote again"
        )
    with connect(home, sweep) as client:
        version = _register(client, sender.tracking_uri(home, sweep), run_id, champion.folder, registered)
        client.set_registered_model_alias(registered, alias, version)
    uri = f"models:/{registered}@{alias}"
    command = format_command("generate", "FILE", "--model", uri, *home_option(home))
    if (server := sender.tracking_uri(home, sweep)) != sender.tracking_uri(home):
        # Without the name of a sweep, MLflow is that of new sweeps.
        command = f"{sender.VARIABLE}={shlex.quote(sender.hide_password(server))} {command}"
    say(f"{uri} is now version {version}. Use it: {command}")
    return uri


def _register(client: MlflowClient, uri: str, run_id: str, folder: Path, registered: str) -> str:
    import mlflow
    import pandas as pd

    # MLflow logs each step; `promote` prints one line instead.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    generator = exported_models.open_model(folder)
    example = pd.DataFrame({"file": [_make_example(generator.takes)], "name": [EXAMPLES[generator.takes]]})
    output = pd.DataFrame({"file": [b""], "class": [""], "probability": [0.0]})
    signature = mlflow.models.infer_signature(example, output, params={"count": 1, "seed": 0})
    with _use_tracking_uri(uri), _resume_run(client, run_id):
        logged = mlflow.pyfunc.log_model(
            name=ARTIFACT,
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={ARTIFACT: str(folder)},
            code_paths=[str(loader.PACKAGE)],
            signature=signature,
            input_example=example,
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
            registered_model_name=registered,
        )
    return str(logged.registered_model_version)


@contextmanager
def _resume_run(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Let MLflow log to a trial's run; after the block the run has its status and its end time again.

    An error or a signal in the block would leave it failed.
    """
    import mlflow

    before = client.get_run(run_id).info
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:
        client.set_terminated(run_id, before.status, before.end_time)


@contextmanager
def _use_tracking_uri(uri: str) -> Iterator[None]:
    """Set MLflow's tracking URI for the length of a block, in the environment so that child processes inherit it."""
    before = os.environ.get(sender.VARIABLE)
    os.environ[sender.VARIABLE] = uri
    try:
        yield
    finally:
        del os.environ[sender.VARIABLE]
        if before is not None:
            os.environ[sender.VARIABLE] = before


def _make_example(kind: str) -> bytes:
    """Return the example input that MLflow stores with the model: a gradient as png, or a sine as wav."""
    file = io.BytesIO()
    if kind == "image":
        from PIL import Image

        ramp = np.linspace(0, 255, EXAMPLE_PX, dtype=np.uint8)
        Image.fromarray(np.stack(np.broadcast_arrays(ramp, ramp[:, None], ramp[::-1]), axis=2)).save(file, "PNG")
    else:
        import soundfile

        time_s = np.arange(EXAMPLE_S * RATE_HZ) / RATE_HZ
        soundfile.write(file, 0.3 * np.sin(2 * np.pi * EXAMPLE_HZ * time_s), RATE_HZ, format="WAV")
    return file.getvalue()


@contextmanager
def download_model(home: Path, uri: str) -> Iterator[Path]:
    """Download a promoted model into a temporary folder, which is deleted after the block.

    Args:
        home: the folder of all sweeps.
        uri: the URI of the model, such as `models:/audiovision@champion`.

    Raises:
        UserError: MLflow has no such model, or `orchestrate promote` did not make it.
        OrchestratorError: MLflow does not answer.
    """
    import mlflow

    with tempfile.TemporaryDirectory() as target:
        with connect(home), _use_tracking_uri(sender.tracking_uri(home)):
            try:
                download = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=target))
            except mlflow.exceptions.MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                raise UserError(
                    f"--model {uri}: MLflow has none ({str(error).splitlines()[0]}); orchestrate promote NAME makes one"
                ) from error
        settings = next(download.rglob(exported_models.MODEL_SETTINGS), None)
        if settings is None:
            raise UserError(f"--model {uri}: orchestrate promote did not make this model; promote a trial")
        yield settings.parent
