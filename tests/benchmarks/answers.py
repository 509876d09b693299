"""What the shipped search spaces answered: each arm against its baseline, paired by seed.

    orchestrate sweep search_spaces/ && python tests/benchmarks/answers.py [--home runs]

prints, for each sweep, what search_spaces/README.md sums up: every arm and by how much it differs from the baseline,
with the 95 % confidence interval over seeds. With `budget.seeds` that is the mean difference between trials of the same
seed (Student's t); where arms were searched, that between the trials of the confirm stage (Welch's t); single best
trials have no interval.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from scipy.stats import ttest_ind

from orchestrator.cells import rendering_name
from orchestrator.home import sweep_names
from orchestrator.ledger import Ledger
from orchestrator.summary import margin
from orchestrator.trial import Objective, Trial
from reports import vocabulary as words


@dataclass(frozen=True)
class Contrast:
    """One arm against the baseline; the interval is that of the difference."""

    arm: str
    mean: float
    difference: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        spread = "no interval" if self.interval is None else "{:+.3f} to {:+.3f}".format(*self.interval)
        return f"{self.arm}: {self.mean:.3f} ({self.difference:+.3f}, {spread})"


def contrasts(ledger: Ledger, objective: Objective, baseline: str, metric: str) -> list[Contrast]:
    """Every arm against the baseline, best first, in a metric at the best epochs."""
    trials = list(ledger.trials.values())
    confirmed = [trial for trial in trials if trial.stage == words.STAGE_CONFIRM]
    is_searched = any(trial.searched for trial in trials)
    best_of: Callable[..., float] = max if objective.mode == "max" else min
    pick = best_of if is_searched and not confirmed else None
    by_arm: dict[str, dict[int, float]] = {}
    for trial in confirmed or trials:
        value = _value(trial, objective, metric)
        if value is not None:
            by_arm.setdefault(trial.arm, {})[trial.seed] = value
    found = [
        _contrast(arm, values, by_arm.get(baseline, {}), is_paired=not is_searched, pick=pick)
        for arm, values in by_arm.items()
    ]
    return sorted(found, key=lambda each: each.mean, reverse=objective.mode == "max")


def _contrast(
    arm: str,
    values: Mapping[int, float],
    baseline: Mapping[int, float],
    *,
    is_paired: bool,
    pick: Callable[..., float] | None,
) -> Contrast:
    one, other = list(values.values()), list(baseline.values())
    if pick is not None:
        return Contrast(arm, pick(one), pick(one) - pick(other, default=math.nan), None)
    if is_paired:
        shared = [seed for seed in values if seed in baseline]
        differences = [values[seed] - baseline[seed] for seed in shared]
        difference = statistics.fmean(differences) if differences else math.nan
        half = margin(differences) if len(differences) > 1 else None
        interval = None if half is None else (difference - half, difference + half)
        return Contrast(arm, statistics.fmean(one), difference, interval)
    difference = statistics.fmean(one) - statistics.fmean(other)
    interval = None
    if min(len(one), len(other)) > 1:
        low, high = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
        interval = (float(low), float(high))
    return Contrast(arm, statistics.fmean(one), difference, interval)


def _value(trial: Trial, objective: Objective, metric: str) -> float | None:
    row = objective.best_row(trial)
    if row is None or trial.outcome != words.OUTCOME_COMPLETED:
        return None
    value: float | None = row["metrics"].get(metric)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("runs"))
    parser.add_argument("--metric", help="another one than each sweep's objective")
    arguments = parser.parse_args()
    for name in sweep_names(arguments.home):
        folder = arguments.home / name
        space = YAML(typ="safe", pure=True).load((folder / "search_space.yaml").read_text())
        ledger = Ledger(folder, read_only=True)
        objective = Objective(space["objective"]["metric"], space["objective"]["mode"])
        metric = arguments.metric or objective.metric
        compared = next(iter(ledger.trials.values())).compared
        baseline = rendering_name({key: space["baseline"][key] for key in compared}) if compared else "all"
        outcomes = [trial.outcome for trial in ledger.trials.values()]
        counts = ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))
        print(f"\n## {name}: {metric}, {ledger.seconds_run() / 60:.0f} min, {counts}; against {baseline}")
        for contrast in contrasts(ledger, objective, baseline, metric):
            print(f"- {contrast}")
        _print_renderings(ledger, metric)


def _print_renderings(ledger: Ledger, metric: str) -> None:
    found: dict[tuple[str, str], list[float]] = {}
    for trial in ledger.trials.values():
        for rendering in trial.renderings:
            if metric in rendering["metrics"]:
                found.setdefault((trial.arm, rendering["name"]), []).append(rendering["metrics"][metric])
    for (arm, name), values in found.items():
        spread = f" ± {margin(values):.3f}" if len(values) > 1 else ""
        print(f"  - {arm}, {name}: {statistics.fmean(values):.3f}{spread}")


if __name__ == "__main__":
    main()
