"""What CONTRIBUTING.md names is there: recipes, modules, and a test to run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPE_HEADINGS = re.findall(r"^## (.+)$", (ROOT / "docs" / "recipes.md").read_text(), re.MULTILINE)
MOST_LINES = 250


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_recipe_is_linked_and_every_link_leads_to_one() -> None:
    linked = re.findall(r"docs/recipes\.md#([\w-]+)", TEXT)
    assert linked == [anchor_of(heading) for heading in RECIPE_HEADINGS]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:trainables|search_spaces|tests)/[\w./]+)`", TEXT))))
def test_what_it_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_command_for_one_test_finds_tests() -> None:
    (line,) = re.findall(r"^\.venv/bin/python (-m pytest .*?)(?:  +#.*)?$", TEXT, re.MULTILINE)
    command = [sys.executable, *shlex.split(line), "--collect-only"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "test_losses.py" in done.stdout


def test_it_stays_readable() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES
