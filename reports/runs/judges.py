"""The judges of a sweep side by side: the own one, judge B and those that its search space adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.runs.frames import SweepRuns

OWN_PREFIX, B_PREFIX = "judge_", "judge_b_"
SMALLEST_DIFFERENCE = 0.005
"""Arms whose probabilities differ by less are in no order: tables show two digits of an accuracy."""
CLIPS_PER_FEATURE = 10
"""The clips for each number of an embedding from which on a Fréchet distance may be read by itself."""


def added_judges(runs: SweepRuns) -> Mapping[str, Mapping[str, Any]]:
    """Return what the record has about each added judge, by its name; empty for sweeps without any."""
    judges: Mapping[str, Mapping[str, Any]] = runs.record.get("judges") or {}
    return judges


def judges_above_chance(runs: SweepRuns) -> list[str]:
    """Return the names of the added judges that are better than chance on real clips."""
    return [name for name, score in added_judges(runs).items() if not score["deaf"]]


def accuracy_columns(runs: SweepRuns) -> dict[str, str]:
    """Return the metric with the accuracy of each added judge, by the name of its column in tables."""
    return {f"{name} accuracy": f"{words.VAL_PREFIX}{name}_accuracy" for name in added_judges(runs)}


def name_judge(metric: str) -> str:
    """Return the name of the judge whose metric it is: `judge A` for `judge_accuracy`, else what stands before `_`."""
    if metric.startswith(B_PREFIX):
        return "judge B"
    return "judge A" if metric.startswith(OWN_PREFIX) else metric.rpartition("_")[0]


def other_columns(runs: SweepRuns, metric: str) -> dict[str, str]:
    """Return the same column of the tables by recording for the other judges.

    Args:
        runs: the sweep.
        metric: a column, such as `judge_probability`.

    Returns:
        For each other judge, by its name, the column; none if the metric is not a probability or accuracy of a judge.
    """
    prefixes = {"judge A": OWN_PREFIX, "judge B": B_PREFIX, **{name: f"{name}_" for name in judges_above_chance(runs)}}
    own = {name: prefix for name, prefix in prefixes.items() if metric in _columns(prefix)}
    if not own:
        return {}
    ((judge, prefix),) = own.items()
    suffix = metric.removeprefix(prefix)
    return {name: f"{other}{suffix}" for name, other in prefixes.items() if name != judge}


def find_disagreements(runs: SweepRuns) -> list[str]:
    """Return a sentence for each pair of judges that orders the arms differently, by the probability of the true class.

    The values are those of the test split where every arm has them, else those of the best trial of each arm. Judges
    that are no better than chance on real clips take no part.
    """
    names = judges_above_chance(runs)
    prefixes = {"the corpus judge": OWN_PREFIX, **{name: f"{name}_" for name in names}}
    tables = {judge: _probabilities(runs, f"{prefix}probability") for judge, prefix in prefixes.items()}
    return [
        sentence
        for first, second in combinations(tables, 2)
        for sentence in _compare_orders(first, tables[first], second, tables[second])
    ]


def describe_limits(runs: SweepRuns) -> Iterator[str]:
    """Yield a sentence for each added judge at chance level, and for each Fréchet distance of too few clips."""
    for name, score in added_judges(runs).items():
        if score["deaf"]:
            yield words.describe_judge(name, score)
            continue
        least = CLIPS_PER_FEATURE * int(score["features"])
        if int(score["clips"]) < least:
            yield (
                f"val/{name}_fad or fid is of at most {score['clips']} clips, and its bias is small from {least} on "
                f"({CLIPS_PER_FEATURE} for each number of the embedding): it orders trials, but read the unbiased kad "
                "or kid for how far from real they are"
            )


def _columns(prefix: str) -> tuple[str, str]:
    return f"{prefix}probability", f"{prefix}accuracy"


def _probabilities(runs: SweepRuns, name: str) -> dict[str, float]:
    """Return the value of each arm that has one, by a metric's name without its split."""
    column = words.TEST_PREFIX + name
    tested = runs.tested_trials
    if column in tested:
        means = tested.groupby("arm")[column].mean().dropna()
        if set(means.index) >= set(runs.arms):
            return {str(arm): float(value) for arm, value in means.items()}
    best = runs.best_trials()
    column = words.best_name(words.VAL_PREFIX + name)
    if column not in best:
        return {}
    values = pd.to_numeric(best[column]).dropna()
    return {str(arm): float(value) for arm, value in values.items()}


def _compare_orders(
    first: str, by_first: Mapping[str, float], second: str, by_second: Mapping[str, float]
) -> Iterator[str]:
    """Yield a sentence if two judges order any two arms differently."""
    shared = [arm for arm in by_first if arm in by_second]
    reversed_pairs = []
    for arm, other in combinations(shared, 2):
        differences = by_first[arm] - by_first[other], by_second[arm] - by_second[other]
        is_clear = min(map(abs, differences)) >= SMALLEST_DIFFERENCE
        if is_clear and differences[0] * differences[1] < 0:
            reversed_pairs.append((arm, other))
    if reversed_pairs:
        orders = [
            ", ".join(f"{arm} ({values[arm]:.3f})" for arm in sorted(shared, key=lambda arm: -values[arm]))
            for values in (by_first, by_second)
        ]
        yield (
            f"Two judges disagree on the order of the arms: by {first} it is {orders[0]}; by {second} it is "
            f"{orders[1]}. Listen before you choose."
        )
