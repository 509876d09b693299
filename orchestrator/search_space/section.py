"""What every section of a search space has in common."""

from __future__ import annotations

from pydantic import BaseModel, BeforeValidator, ConfigDict

NoneWord = BeforeValidator(lambda value: None if value == "none" else value)
"""YAML 1.2 reads `none` as text; here it turns a part off, as `null` does."""


class Section(BaseModel):
    """A mapping that has no other keys than the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
