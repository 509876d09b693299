"""The keys of a search space by their names: what an unknown one may have meant, and in which section a key is."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from orchestrator.command_line import format_command
from orchestrator.messages import KeyPath, suggest_name
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.section import Section


def unknown_key(path: KeyPath) -> str:
    """Return the message about an unknown key, with the keys that are allowed there, or the nearest."""
    section: type[BaseModel] = SearchSpace
    for part in path[:-1]:
        field = section.model_fields.get(str(part))
        section = (_section_in(field.annotation) if field else None) or section
    descriptions = {name: section.model_fields[name].description or "" for name in sorted(section.model_fields)}
    place = f"docs/search_space_reference.md, or {format_command('schema')}"
    return f"unknown key {path[-1]!r}{suggest_name(str(path[-1]), descriptions, 'allowed', place)}"


def find_key(name: str) -> str | None:
    """Return the path of the first key with a name, such as `budget.hours`, top-level keys first; None without one."""
    if name in SearchSpace.model_fields:
        return name
    sections = {key: _section_in(field.annotation) for key, field in SearchSpace.model_fields.items()}
    return next(
        (f"{key}.{name}" for key, section in sections.items() if section and name in section.model_fields), None
    )


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the first section that occurs in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    sections = (_section_in(argument) for argument in get_args(annotation))
    return next(filter(None, sections), None)
