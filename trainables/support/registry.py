"""Registries of parts, such as losses, by their names in YAML.

A setting `loss: Annotated[str, LOSSES]` takes registered names only.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.errors import InputError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping from name to part, whose error for an unknown name suggests the nearest one.

    Attributes:
        kind: the noun for a part in messages, such as `loss`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a part under a name.

        Args:
            name: the part's name in YAML.

        Raises:
            InputError: a part of another module has that name already.
        """

        def add(part: T) -> T:
            # The same module may be imported again, under the same name.
            if self.owner(name) not in (None, getattr(part, "__module__", None)):
                raise InputError(f"{self.kind} {name!r} is registered twice; give yours another name")
            self._parts[name] = part
            return part

        return add

    def require_known(self, name: str) -> str:
        """Return a name if there is such a part.

        Raises:
            InputError: there is none.
        """
        names = [*self]
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"unknown {self.kind} {name!r}.{hint} Available: {', '.join(sorted(names))}.")
        return name

    def __getitem__(self, name: str) -> T:
        return self._parts[self.require_known(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.require_known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # Editors offer these names but allow others, because a component of the user's may register more.
        return {"anyOf": [{"enum": sorted(self)}, handler(schema)]}

    def owner(self, name: str) -> str | None:
        """Return the module of a part; None if there is no such part."""
        return getattr(self._parts[name], "__module__", None) if name in self._parts else None
