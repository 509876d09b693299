"""What a trained model left in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables.errors import InputError


def read_tensors(path: Path, where: str, kind: str, needed: str) -> Any:
    """What a file of tensors holds; nothing in it is run.

    Raises:
        InputError: it is not there, or something else; the message begins with `where`, and says which
            `kind` of file it is not, and what is `needed`.
    """
    try:
        return torch.load(path.expanduser(), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{where}: no such file; {needed}") from error
    except Exception as error:
        # Whatever the unpickler makes of a file that is something else.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{where}: can't be read as {kind} ({reason}); {needed}") from error


def read_state(path: Path) -> dict[str, Any]:
    """A trainable's `state_dict()`, from a trial's checkpoint or from a file of its own.

    Raises:
        InputError: there is none, or it can't be read.
    """
    content = read_tensors(path, str(path), "a checkpoint", "a trial such as losses/7, or the path of a checkpoint")
    state = content.get("state", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds no trained model; a trial such as losses/7, or the path of a checkpoint")
    return state
