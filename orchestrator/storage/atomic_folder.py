"""A folder of files that is complete if it is there, such as an export."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError

NOTE = "export.json"
"""The file in which `write_folder` describes its folder; only a folder with this file is ever replaced."""


@contextlib.contextmanager
def write_folder(target: Path, note: Mapping[str, Any], *, replaces: bool) -> Iterator[Path]:
    """Fill a new folder, which gets its name when the block ends without an error.

    Args:
        target: the folder; it must not exist, or be empty, unless `replaces` is set.
        note: what the folder is, for the file `NOTE` in it.
        replaces: whether a folder that was written like this before may be replaced.

    Yields:
        The folder to fill, next to the target.

    Raises:
        UserError: the target is there already, or can't be written.
    """
    target = target.absolute()
    part, old = (target.with_name(f".{target.name}.{kind}") for kind in ("part", "old"))
    try:
        # A killed process may have left one of them.
        _restore(old, target)
        _check_target(target, replaces=replaces)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        (part / NOTE).write_text(json.dumps(note, indent=2) + "\n")
        if target.exists():
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"--out {target}: can't be written ({error.strerror}); give another folder") from error
    finally:
        _restore(old, target)
        shutil.rmtree(part, ignore_errors=True)


def _restore(old: Path, target: Path) -> None:
    """Undo an interrupted replacement: the old folder gets its name back, unless the new one has it."""
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _check_target(target: Path, *, replaces: bool) -> None:
    try:
        names = os.listdir(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"--out {target}: is not a folder ({error.strerror}); give a new one") from None
    if not names:
        return
    if NOTE not in names:
        raise UserError(f"--out {target}: has files that no export has written; give a new folder")
    if not replaces:
        raise UserError(f"--out {target}: already exists; give a new folder, or --overwrite to replace this one")
