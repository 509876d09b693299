"""The name and version of this program, and the command lines that messages tell a user to type."""

from __future__ import annotations

import locale
import os
import shlex
import shutil
import sys
from pathlib import Path

from orchestrator.terminal import replace_streams

NAME = "orchestrate"
DISTRIBUTION = "avsweep"
"""The name by which it is installed: `orchestrate` is another project on the package index."""
UI_PORT = 5000
"""The default port of `orchestrate ui`."""


def version() -> str:
    """Return the version of this installation."""
    # Imported here: other commands do not need it.
    from importlib import metadata

    return metadata.version(DISTRIBUTION)


def use_utf8() -> None:
    """Let this process and its children read and write UTF-8, and keep a terminal from obeying or refusing text.

    Where the locale has another encoding, the command line starts again in Python's UTF-8 mode.
    """
    if locale.getencoding().lower() != "utf-8" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    replace_streams()


def format_command(*arguments: str) -> str:
    """Return `orchestrate …`, quoted for a shell; with a path if the shell does not find it by its name."""
    program = Path(sys.argv[0])
    # `make sweep` calls `.venv/bin/orchestrate` without activating the environment.
    is_off_path = program.name == NAME and program.exists() and shutil.which(NAME) is None
    command = NAME
    if is_off_path:
        relative = os.path.relpath(program)
        command = str(program.absolute()) if relative.startswith(os.pardir) else relative
    return shlex.join([command, *arguments])
