"""What is needed to understand and to repeat a sweep: data, judge, seeds, machine, versions and command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.runs.frames import SweepRuns


def describe_method(runs: SweepRuns, max_epochs: int) -> dict[str, str]:
    """Return the facts of a sweep by name, those that are known.

    Args:
        runs: the sweep.
        max_epochs: the number of epochs of a trial that is not pruned.
    """
    tags, record = runs.run.data.tags, runs.record
    started = datetime.fromtimestamp(runs.run.info.start_time / 1000)
    dirty = " with uncommitted changes" if tags.get(words.TAG_GIT_DIRTY) == "true" else ""
    versions = ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())
    facts = {
        "objective": f"{runs.metric}, {'larger' if runs.mode == 'max' else 'smaller'} is better",
        "further objectives": ", ".join(f"{name} ({mode})" for name, mode in list(runs.modes.items())[1:]),
        "constraints": describe_constraints(record["objective"].get("constraints") or {}),
        "budget": _describe_budget(runs, max_epochs),
        "corpus": f"{tags.get(words.TAG_CORPUS, '')} {tags.get(words.TAG_CORPUS_FINGERPRINT, '')}",
        "splits": describe_splits(record),
        "judge": tags.get(words.TAG_JUDGE, ""),
        "seed of the search": str(record.get("seed", "")),
        "seeds of the trials": _describe_seeds(runs.trials),
        "machine": describe_hardware(record.get("hardware") or {}),
        "versions": versions,
        "commit": f"{tags.get(words.TAG_GIT_COMMIT, '')}{dirty}",
        "command": str(record.get("command", "")),
        "started": f"{started:%Y-%m-%d %H:%M}",
        "state": tags.get(words.TAG_OUTCOME, ""),
    }
    return {name: value for name, value in facts.items() if value.strip()}


def describe_constraints(constraints: Mapping[str, Mapping[str, float]]) -> str:
    """Return the bounds of metrics that an epoch had to meet to count, as text; empty without constraints."""
    signs = {"min": "≥", "max": "≤"}
    return ", ".join(
        f"{name} {signs[side]} {bound:g}" for name, sides in constraints.items() for side, bound in sides.items()
    )


def describe_splits(record: Mapping[str, Any]) -> str:
    """Return the size of each split of the corpus as text; empty if the record has none."""
    corpus = record.get("corpus") or {}
    splits = [
        f"{name} {words.amount(size['recordings'], 'recording')} ({words.amount(size['clips'], 'clip')})"
        for name, size in corpus.get("splits", {}).items()
    ]
    classes = corpus.get("classes")
    return ", ".join(splits) + (f"; {classes} classes" if splits and classes else "")


def describe_hardware(hardware: Mapping[str, Any]) -> str:
    """Return the machine of the driver as text; empty if it was not recorded."""
    if not hardware:
        return ""
    cards = hardware.get("gpus") or []
    parts = [
        f"{hardware.get('cores')} × {hardware.get('processor')}",
        f"{hardware.get('memory_gib')} GiB of memory",
        ", ".join(cards) if cards else "no GPU",
    ]
    return ", ".join(parts)


def _describe_budget(runs: SweepRuns, max_epochs: int) -> str:
    """Return the budget as text, `4 to 8 trials per arm, 12 epochs at most`; empty if no trial has trained an epoch."""
    arms = runs.record.get("arms", {})
    numbers = sorted({int(arm["trials"]) for arm in arms.values() if arm.get("trials")})
    trials = ""
    if numbers:
        fewest = f"{numbers[0]} to " if len(numbers) > 1 else ""
        trials = f"{fewest}{words.amount(numbers[-1], 'trial')} per arm, "
    return f"{trials}{words.amount(max_epochs, 'epoch')} at most" if max_epochs else ""


def _describe_seeds(trials: pd.DataFrame) -> str:
    """Return the seeds of the trials: all of them if they are few, else the smallest and the largest."""
    if words.PARAM_SEED not in trials:
        return ""
    seeds = sorted({int(seed) for seed in pd.to_numeric(trials[words.PARAM_SEED], errors="coerce").dropna()})
    if len(seeds) <= 5:
        return ", ".join(map(str, seeds))
    return f"{len(seeds)} from {seeds[0]} to {seeds[-1]}"
