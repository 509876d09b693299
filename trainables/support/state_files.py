"""Readers of checkpoints and other files of tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables.errors import InputError


def read_tensors(path: Path, where: str, kind: str, needed: str) -> Any:
    """Return the content of a file that `torch.save` wrote; code in the file is not run.

    Args:
        path: the file; `~` is expanded.
        where: the beginning of the error message.
        kind: what the file should be, for the message.
        needed: what to give instead, for the message.

    Raises:
        InputError: the file is missing, or is not of that kind.
    """
    try:
        return torch.load(path.expanduser(), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{where}: no such file; {needed}") from error
    except Exception as error:
        # The unpickler raises errors of many types for a file that is something else.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{where}: can't be read as {kind} ({reason}); {needed}") from error


def read_state(path: Path) -> dict[str, Any]:
    """Return a trainable's `state_dict()` from a trial's checkpoint, or from a file that holds the state alone.

    Raises:
        InputError: the file is missing, can't be read or holds no state.
    """
    content = read_tensors(path, str(path), "a checkpoint", "a trial such as losses/7, or the path of a checkpoint")
    state = content.get("state", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds no trained model; a trial such as losses/7, or the path of a checkpoint")
    return state
