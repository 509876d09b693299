"""The section of a search space whose trainable is a command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.search_space.section import NoneWord, Section


def _check_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from None
    if groups != 1:
        raise ValueError(f"needs one group (…) around the value, got {groups} in {pattern!r}; others are (?:…)")
    return pattern


class Command(Section):
    """A command, such as a training script, that prints its metrics."""

    command: str | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        description="the command line: {lr} is the parameter lr, {checkpoint} where it keeps its state; {{ is a brace"
    )
    metrics: Annotated[dict[str, Annotated[str, AfterValidator(_check_pattern)]] | None, NoneWord] = Field(
        None,
        description="a regular expression for each metric, its value in a group; none if it prints JSON",
    )
    output: str = Field("stdout", description="where the metrics are: stdout, or a file such as {folder}/metrics.jsonl")
    shell: bool = Field(False, description="run by a shell, which gets parameters as variables, $ORCHESTRATE_PARAM_LR")
    grace_s: float = Field(
        10, ge=0, allow_inf_nan=False, description="seconds between SIGTERM and SIGKILL when the command has to end"
    )
    folder: Path | None = Field(
        None, strict=False, description="the folder in which it runs; the one of this file if omitted"
    )
