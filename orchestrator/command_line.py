"""Command lines that messages tell a user to type."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "orchestrate"


def format_command(*arguments: str) -> str:
    """Return `orchestrate …`, quoted for a shell; by its relative path if it is not on the shell's search path."""
    program = Path(sys.argv[0])
    # `make sweep` calls `.venv/bin/orchestrate` without activating the environment.
    is_off_path = program.name == NAME and program.exists() and shutil.which(NAME) is None
    command = os.path.relpath(program) if is_off_path else NAME
    return shlex.join([command, *arguments])
