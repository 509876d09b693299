"""`objective:`: the metric that orders trials, and the constraints that they have to meet."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from orchestrator.search_space.section import Section
from orchestrator.search_space.values import PlainValue


class Bounds(Section):
    """The values that a metric may have; both bounds are included."""

    min: float | None = Field(None, allow_inf_nan=False, description="the smallest value that is allowed")
    max: float | None = Field(None, allow_inf_nan=False, description="the largest value that is allowed")

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max, such as {max: 5}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"has a min ({self.min:g}) above its max ({self.max:g}), so nothing meets it")
        return self


class Objective(Section):
    """The metric that orders trials."""

    metric: str = Field(description="the metric that orders trials, such as val/judge_probability")
    mode: Literal["min", "max"] = Field(description="which way is better")
    preference: bool = Field(
        False,
        description="whether votes of listeners (orchestrate listen NAME --method prefer) order the trials instead; "
        "the metric still picks the best epoch of each",
    )
    at: dict[str, PlainValue] = Field(
        {}, description="the one of the renderings under evaluate that orders trials: {phase: griffin_lim}"
    )
    constraints: dict[str, Bounds] = Field(
        {},
        description="bounds of other metrics, such as {val/params_m: {max: 5}}; an epoch that does not meet them does "
        "not count, and a trial without one that does is never best",
    )

    def plain_constraints(self) -> dict[str, dict[str, float]]:
        """Return the bounds that are set, by metric."""
        return {name: bounds.model_dump(exclude_none=True) for name, bounds in self.constraints.items()}
