"""Judges whose answers can't be used: one message, exit code 2, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import UserError

KNOWN_EAR = Path(__file__).parents[1] / "support" / "known_ear.py"


@pytest.fixture(scope="module")
def ear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the test's judge under another name, because other tests of this process may have registered it."""
    path = tmp_path_factory.mktemp("ear") / "failing_ear.py"
    path.write_text(KNOWN_EAR.read_text().replace("known_ear", "failing_ear"))
    return path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fault": "nan"}, "judge failing_ear: embeddings have values that are not finite"),
        ({"fault": "classes"}, "judge failing_ear: scores of 2 classes, the corpus has 3"),
        ({"fault": "slow", "seconds_per_batch": 0.2}, "within 0.2 s; use a faster network, or raise seconds_per_batch"),
        (
            {"fault": "deaf"},
            "objective.metric: val/failing_ear_accuracy: judge failing_ear can't tell the classes of this corpus apart",
        ),
    ],
)
def test_a_judge_that_fails_ends_the_command_in_one_line(
    tmp_path: Path, ear: Path, corpus: Any, tiny_corpus: Path, tiny_home: Path, settings: dict[str, Any], message: str
) -> None:
    space = {
        "trainable": "autoencoder",
        "corpus": {"name": "folder", "root": str(tiny_corpus)},
        "objective": {"metric": "val/failing_ear_accuracy", "mode": "max"},
        "judges": ["own", {"name": str(ear), **settings}],
        "params": {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "lr": 1e-3},
        "budget": {"trials_per_arm": 1, "max_epochs": 1},
    }
    path = tmp_path / "heard.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(space, file)
    done = CliRunner().invoke(app, ["try", str(path), "--home", str(tiny_home)])
    # `orchestrate` prints the message of a UserError, and ends with its code.
    assert isinstance(done.exception, UserError), done.output
    assert done.exception.exit_code == 2
    assert message in str(done.exception) and "\n" not in str(done.exception)
    assert "training" not in done.output and "spectrograms" not in done.output
