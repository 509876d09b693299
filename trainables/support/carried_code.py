"""A user's own Python files, which an exported model carries: without them its settings have unknown names."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.errors import InputError

FOLDER = "code"
"""In the folder of a model: a folder for each file, with the files that it imports."""


@dataclass(frozen=True)
class CodeFile:
    """A file that registers something, and what it needs.

    Attributes:
        path: the file.
        helpers: the files that it imports from its folder, by their paths relative to that folder.
    """

    path: Path
    helpers: Mapping[str, Path]

    @property
    def digest(self) -> str:
        """The hash of the contents of all its files."""
        contents = hashlib.sha256()
        for name, file in sorted({self.path.name: self.path, **self.helpers}.items()):
            contents.update(f"\0{name}\0".encode() + file.read_bytes())
        return contents.hexdigest()


def save_code(folder: Path, files: Sequence[CodeFile]) -> list[str]:
    """Copy files into the folder of a model, and return their paths there in the order in which they are imported."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    names = []
    for number, file in enumerate(files, start=1):
        target = folder / FOLDER / str(number)
        for name, source in {file.path.name: file.path, **file.helpers}.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)
        names.append(f"{FOLDER}/{number}/{file.path.name}")
    return names


def import_code(folder: Path, names: Sequence[str]) -> None:
    """Import the files that `save_code` copied, except those that this process has imported from elsewhere.

    Args:
        folder: the folder of the model.
        names: what `save_code` returned.

    Raises:
        InputError: a file can't be imported here.
    """
    for name in names:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise InputError(f"{folder}: names a file outside of the model ({name}); promote it again")
        module = f"{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        if module not in sys.modules and not _is_imported(path):
            _import_as(module, path)


def _is_imported(path: Path) -> bool:
    """Return whether a file of the same name and content was imported: it would register its parts a second time."""
    content = path.read_bytes()
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "")
        if file.name == path.name and file.is_file() and file.read_bytes() == content:
            return True
    return False


def _import_as(name: str, path: Path) -> None:
    # At the end, so that the file can import its helpers, but these can't shadow installed packages.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a Python file has a loader"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: the model needs this file, which can't be imported here ({what})") from error
