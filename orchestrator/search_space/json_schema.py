"""The JSON Schema (draft 2020-12) of a search space, with which editors complete, explain and check one.

It describes the type of each key. Rules between keys, and the settings of a corpus, are checked by `reader` only.
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
    """Return the schema as the text of `search_spaces/schema.json`."""
    return json.dumps(make_schema(), indent=1, ensure_ascii=False) + "\n"


def make_schema() -> Schema:
    """Return the schema of a search space, with the settings of every shipped trainable."""
    names = loader.find_trainables()
    file = _clean(SearchSpace.model_json_schema(ref_template="#/$defs/{model}"))
    definitions: Schema = file.pop("$defs")
    del definitions["Domain"]
    definitions["Searched"] = _searched_schema(definitions["Searched"])
    forms = [{"enum": [*names]}, {"type": "string", "pattern": r"(/|\.py$)"}, {"$ref": "#/$defs/Command"}]
    documentation = _documentation(file["properties"]["trainable"])
    file["properties"]["trainable"] = {**documentation, "anyOf": forms}
    file["properties"]["presets"] = {
        "description": "partial search spaces, each merged over the file by --preset NAME",
        "type": "object",
        "additionalProperties": FILE,
    }
    # A preset may leave out any key, so that required keys belong to the whole file, not to its definitions.
    required = [key for key in file.pop("required") if key != "name"]
    parts = {}
    for key in ("objective", "budget"):
        definition = definitions[_definition_name(file["properties"][key])]
        parts[key] = definition.pop("required")
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "search space",
        **FILE,
        "required": required,
        "properties": {key: {"required": keys} for key, keys in parts.items()},
        "allOf": [_trainable_condition(name) for name in names],
    }
    for name in names:
        definitions |= _definitions_of(name)
    return {**root, "$defs": {**definitions, "SearchSpace": file}}


def _clean(schema: Any) -> Any:
    """Return pydantic's schema without titles, and with `none` where null is allowed."""
    if isinstance(schema, list):
        return [_clean(subschema) for subschema in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == {"type": "null"}:
        return {"enum": ["none", None]}
    return {key: _clean(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}


def _definition_name(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _searched_schema(model: Schema) -> Schema:
    """Return the schema of a domain as it is written in YAML: a key with its kind, and perhaps `when`."""
    return {
        "description": model["description"],
        "type": "object",
        "properties": {
            **{kind: _domain_schema(domain) for kind, domain in KINDS.items()},
            "when": model["properties"]["when"],
        },
        "oneOf": [{"required": [kind]} for kind in KINDS],
        "additionalProperties": False,
    }


def _domain_schema(domain: type[Domain]) -> Schema:
    fields = _clean(domain.model_json_schema())["properties"]
    described = {"description": f"{(domain.__doc__ or '').strip()} Needs {domain.form}.", "type": "array"}
    if domain is Choice:
        return {**fields["options"], **described, "minItems": 1, "uniqueItems": True}
    return {**described, "prefixItems": list(fields.values()), "items": False, "minItems": len(fields)}


def _trainable_condition(name: str) -> Schema:
    """Return the rule that a file with this trainable has its settings."""
    condition = {"properties": {"trainable": {"const": name}}, "required": ["trainable"]}
    return {"if": condition, "then": {"$ref": f"#/$defs/{name}"}}


def _definitions_of(name: str) -> Schema:
    """Return the definitions of the settings of one trainable, for a file and its presets."""
    config = loader.load_declaration(name, Path()).Config
    settings = _clean(config.model_json_schema(ref_template="#/$defs/{model}"))
    fields: Schema = settings.get("properties", {})
    params = {"$ref": f"#/$defs/{name}.params"}
    parameters, compared = {}, {}
    for key, field in fields.items():
        bare = _strip_documentation(field)
        parameters[key] = {**_documentation(field), "anyOf": [bare, DOMAIN]}
        compared[key] = {"type": "array", "items": bare, "minItems": 1}
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
            "properties": parameters,
            "additionalProperties": False,
        },
    }


def _documentation(field: Schema) -> Schema:
    return {key: field[key] for key in ("description", "default") if key in field}


def _strip_documentation(field: Schema) -> Schema:
    return {key: value for key, value in field.items() if key not in ("description", "default")}
