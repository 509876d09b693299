"""`orchestrate init`: write an example into the current folder, to begin with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.messages import quote_value, suggest_option

ROOT = Path(__file__).parents[2]
"""The root of a checkout, which has the files in its own folders."""
INSTALLED = Path("..", "examples")
"""The folder of the files in a wheel, relative to it: see `force-include` in pyproject.toml."""
SHIPPED, OWN = "search_spaces", "docs/examples"
OWN_EXAMPLE = "my_net"
"""The example of a user's own trainable, which `--own` writes."""
EDITOR_LINE = "# yaml-language-server"
SENTENCE = re.compile(r".*?[.?](?=\s|$)")


@dataclass(frozen=True)
class Example:
    """A search space, and the trainable next to it where it has one of its own.

    Attributes:
        name: the stem of its files.
        files: the search space first.
    """

    name: str
    files: tuple[Path, ...]

    @property
    def question(self) -> str:
        """The first sentence of the search space's head."""
        lines = []
        for line in self.files[0].read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            if not line.startswith((EDITOR_LINE, "# orchestrate ")):
                lines.append(line.lstrip("# "))
        head = " ".join(lines)
        sentence = SENTENCE.match(head)
        return sentence.group() if sentence else head


def find_examples() -> dict[str, Example]:
    """Return the examples that come with the program, by name: search spaces of shipped trainables first."""
    return {example.name: example for folder in (SHIPPED, OWN) for example in _examples_in(folder)}


def _examples_in(folder: str) -> Iterator[Example]:
    root = ROOT if (ROOT / SHIPPED).is_dir() else ROOT / INSTALLED
    for path in sorted((root / folder).glob("*.yaml")):
        trainable = path.with_suffix(".py")
        yield Example(path.stem, (path, trainable) if trainable.exists() else (path,))


def list_examples(say: Callable[[str], None]) -> None:
    """Say the name of every example, with its question."""
    examples = find_examples().values()
    width = max(len(example.name) for example in examples)
    for example in examples:
        say(f"{example.name:{width}}  {example.question}")
    write_shipped, write_own_one = format_command("init", "NAME"), format_command("init", "--own")
    say(f"{write_shipped} writes one into this folder, {write_own_one} a trainable of your own.")


def write_example(name: str, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Write the files of an example into a folder, and say which commands come next.

    Raises:
        UserError: there is no such example, a file is there already, or the folder can't be written to.
    """
    examples = find_examples()
    if name not in examples:
        raise UserError(f"{name}: no such example{suggest_option(name, examples)}; there are: {', '.join(examples)}")
    return _write(examples[name], name, folder, say)


def write_own(name: str | None, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Write a small trainable and its search space into a folder, under a chosen name.

    Raises:
        UserError: the name can't be that of a Python file, a file is there already, or the folder can't be written to.
    """
    if name is not None and not name.isidentifier():
        raise UserError(
            f"{quote_value(name)}: needs the name of a Python file, of letters, digits and '_', such as my_net"
        )
    return _write(find_examples()[OWN_EXAMPLE], name or OWN_EXAMPLE, folder, say)


def _write(example: Example, name: str, folder: Path, say: Callable[[str], None]) -> list[Path]:
    targets = [folder / f"{name}{file.suffix}" for file in example.files]
    for target in targets:
        if target.exists():
            raise UserError(
                f"{target}: already exists, and nothing was written; move it, or give another folder: --out DIR"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, target in zip(example.files, targets, strict=True):
            # Exclusively: what another process wrote in the meantime is not overwritten either.
            with target.open("x", encoding="utf-8") as copy:
                copy.write(_adapt(file.read_text(encoding="utf-8"), example.name, name))
    except OSError as error:
        raise UserError(
            f"{folder}: can't be written to ({error.strerror or error}); give another folder: --out DIR"
        ) from error
    for target in targets:
        say(f"wrote {target}")
    first = "check" if len(targets) > 1 else "plan"
    say(f"next: {format_command(first, str(targets[0]))}, then {format_command('sweep', str(targets[0]))}")
    return targets


def _adapt(text: str, example: str, name: str) -> str:
    """Return the text of an example as it is right outside of the repository, under another name."""
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(EDITOR_LINE)]
    text = re.sub(rf"(?:{SHIPPED}|{OWN})/(?=\w+\.yaml)", "", "".join(lines))
    return re.sub(rf"\b{example}(?=\.(?:py|yaml)\b)", name, text)
