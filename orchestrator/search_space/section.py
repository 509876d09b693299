"""What every section of a search space has in common, and small ones: resources, disk, notices, early ends."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

NoneWord = BeforeValidator(lambda value: None if value == "none" else value)
"""YAML 1.2 reads `none` as text; here it turns a part off, as `null` does."""
Occasion = Literal["ended", "failed", "stalled", "best"]
Level = Literal["info", "warning", "error"]
VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
"""A part of an address that stands for a variable of the environment."""


class Section(BaseModel):
    """A mapping that has no other keys than the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Disk(Section):
    """The use of the disk."""

    keep_pruned_checkpoints: bool = Field(False, description="whether pruned trials keep their checkpoints")
    min_free_gib: float = Field(
        2, ge=0, allow_inf_nan=False, description="with less free than this the sweep pauses until there is more"
    )


class Cache(Section):
    """The features of corpora in the home, which are computed once and kept."""

    max_gib: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="when the sweep starts, those that were used least recently are deleted until the others fit; "
        "those that a process uses stay [default: all stay]",
    )


class Resources(Section):
    """The resources of one trial."""

    cpu: float = Field(1, gt=0, allow_inf_nan=False, description="CPU cores of one trial")
    gpu: float = Field(0, ge=0, allow_inf_nan=False, description="GPUs of one trial; 0.25 shares a GPU")
    require_gpu: bool = Field(False, description="refuse to run where there is no GPU")
    accelerator_type: Annotated[str | None, NoneWord] = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="the kind of GPU, by Ray's name for it, such as H100 or A100-80G; or none for any",
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
            raise ValueError(f"must be a part of one GPU (0.25) or whole GPUs (2), got {gpu:g}")
        return gpu


def _check_url(url: str) -> str:
    rest = VARIABLE.sub("x", url)
    if "${" in rest:
        raise ValueError("has ${ without the name of a variable; write ${env:NAME}")
    if "://" not in rest and not VARIABLE.match(url):
        raise ValueError("needs an address of apprise, such as slack://… or json://host/path, or ${env:NAME} with one")
    return url


class Notice(Section):
    """An address, and what it gets."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="the address as apprise writes it, such as slack://${env:SLACK_TOKENS}; ${env:NAME} stands for a "
        "variable, whose value is never stored"
    )
    when: Annotated[tuple[Occasion, ...], Field(strict=False, min_length=1)] = Field(
        ("ended", "failed", "stalled"),
        description="the sweep has ended, a trial has failed or diverged, no epoch has ended for long, a trial is the "
        "best so far",
    )
    at_least: Level = Field(
        "info",
        description="nothing below this is sent: a finished sweep and a best trial are info, a failed sweep error",
    )
    stalled_minutes: float = Field(
        30, gt=0, allow_inf_nan=False, description="minutes without the end of an epoch after which a sweep has stalled"
    )


class StopWhen(Section):
    """When the search of an arm ends before it has had all of its trials."""

    no_better_for: Annotated[int | None, NoneWord] = Field(
        None,
        ge=1,
        description="trials in a row without a better best trial, after which an arm gets no more",
    )
    regret_below: Annotated[float | None, NoneWord] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="an arm gets no more trials once a model of its trials says that the metric can improve by less",
    )

    @model_validator(mode="after")
    def _check_reasons(self) -> Self:
        if self.no_better_for is None and self.regret_below is None:
            raise ValueError("needs no_better_for or regret_below, such as {no_better_for: 12}")
        return self
