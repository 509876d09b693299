"""Parts that are found by the name that YAML gives them; `loss: Annotated[str, LOSSES]` takes registered names only."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.errors import InputError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping from name to part that suggests the nearest name when asked for an unknown one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that makes a part known as `name`."""

        def add(part: T) -> T:
            if name in self._parts and getattr(self._parts[name], "__module__", None) != getattr(
                part, "__module__", None
            ):
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
        # Editors offer these names, and allow others: a component of the user's may register one.
        return {"anyOf": [{"enum": sorted(self._parts)}, handler(schema)]}

    def _require_known(self, name: str) -> str:
        self[name]
        return name
