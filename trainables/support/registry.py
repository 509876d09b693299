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
        kind: what the parts are, for messages, such as `loss`.
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
            module = getattr(part, "__module__", None)
            if name in self._parts and getattr(self._parts[name], "__module__", None) != module:
                raise InputError(f"{self.kind} {name!r} is registered twice; give yours another name")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            close = difflib.get_close_matches(str(name), self._parts, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"unknown {self.kind} {name!r}.{hint} Available: {', '.join(sorted(self._parts))}.")
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._require_known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # Editors offer these names but allow others, because a component of the user's may register more.
        return {"anyOf": [{"enum": sorted(self._parts)}, handler(schema)]}

    def _require_known(self, name: str) -> str:
        self[name]
        return name
