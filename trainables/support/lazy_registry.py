"""Registries whose own parts are imported when one is first used, so that checking settings imports no torch."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from trainables.support.registry import Registry

T = TypeVar("T")
TraitsT = TypeVar("TraitsT")


class LazyRegistry(Registry[T], Generic[T, TraitsT]):
    """A registry of parts, those of one module and those that users register.

    The names and the traits of the module's parts are read from its source: a part is one function or class with its
    decorator, in one file, and nothing about it has to be declared elsewhere.

    Attributes:
        kind: the noun for a part in messages, such as `loss`.
        module: the module that registers this repository's parts.
    """

    def __init__(self, kind: str, module: str, decorator: str, traits: type[TraitsT]) -> None:
        """Create the registry; `module` is imported when a part is first used.

        Args:
            kind: the noun for a part in messages, such as `loss`.
            module: the module that registers this repository's parts.
            decorator: the decorator as that module spells it, such as `register_loss`.
            traits: a dataclass of facts that can be read without importing `module`. Each fact is a keyword argument of
                the decorator or, for a class, a class attribute. Every registered part has it as an attribute.
        """
        super().__init__(kind)
        self.module = module
        self._decorator = decorator
        self._traits = traits
        self._trait_names = list(traits.__annotations__)

    def traits(self, name: str) -> TraitsT:
        """Return what is known of a part without importing its module.

        Raises:
            InputError: there is no such part.
        """
        self.require_known(name)
        if name not in self._parts:
            return self._declared[name]
        part = self._parts[name]
        return self._traits(**{trait: getattr(part, trait) for trait in self._trait_names})

    def __getitem__(self, name: str) -> T:
        if name not in self._parts and name in self._declared:
            importlib.import_module(self.module)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._declared, *self._parts]))

    def __len__(self) -> int:
        return len(self._declared.keys() | self._parts.keys())

    def owner(self, name: str) -> str | None:
        """Return the module of a part; None if there is no such part."""
        return super().owner(name) or (self.module if name in self._declared else None)

    @cached_property
    def _declared(self) -> dict[str, TraitsT]:
        spec = importlib.util.find_spec(self.module)
        assert spec is not None and spec.origin is not None, self.module
        values_by_name = read_traits(Path(spec.origin), self._decorator, self._trait_names)
        return {name: self._traits(**values) for name, values in values_by_name.items()}


def read_traits(path: Path, decorator: str, traits: Collection[str]) -> dict[str, dict[str, Any]]:
    """Read from a file's source which parts it registers, without running it.

    Args:
        path: the file.
        decorator: the decorator as the file spells it; its first argument is the part's name.
        traits: the names of the keywords, or of a class's attributes, to read. Their values must be literals.

    Returns:
        Of each part by name, in the file's order, the traits that it sets. A class inherits from classes of the file.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {}
    for statement in tree.body:
        own: dict[str, Any] = {}
        if isinstance(statement, ast.ClassDef):
            own = classes[statement.name] = _read_attributes(statement, classes, traits)
        for call in _find_calls(statement, decorator):
            keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg in traits}
            flags = {str(name): ast.literal_eval(value) for name, value in keywords.items()}
            parts[ast.literal_eval(call.args[0])] = own | flags
    return parts


def _find_calls(statement: ast.stmt, decorator: str) -> list[ast.Call]:
    """Return the calls of a decorator above a function or class, or as in `register("name")(function)`."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        candidates = statement.decorator_list
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        candidates = [statement.value.func]
    else:
        candidates = []
    calls = [candidate for candidate in candidates if isinstance(candidate, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == decorator]


def _read_attributes(
    statement: ast.ClassDef, classes: dict[str, dict[str, Any]], traits: Collection[str]
) -> dict[str, Any]:
    """Return those of a class's attributes that are traits, with the ones that it inherits within the file."""
    attributes: dict[str, Any] = {}
    for base in reversed(statement.bases):
        attributes |= classes.get(ast.unparse(base), {})
    for line in statement.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and target.id in traits and value is not None:
            attributes[target.id] = ast.literal_eval(value)
    return attributes
