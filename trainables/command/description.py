"""The command of a search space: its words, the parameters in them, and the files that it runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.errors import InputError

SUPPLIED = {
    "checkpoint": "the path of the file or folder in which the command keeps its state, and from which it resumes",
    "folder": "a folder for other files of the trial",
    "params_file": "a JSON file with all parameters",
    "seed": "the trial's seed",
    "max_epochs": "the epochs of a trial that isn't pruned",
    "device": "cpu, or cuda where the trial has a share of a card",
}
"""The values that are not parameters and that a command may have in braces, with their meaning."""
ENVIRONMENT = "ORCHESTRATE_"
"""The prefix of the variables with the supplied values; those of parameters begin with `ORCHESTRATE_PARAM_`."""
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")
STDOUT = "stdout"


@dataclass(frozen=True)
class Command:
    """A command as a search space has it under `trainable:`.

    Attributes:
        command: the program and its arguments, or a text that a shell runs.
        objective: the metric that orders trials; a line with it ends an epoch.
        mode: whether larger or smaller values of the objective are better.
        folder: the folder in which the command is run.
        metrics: a regular expression for each metric, whose group is the value; None if lines are JSON objects.
        output: the file from which the metrics are read, or `stdout`.
        shell: whether a shell runs the command.
        grace_s: the seconds between SIGTERM and SIGKILL.
    """

    command: tuple[str, ...]
    objective: str
    mode: Literal["min", "max"]
    folder: str
    metrics: Mapping[str, str] | None = None
    output: str = STDOUT
    shell: bool = False
    grace_s: float = 10.0
    placeholders: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        texts = (*self.command, self.output)
        names = {match[1] for text in texts for match in PLACEHOLDER.finditer(text) if match[1]}
        object.__setattr__(self, "placeholders", frozenset(names))

    @classmethod
    def read(cls, reference: Mapping[str, Any]) -> Command:
        """Return the command that a search space describes.

        Raises:
            InputError: the text can't be split into words.
        """
        command = reference["command"]
        words = command
        if isinstance(command, str):
            try:
                words = [command] if reference.get("shell") else shlex.split(command)
            except ValueError as error:
                raise InputError(
                    f"command: {command!r} can't be split into words ({error}); check its quotes"
                ) from None
        return cls(**{**reference, "command": tuple(words)})

    @property
    def parameters(self) -> list[str]:
        """The names in braces that are parameters of the search space."""
        return sorted(self.placeholders - SUPPLIED.keys())

    @property
    def title(self) -> str:
        """The command in a word, for messages: its script, or else its program."""
        scripts = self.files()
        return scripts[0].name if scripts else Path(self.command[0]).name

    def files(self) -> list[Path]:
        """Return the words of the command that are files, without the program where it is installed elsewhere."""
        words = shlex.split(self.command[0]) if self.shell else self.command
        paths = [Path(self.folder, word) for word in words if word and not PLACEHOLDER.search(word)]
        return [path.resolve() for path in paths if path.is_file() and path.is_relative_to(self.folder)]

    def check(self) -> None:
        """Check what can be known before the command runs.

        Raises:
            InputError: it is empty, its program does not exist, a shell would get values of parameters, or the
                objective has no pattern.
        """
        if not self.command or not self.command[0].strip():
            raise InputError('command: is empty; needs one such as "python train.py --lr {lr}"')
        if self.shell and self.placeholders & {match[1] for match in PLACEHOLDER.finditer(self.command[0])}:
            name = min(self.placeholders)
            variable = variable_name(name)
            raise InputError(
                f"command: with shell: true no value is written into the text, got {{{name}}}; use the variable "
                f'"${variable}", or shell: false'
            )
        if not self.shell and shutil.which(self._program()) is None:
            raise InputError(
                f"command: there is no program {self.command[0]!r} on the path or in {self.folder}; this Python is "
                f"{sys.executable}"
            )
        if self.metrics is not None and self.objective not in self.metrics:
            names = ", ".join(self.metrics) or "none"
            raise InputError(
                f"metrics: has no pattern for the objective {self.objective}, got: {names}; add one, such as "
                f"'{self.objective}=(\\S+)'"
            )

    def _program(self) -> str:
        """Return the program, with the folder in front if it is a path."""
        program = self.command[0]
        return os.path.join(self.folder, program) if os.sep in program else program

    def fill(self, values: Mapping[str, Any]) -> list[str]:
        """Return the words of the command with their values; those of a shell get theirs from the environment."""
        if self.shell:
            return ["sh", "-c", self.command[0]]
        program, *arguments = (fill(word, values) for word in self.command)
        return [os.path.join(self.folder, program) if os.sep in program else program, *arguments]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Replace the names in braces by their values; doubled braces become single ones."""

    def replace(match: re.Match[str]) -> str:
        return to_text(values[match[1]]) if match[1] else match[0][0]

    return PLACEHOLDER.sub(replace, text)


def to_text(value: Any) -> str:
    """Return a value as the text that a command gets: numbers, true, false and null as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def variable_name(name: str) -> str:
    """Return the name of the environment variable with a value."""
    prefix = ENVIRONMENT if name in SUPPLIED else f"{ENVIRONMENT}PARAM_"
    return prefix + re.sub(r"\W", "_", name).upper()
