"""Options that a command does not have: a key of the search space is what was meant."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.cli.guesses import ALIASES
from orchestrator.errors import UserError
from orchestrator.search_space.keys import find_key


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("sweep x.yaml --trials 5", "--set budget.trials_per_arm=5"),
        ("sweep x.yaml --max-epochs=3", "--set budget.max_epochs=3"),
        ("plan x.yaml --gpus", "--set resources.gpu=VALUE"),
        ("try x.yaml --seed 3 --arm a=b", "--set seed=3"),
        ("resume x --learning-rate --arm a=b", "--set params.lr=VALUE"),
        ("sweep x.yaml --dataset 'my data'", "--set 'corpus.name=my data'"),
    ],
)
def test_an_option_that_is_a_key_of_search_spaces_is_answered_with_the_key(line: str, advice: str) -> None:
    error = CliRunner().invoke(app, line).exception
    verb, option = line.split()[0], next(word for word in line.split() if word.startswith("--")).partition("=")[0]
    assert isinstance(error, UserError)
    assert str(error) == f"{option}: {verb} has no such option; give the key of the search space: {advice}"


@pytest.mark.parametrize(
    "line", ["resume x --epochs +3", "sweep x.yaml --nonsense 5", "status --seed 3", "plan -- --seed"]
)
def test_other_options_are_left_to_the_parser(line: str) -> None:
    assert "give the key" not in str(CliRunner().invoke(app, line).exception)


def test_other_names_stand_for_keys_that_there_are() -> None:
    keys = {key.rpartition(".")[2]: key for key in ALIASES.values() if not key.startswith(("params.", "corpus."))}
    assert {name: find_key(name) for name in keys} == keys


def test_help_has_a_short_option() -> None:
    assert CliRunner().invoke(app, ["sweep", "-h"]).output == CliRunner().invoke(app, ["sweep", "--help"]).output
