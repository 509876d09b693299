"""The forms that parameters, comparisons and conditions have in a YAML file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from orchestrator.messages import quote_value, suggest_option
from orchestrator.search_space.domains import KINDS, Domain, is_value
from orchestrator.search_space.scalars import Value


def parse_value(value: Any) -> Any:
    """Return a value of YAML if it can be that of a parameter.

    Raises:
        ValueError: it is not a string, a finite number or a bool.
    """
    if not is_value(value):
        raise ValueError(f"needs text, a finite number, true or false, got {quote_value(value)}")
    return value


VALUE_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}

PlainValue = Annotated[Value, BeforeValidator(parse_value), WithJsonSchema(VALUE_SCHEMA)]


def parse_conditions(conditions: Any) -> Any:
    """Return the conditions of a `when` in YAML with a tuple of values for each name.

    Args:
        conditions: a mapping from names to a value or a list of values.

    Raises:
        ValueError: it has another form.
    """
    values_by_name: dict[Any, tuple[Any, ...]] = {}
    for name, value in (conditions if isinstance(conditions, dict) else {}).items():
        values_by_name[name] = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values_by_name or not all(values and all(map(is_value, values)) for values in values_by_name.values()):
        raise ValueError(f"needs {{name: value}} or {{name: [value, …]}}, got {quote_value(conditions)}")
    return values_by_name


CONDITIONS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [VALUE_SCHEMA, {"type": "array", "items": VALUE_SCHEMA, "minItems": 1}]},
}

Conditions = Annotated[
    dict[str, tuple[Value, ...]], BeforeValidator(parse_conditions), WithJsonSchema(CONDITIONS_SCHEMA)
]
"""A condition: for each parameter its allowed values."""


class Searched(BaseModel):
    """A searched parameter; where its conditions do not hold it has no value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: Domain
    when: Conditions | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, mapping: Any) -> Any:
        """Return the fields for the form in YAML, which is one key with the kind of the domain, and perhaps `when`."""
        kinds = [key for key in mapping if key != "when"]
        if len(kinds) != 1:
            raise ValueError(f"needs one domain ({', '.join(KINDS)}), got {quote_value(mapping)}")
        kind = kinds[0]
        if kind not in KINDS:
            raise ValueError(f"unknown domain {kind!r}{suggest_option(kind, KINDS)}; there are: {', '.join(KINDS)}")
        domain = KINDS[kind].parse(mapping[kind])
        if domain is None:
            raise ValueError(f"{kind} needs {KINDS[kind].form}, got {quote_value(mapping[kind])}")
        return {"domain": domain} | ({"when": mapping["when"]} if "when" in mapping else {})


def _shape(yaml_value: Any) -> str:
    """Return which of the forms in YAML a parameter or a comparison has."""
    if isinstance(yaml_value, dict | Searched):
        return "mapping"
    return "list" if isinstance(yaml_value, list | tuple) else "value"


def _refuse_list(values: Any) -> Any:
    raise ValueError("needs one value, or a domain such as {choice: [a, b]}, got a list; lists belong under compare")


Parameter = Annotated[
    Annotated[PlainValue, Tag("value")]
    | Annotated[Searched, Tag("mapping")]
    | Annotated[PlainValue, BeforeValidator(_refuse_list), Tag("list")],
    Discriminator(_shape),
]
"""A parameter in YAML: a fixed value, or a domain."""

Parameters = dict[str, Parameter]


def _refuse_value(value: Any) -> Any:
    raise ValueError(
        f"needs a list of values, or bundles {{name: {{parameter: value, …}}, …}}, got {quote_value(value)}; "
        "a single value belongs under params"
    )


def _refuse_empty(comparison: Any) -> Any:
    if not comparison:
        raise ValueError("compares nothing: needs at least one value")
    return comparison


Values = Annotated[tuple[PlainValue, ...], Field(strict=False), AfterValidator(_refuse_empty)]

Comparison = Annotated[
    Annotated[Values, Tag("list")]
    | Annotated[dict[str, Parameters], AfterValidator(_refuse_empty), Tag("mapping")]
    | Annotated[dict[str, Parameters], BeforeValidator(_refuse_value), Tag("value")],
    Discriminator(_shape),
]
"""A comparison: values of one parameter, or named bundles of parameters."""
