"""What every section of a search space has in common, and the one that single arms may have for themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

NoneWord = BeforeValidator(lambda value: None if value == "none" else value)
"""YAML 1.2 reads `none` as text; here it turns a part off, as `null` does."""


class Section(BaseModel):
    """A mapping that has no other keys than the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Resources(Section):
    """The resources of one trial."""

    cpu: float = Field(1, gt=0, allow_inf_nan=False, description="CPU cores of one trial")
    gpu: float = Field(0, ge=0, allow_inf_nan=False, description="graphics cards of one trial; 0.25 shares a card")
    require_gpu: bool = Field(False, description="refuse to run where there is no graphics card")
    accelerator_type: Annotated[str | None, NoneWord] = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="the kind of graphics card, by Ray's name for it, such as H100 or A100-80G; or none for any",
    )
    custom: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {}, description="other resources of one trial, by the names that `ray start --resources` gave them"
    )

    @field_validator("custom")
    @classmethod
    def _check_custom(cls, custom: dict[str, float]) -> dict[str, float]:
        for name in custom:
            if name.upper() in ("CPU", "GPU") or name in ("memory", "object_store_memory") or ":" in name:
                raise ValueError(f"has {name!r}, which is Ray's own; use cpu, gpu or accelerator_type")
        return custom

    @field_validator("gpu")
    @classmethod
    def _check_gpu(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError(f"must be a part of one card (0.25) or whole cards (2), got {gpu:g}")
        return gpu
