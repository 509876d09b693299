"""Analysis of a user's Python file without running it: the files that it imports, and its trainables."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TRAINABLE = "Trainable"
STDLIB = sysconfig.get_path("stdlib")
SHIPPED = ("orchestrator", "reports", "trainables")
"""Packages that do not count as a user's files, even if they are in the same folder."""


def helper_files(path: Path) -> dict[str, Path]:
    """Return the Python files below a file's folder that it imports, directly or through other such files.

    The files are parsed, not run, so that imports inside functions count too.

    Returns:
        The files by their path relative to the folder, sorted.
    """
    path = path.resolve()
    helper_by_name: dict[str, Path] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        for helper in _neighbours(file, path.parent):
            name = helper.relative_to(path.parent).as_posix()
            if helper != path and name not in helper_by_name:
                helper_by_name[name] = helper
                waiting.append(helper)
    return dict(sorted(helper_by_name.items()))


def may_define_trainable(path: Path) -> bool:
    """Return whether a file has a class that may be a subclass of `Trainable`, judged by the names of its bases.

    Raises:
        SyntaxError: the file is not Python.
    """
    return bool(_Classes(path.resolve().parent).find_trainables(path.resolve()))


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), filename=str(file))


def _neighbours(file: Path, root: Path) -> Iterator[Path]:
    """Yield the files below a folder that a file imports; none if it is not Python."""
    try:
        tree = _parse(file)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for module in _imported_modules(node, file, root):
            yield from _files_of(module, root)


def _imported_modules(node: ast.AST, file: Path, root: Path) -> list[str]:
    """Return the full names that a statement or call may import."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(names=names):
            module = _resolve_module(node, file, root)
            return [module, *(f"{module}.{alias.name}".strip(".") for alias in names)]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            return [module]
    return []


def _resolve_module(node: ast.ImportFrom, file: Path, root: Path) -> str:
    """Return the full name of the module of `from module import …`, which may be relative to the file's package."""
    if not node.level:
        return node.module or ""
    package = ".".join(file.parent.relative_to(root).parts)
    try:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return ""


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """Return the files below a folder that importing a module runs: those of its packages and its own."""
    parts = module.split(".")
    if not module or parts[0] in SHIPPED:
        return
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        yield from (file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file())


@dataclass
class _Classes:
    """The classes in files of a folder that may be trainables.

    Attributes:
        root: the folder.
        by_file: the names of the classes in the files that were parsed.
    """

    root: Path
    by_file: dict[Path, set[str]] = field(default_factory=dict)

    def find_trainables(self, file: Path) -> set[str]:
        """Return the names of the classes in a file that may be trainables."""
        if file in self.by_file:
            return self.by_file[file]
        # Set before the file is parsed, so that files that import each other do not lead to an endless recursion.
        names = self.by_file[file] = set()
        tree = _parse(file)
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names.update(self._possible_trainables(node, file))
            elif isinstance(node, ast.Import):
                modules |= {alias.asname: alias.name for alias in node.names if alias.asname}
        defined = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and self._may_be(node.value, names, modules):
                names.update(target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.ClassDef) and any(self._may_be(base, names, modules) for base in node.bases):
                defined.add(node.name)
                names.add(node.name)
        self.by_file[file] = defined
        return defined

    def _possible_trainables(self, node: ast.ImportFrom, file: Path) -> Iterator[str]:
        """Yield the names that a statement imports and that may be trainables."""
        module = _resolve_module(node, file, self.root)
        candidates: set[str] = set()
        for helper in self._sources_of(module):
            candidates |= self.find_trainables(helper)
        for alias in node.names:
            if alias.name == "*":
                yield from candidates
            elif alias.name in candidates or TRAINABLE in alias.name or _is_shipped(module):
                yield alias.asname or alias.name

    def _sources_of(self, module: str) -> Iterator[Path]:
        """Yield the files of a module in the folder and on `sys.path`, without installed packages, which are many."""
        roots = [self.root, *(Path(entry or ".").resolve() for entry in sys.path)]
        yield from (file for root in roots if not _is_installed(root) for file in _files_of(module, root))

    def _may_be(self, base: ast.expr, names: set[str], modules: Mapping[str, str]) -> bool:
        """Return whether an expression may be a trainable.

        Args:
            base: the base of a class, or the value of an assignment.
            names: the names in the file that may be trainables.
            modules: the modules of the file that have another name by `import module as name`.
        """
        match base:
            case ast.Name(id=name):
                return name in names or TRAINABLE in name
            case ast.Attribute(attr=name, value=value):
                source = ast.unparse(value)
                module = modules.get(source, source)
                helpers = self._sources_of(module) if module.replace(".", "_").isidentifier() else ()
                is_neighbours = any(name in self.find_trainables(helper) for helper in helpers)
                return TRAINABLE in name or _is_shipped(module) or is_neighbours
            case ast.Subscript(value=value):
                return self._may_be(value, names, modules)
        # A call may return any class.
        return isinstance(base, ast.Call)


def _is_installed(folder: Path) -> bool:
    """Return whether a folder belongs to this Python or to the packages that are installed for it."""
    return any(folder.is_relative_to(Path(prefix).resolve()) for prefix in (sys.prefix, sys.base_prefix, STDLIB))


def _is_shipped(module: str) -> bool:
    """Return whether a module is that of a shipped trainable."""
    return re.fullmatch(r"trainables\.\w+\.trainable", module) is not None
