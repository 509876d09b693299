"""What `--help` and `--version` show."""

from __future__ import annotations

import shlex
from importlib import metadata

import pytest
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.cli.verbs import EXAMPLES, Verbs

VERBS = {verb: example for examples in EXAMPLES.values() for verb, example in examples.items()}


def test_help_lists_every_verb_once_under_a_heading() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert sorted(VERBS) == sorted(get_command(app).commands)
    assert [line[:-1] for line in shown.splitlines() if line.endswith(":") and line != "Options:"] == list(EXAMPLES)
    assert all(shown.count(f"\n  {verb} ") == 1 for verb in VERBS)
    assert "..." not in shown.partition("Run:")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_an_example_that_its_options_understand(verb: str) -> None:
    assert f"Example: {VERBS[verb]}" in " ".join(CliRunner().invoke(app, [verb, "--help"]).output.split())
    program, named, *arguments = shlex.split(VERBS[verb].partition(">")[0])
    assert (program, named) == ("orchestrate", verb)
    # Parsing alone: the command is not run.
    get_command(app).commands[verb].make_context(verb, arguments)


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"{metadata.version('avsweep')}\n"


def test_ctrl_c_is_answered_in_one_line() -> None:
    interrupted = Typer(cls=Verbs)

    @interrupted.callback()
    def ignore() -> None: ...

    @interrupted.command()
    def plan() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(interrupted, ["plan"])
    assert (result.output, result.exit_code) == ("Stopped.\n", 130)
