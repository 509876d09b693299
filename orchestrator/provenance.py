"""Which code, packages and machine a sweep runs on."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("ray", "optuna", "mlflow", "torch", "torchvision", "librosa", "pandas", "orchestrate")


def versions() -> dict[str, str]:
    """The packages that results depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the repository around a folder; None of each where there is none."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def code_fingerprint(files: Iterable[Path]) -> str:
    """Twelve hexadecimal digits that change when any of the files' contents does."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
