"""`search:`: how the parameters of trials are proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from orchestrator.messages import quote_value, suggest_option
from orchestrator.search_space.section import Section

AUTO, TPE, GP, CMAES, SOBOL, RANDOM, GRID = "auto", "tpe", "gp", "cmaes", "sobol", "random", "grid"
SAMPLERS = (AUTO, TPE, GP, CMAES, SOBOL, RANDOM, GRID)
LABELS = {TPE: "TPE", GP: "GP", CMAES: "CMA-ES", SOBOL: "Sobol", RANDOM: "random", GRID: "grid"}
CHOSEN_BY_AUTO = (TPE, GP)
WITHOUT_STARTUP = (SOBOL, RANDOM, GRID)
"""Samplers that don't learn from results, and so need no startup trials."""


def is_file(sampler: str) -> bool:
    """Return whether a value of `search.sampler` is a file of the user's."""
    return sampler.endswith(".py")


def label_of(sampler: str) -> str:
    """Return a sampler as tables and messages name it."""
    return LABELS.get(sampler, Path(sampler).name)


def _check_sampler(sampler: str) -> str:
    if sampler not in SAMPLERS and not is_file(sampler):
        raise ValueError(
            f"unknown sampler {quote_value(sampler)}{suggest_option(sampler, SAMPLERS)}; one of {', '.join(SAMPLERS)}, "
            "or a file such as ./my_sampler.py"
        )
    return sampler


class Search(Section):
    """How the parameters of trials are proposed."""

    startup_trials: int = Field(
        10, ge=1, description="quasi-random points before the sampler takes over, the same in every arm"
    )
    sampler: Annotated[
        str,
        AfterValidator(_check_sampler),
        WithJsonSchema({"anyOf": [{"enum": list(SAMPLERS)}, {"type": "string", "pattern": r"\.py$"}]}),
    ] = Field(
        TPE,
        description="the sampler of parameters: tpe, gp, cmaes, sobol, random, grid, auto (gp where it can, else tpe), "
        "or a file with a sampler of Optuna's",
    )
