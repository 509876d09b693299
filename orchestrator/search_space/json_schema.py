"""The JSON Schema (draft 2020-12) of a search space, by which editors complete, explain and check one.

It says what a key may hold. What needs two keys, or a corpus, only `reader` checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.plugins import loader
from orchestrator.search_space.domains import KINDS, Choice, Domain
from orchestrator.search_space.schema import SearchSpace

Schema = dict[str, Any]

DOMAIN: Schema = {"$ref": "#/$defs/Searched"}
FILE: Schema = {"$ref": "#/$defs/SearchSpace"}


def schema_text() -> str:
    """The schema as it lies beside the search spaces."""
    return json.dumps(make_schema(), indent=1, ensure_ascii=False) + "\n"


def make_schema() -> Schema:
    """The schema of a search space, with the settings of every trainable that is shipped."""
    names = loader.find_trainables()
    file = _cleaned(SearchSpace.model_json_schema(ref_template="#/$defs/{model}"))
    definitions: Schema = file.pop("$defs")
    del definitions["Domain"]
    definitions["Searched"] = _searched(definitions["Searched"])
    file["properties"]["trainable"]["anyOf"] = [{"enum": [*names]}, {"pattern": r"(/|\.py$)"}]
    file["properties"]["presets"] = {
        "description": "partial search spaces, each merged over the file by --preset NAME",
        "type": "object",
        "additionalProperties": FILE,
    }
    # A preset may leave out anything, so what is required is said of the file as a whole and not of its parts.
    required = [key for key in file.pop("required") if key != "name"]
    parts = {key: definitions[_definition(file["properties"][key])].pop("required") for key in ("objective", "budget")}
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "search space",
        **FILE,
        "required": required,
        "properties": {key: {"required": keys} for key, keys in parts.items()},
        "allOf": [_only_if(name) for name in names],
    }
    for name in names:
        definitions |= _definitions_of(name)
    return {**root, "$defs": {**definitions, "SearchSpace": file}}


def _cleaned(schema: Any) -> Any:
    """Pydantic's schema without its titles, and with `none` wherever nothing is allowed."""
    if isinstance(schema, list):
        return [_cleaned(subschema) for subschema in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == {"type": "null"}:
        return {"enum": ["none", None]}
    return {key: _cleaned(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}


def _definition(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _searched(model: Schema) -> Schema:
    """A domain as it is written: one key, its kind, and perhaps `when`."""
    return {
        "description": model["description"],
        "type": "object",
        "properties": {
            **{kind: _domain(domain) for kind, domain in KINDS.items()},
            "when": model["properties"]["when"],
        },
        "oneOf": [{"required": [kind]} for kind in KINDS],
        "additionalProperties": False,
    }


def _domain(domain: type[Domain]) -> Schema:
    fields = _cleaned(domain.model_json_schema())["properties"]
    described = {"description": f"{(domain.__doc__ or '').strip()} Needs {domain.form}.", "type": "array"}
    if domain is Choice:
        return {**fields["options"], **described, "minItems": 1, "uniqueItems": True}
    return {**described, "prefixItems": list(fields.values()), "items": False, "minItems": len(fields)}


def _only_if(name: str) -> Schema:
    condition = {"properties": {"trainable": {"const": name}}, "required": ["trainable"]}
    return {"if": condition, "then": {"$ref": f"#/$defs/{name}"}}


def _definitions_of(name: str) -> Schema:
    """What a file, and its presets, may hold if its trainable is this one."""
    config = loader.load_trainable(name, Path()).Config
    settings = _cleaned(config.model_json_schema(ref_template="#/$defs/{model}"))
    fields: Schema = settings.get("properties", {})
    params = {"$ref": f"#/$defs/{name}.params"}
    compared = {key: {"type": "array", "items": _bare(field), "minItems": 1} for key, field in fields.items()}
    bundles = {"type": "object", "minProperties": 1, "additionalProperties": params}
    file = {
        "params": params,
        "compare": {"properties": compared, "additionalProperties": bundles},
        "arms": {"items": {"properties": {"params": params}}},
        "presets": {"additionalProperties": {"$ref": f"#/$defs/{name}"}},
    }
    return {
        **settings.get("$defs", {}),
        name: {"properties": file},
        f"{name}.params": {
            "type": "object",
            "properties": {key: {**_said(field), "anyOf": [_bare(field), DOMAIN]} for key, field in fields.items()},
            "additionalProperties": False,
        },
    }


def _said(field: Schema) -> Schema:
    return {key: field[key] for key in ("description", "default") if key in field}


def _bare(field: Schema) -> Schema:
    return {key: value for key, value in field.items() if key not in ("description", "default")}
