"""The commands in `--help`: grouped by purpose, with an example for each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from typer import Exit
from typer.core import TyperGroup

from orchestrator.cli.guesses import check_options

EXAMPLES = {
    "Run": {
        "init": "orchestrate init vae",
        "plan": "orchestrate plan search_spaces/vae.yaml",
        "data": "orchestrate data prepare search_spaces/vae.yaml",
        "check": "orchestrate check docs/examples/my_net.yaml",
        "try": "orchestrate try search_spaces/vae.yaml --arm loss=vae",
        "sweep": "orchestrate sweep search_spaces/vae.yaml --set budget.max_epochs=60",
        "resume": "orchestrate resume vae --trials +4 --arm loss=vae",
    },
    "Steer a sweep that runs": {
        "top": "orchestrate top vae",
        "stop": "orchestrate stop vae/7",
        "pause": "orchestrate pause vae",
        "continue": "orchestrate continue vae",
        "retry": "orchestrate retry vae/7",
        "boost": "orchestrate boost vae/7",
        "limit": "orchestrate limit vae 2",
        "try-next": "orchestrate try-next vae lr=3e-4 loss=vae",
    },
    "Look": {
        "status": "orchestrate status vae",
        "why": "orchestrate why vae/7",
        "attach": "orchestrate attach vae --address http://head:8265",
        "logs": "orchestrate logs vae --address http://head:8265",
        "ui": "orchestrate ui vae",
    },
    "Compare": {
        "report": "orchestrate report vae --format html",
        "compare": "orchestrate compare vae 3 7",
        "diff": "orchestrate diff vae/3 vae/7",
        "listen": "orchestrate listen vae --method abx --trials 3 7",
    },
    "Use the results": {
        "generate": "orchestrate generate dog.jpg --sweep image_to_sound -o out/",
        "promote": "orchestrate promote image_to_sound --as audiovision --alias champion",
        "export": "orchestrate export vae --to tensorboard --out vae-tensorboard",
    },
    "Maintain": {
        "doctor": "orchestrate doctor",
        "clean": "orchestrate clean vae --dry-run",
        "schema": "orchestrate schema > schema.json",
    },
}
"""An example of each command, by heading and command; every command has one heading."""
DESCRIPTION_CHARACTERS = 200
"""The length to which `--help` shortens descriptions: long enough for all of them."""


def _describe(commands: Mapping[str, Any], names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names and the descriptions of commands."""
    return [(name, commands[name].get_short_help_str(DESCRIPTION_CHARACTERS)) for name in names]


class WholeDescriptions(TyperGroup):
    """A group of commands whose descriptions are not cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section of all commands."""
        with formatter.section("Commands"):
            formatter.write_dl(_describe(self.commands, self.commands))


class Verbs(TyperGroup):
    """A group of commands that lists them under the headings of `EXAMPLES`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and say that Ctrl-C has ended it, which Typer does not say."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            raise Exit(130) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, after a look at its options."""
        name, command, rest = super().resolve_command(ctx, args)
        check_options(command, rest)
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading."""
        for heading, examples in EXAMPLES.items():
            with formatter.section(heading):
                formatter.write_dl(_describe(self.commands, examples))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, with its example below its own help."""
        command = super().get_command(ctx, cmd_name)
        for examples in EXAMPLES.values():
            if command is not None and cmd_name in examples:
                command.epilog = f"Example: {examples[cmd_name]}"
        return command
