"""A sweep's own code in the home, for machines that do not see the folder of its search space."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plugins import loader

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

CODE = "code"
"""In the home: a folder for each sweep with the copy of its search space's folder."""
JUDGE_FILES = ("weights", "classes")
"""The settings of an added judge that name files."""
IGNORED = (
    ".git",
    ".venv",
    "venv",
    "runs",
    "site",
    "__pycache__",
    "*.pyc",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
"""What is not copied, in addition to all that a .gitignore or a .rayignore names."""


@dataclass(frozen=True)
class CodeCopy:
    """A copy of the folder of a search space.

    Attributes:
        source: the folder.
        copy: the copy, which every machine sees.
    """

    source: Path
    copy: Path

    def move(self, path: str) -> str:
        """Return the path of a file in the copy; a file outside of the folder keeps its path."""
        # The folder of the search space may be named through a symbolic link.
        for candidate in (Path(path), Path(path).expanduser().resolve()):
            if candidate.is_relative_to(self.source):
                return str(self.copy / candidate.relative_to(self.source))
        return path

    def move_trainable(self, reference: str | Mapping[str, Any]) -> str | dict[str, Any]:
        """Return a value of `trainable:` that names the copy: a path, or the folder in which a command runs."""
        if isinstance(reference, str):
            return self.move(reference)
        return {**reference, "folder": self.move(str(reference["folder"]))}

    def move_judge(self, judge: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of an added judge with files that lie in the copy."""
        return {**judge, **{key: self.move(str(judge[key])) for key in JUDGE_FILES if judge.get(key) is not None}}


def judge_files(sweep: Sweep) -> list[Path]:
    """Return the files of the judges that a sweep adds: their weights and tables of classes."""
    files = [judge[key] for judge in sweep.judges for key in JUDGE_FILES if judge.get(key) is not None]
    return [Path(str(file)).expanduser().resolve() for file in files]


def user_code_paths(sweep: Sweep) -> list[Path]:
    """Return the paths of the user's code: components, and the trainable's file or the folder of a command."""
    own = [path.resolve() for path in sweep.components]
    reference = sweep.space.trainable_reference
    if isinstance(reference, Mapping):
        own.append(Path(reference["folder"]).resolve())
    elif loader.is_file(reference):
        own.append((sweep.path.parent / reference).resolve())
    return own


def copy_code(source: Path, copy: Path) -> CodeCopy:
    """Copy the folder of a search space, by the rules by which Ray sends code.

    Args:
        source: the folder.
        copy: the folder in the home, which is replaced.
    """
    from ray._private.runtime_env.packaging import create_package

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            package = Path(scratch) / "code.zip"
            create_package(str(source), package, include_gitignore=True, excludes=list(IGNORED))
            with zipfile.ZipFile(package) as archive:
                archive.extractall(folder)

    replace_folder(copy, fill)
    return CodeCopy(source, copy)


def replace_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Replace a folder by one that a function fills, so that it is never seen half filled.

    Args:
        folder: the folder, which may not exist yet.
        fill: writes into a folder that does not exist yet.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fill(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
