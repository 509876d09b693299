"""What this program is called, its version, and its command line as it has to be typed here."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path

NAME = "orchestrate"
DISTRIBUTION = "avsweep"
"""The name by which it is installed: `orchestrate` is somebody else's on the package index."""


def version() -> str:
    """Return the version of this installation."""
    return metadata.version(DISTRIBUTION)


def typed(*arguments: str) -> str:
    """`orchestrate …`, by its path where a shell would not find it, as after `make sweep`."""
    program = Path(sys.argv[0])
    is_hidden = program.name == NAME and program.exists() and shutil.which(NAME) is None
    return shlex.join([os.path.relpath(program) if is_hidden else NAME, *arguments])
