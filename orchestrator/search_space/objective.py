"""`objective:` and `pruning:`: the metric that orders trials, the constraints to meet, and how weak trials end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from orchestrator.search_space.section import NoneWord, Section
from orchestrator.search_space.values import PlainValue

ASHA: Final = "asha"
PASHA: Final = "pasha"
MEDIAN: Final = "median"
PATIENT: Final = "patient"
WILCOXON: Final = "wilcoxon"
HALVING = (ASHA, PASHA)
"""Kinds that compare trials at rungs; the other kinds decide after every epoch."""
USES = {
    "reduction_factor": HALVING,
    "across_arms": (*HALVING, MEDIAN),
    "promote": (ASHA,),
    "min_trials": (MEDIAN,),
    "patience": (PATIENT,),
    "min_delta": (PATIENT,),
    "p_threshold": (WILCOXON,),
}
"""The kinds that use a key of `pruning`; every kind uses the others."""


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


MAX_OBJECTIVES = 3
"""With many objectives, nearly every trial is better than all others in one, so that a front selects nothing."""


class Objective(Section):
    """The metric that orders trials, and further ones that make a front with it."""

    metric: str = Field(description="the metric that orders trials, such as val/judge_probability")
    mode: Literal["min", "max"] = Field(description="which way is better")
    beside: dict[str, Literal["min", "max"]] = Field(
        {},
        description="further objectives, such as {val/params_m: min}: parameters are searched for all of them, and "
        "results have a front of the trials that no other dominates; metric still orders the trials",
    )
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

    @model_validator(mode="after")
    def _check_beside(self) -> Self:
        if self.metric in self.beside:
            raise ValueError(f"has {self.metric} twice, as metric and under beside; leave it out of beside")
        if len(self.beside) >= MAX_OBJECTIVES:
            raise ValueError(
                f"has {len(self.beside) + 1} objectives, and {MAX_OBJECTIVES} are allowed: with more, nearly every "
                "trial is on the front; bound the others by constraints"
            )
        return self

    def plain_constraints(self) -> dict[str, dict[str, float]]:
        """Return the bounds that are set, by metric."""
        return {name: bounds.model_dump(exclude_none=True) for name, bounds in self.constraints.items()}


class Pruning(Section):
    """How trials end before their last epoch."""

    kind: Literal["asha", "pasha", "median", "patient", "wilcoxon", "none"] = Field(
        ASHA,
        description="asha compares trials at rungs; pasha raises the top rung only as long as the ranking changes; "
        "median stops a trial below the median of the others; patient ends one that does not improve; wilcoxon stops "
        "one that a paired test finds worse than the best; or none",
    )
    grace_epochs: int = Field(1, ge=1, description="no trial is pruned before this epoch, ASHA's first rung")
    reduction_factor: int = Field(3, ge=2, description="one in this many trials continues at each rung")
    across_arms: bool = Field(False, description="whether trials of different arms are pruned against each other")
    promote: bool = Field(
        False,
        description="whether trials pause at a rung, and continue from their checkpoint once they rank among the "
        "best; otherwise ASHA only stops trials; pasha always does so",
    )
    min_trials: int = Field(5, ge=1, description="median: other trials that have to have reached the epoch")
    patience: Annotated[int | None, NoneWord] = Field(
        None, ge=1, description="patient: epochs without improvement after which a trial ends"
    )
    min_delta: float = Field(
        0, ge=0, allow_inf_nan=False, description="patient: how much better a value has to be to be an improvement"
    )
    p_threshold: float = Field(
        0.1, gt=0, lt=1, description="wilcoxon: the p value below which a trial stops; the larger, the more stop"
    )

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.kind == "none":
            # `--set pruning.kind=none` switches off what the file describes.
            return self
        for key in sorted(self.model_fields_set & USES.keys()):
            if self.kind not in USES[key]:
                kinds = " and ".join(USES[key])
                raise ValueError(
                    f"has {key}, which is for kind {kinds} and not for {self.kind}; leave it out, as "
                    f"'pruning={{kind: {self.kind}}}' does"
                )
        if self.kind == PATIENT and self.patience is None:
            raise ValueError("of kind patient needs patience, the epochs without improvement, such as {patience: 5}")
        return self

    @property
    def pauses(self) -> bool:
        """Whether trials pause at rungs, from which they may be promoted."""
        return self.promote or self.kind == PASHA

    @property
    def first_epoch(self) -> int:
        """The first epoch after which a trial may be pruned."""
        # The smallest p value of n epochs is 1/2ⁿ.
        pairs = math.floor(-math.log2(self.p_threshold)) + 1 if self.kind == WILCOXON else 0
        return max(self.grace_epochs, (self.patience or 0) + 1, pairs)

    def rungs(self) -> Iterator[int]:
        """Yield the epochs at which ASHA and PASHA compare trials, without end."""
        rung = self.grace_epochs
        while True:
            yield rung
            rung *= self.reduction_factor

    def is_rung(self, epoch: int) -> bool:
        """Return whether trials are judged after this epoch: compared at a rung, or by a rule for every epoch."""
        if self.kind not in HALVING:
            return epoch >= self.first_epoch
        return next(rung for rung in self.rungs() if rung >= epoch) == epoch

    def first_top(self) -> float:
        """Return the top rung at first: PASHA's second rung (Bohdal et al., 2023, Algorithm 1), else infinity."""
        return self.grace_epochs * self.reduction_factor if self.kind == PASHA else math.inf
