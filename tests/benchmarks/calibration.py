"""How often the report calls arms different that are not, and how often it finds a difference that is there.

    python tests/benchmarks/calibration.py [--sweeps 2000]

Every simulated sweep has recordings that are hard for all, arms that prefer other recordings, configurations, seeds,
and what is peculiar to a training on a recording, spread as `reports.statistics.precision` assumes; the tests are the
report's. `false` is the part of sweeps of equal arms in which any test says `different`, all of them together (Holm);
`covered` the part of 95 % intervals that contain the true difference; `found` the part of sweeps in which an arm that
is better by `difference` is found, of a quarter as many sweeps: four in five, as `smallest_detectable` foretells, fewer
of renderings, since trainings that are compared with themselves have half the degrees of freedom. The second table has
two arms of which one has fewer trainings, which may spread more; with two trainings nothing is tested. The third
stretches the assumptions. The last one has what people do, where arms prefer no recordings, which would hide it: they
look after three seeds and grant one more until a test says `different`, or the worse seeds of an arm diverge. Indented
below is what would come out if the report took no notice. Behind ± is the standard error. It ends with 1 if the report
says `different` too often: more than 5 % by twice the standard error."""

from __future__ import annotations

import argparse
import gc
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from reports.statistics.contrast import Contrast, adjust_p
from reports.statistics.contrasts import contrasts
from reports.statistics.looks import look_penalty
from reports.statistics.precision import smallest_detectable
from tests.benchmarks.calibration_designs import NUM_ARMS, World, designs, stretched, unbalanced

ALLOWED = 0.05


def compare(world: World, table: pd.DataFrame, values: np.ndarray) -> tuple[list[bool], list[bool]]:
    """Of each contrast: whether a test says `different`, whether its interval contains 0."""
    factors = [f"factor_{axis}" for axis in range(len(world.factors))]
    baseline = {factor: f"{factor} {size - 1:03}" for factor, size in zip(factors, world.factors, strict=True)}
    within = factors[:1] if world.is_rendered else []
    scores = table.assign(value=values.ravel())
    if world.fewest is not None:
        kept = [f"seed {index:03}" for index in range(world.fewest)]
        scores = scores[(scores[factors[0]] != f"{factors[0]} 000") | scores["seed"].isin(kept)]
    found = adjust_p(contrasts(scores, factors, baseline, is_searched=world.is_searched, within=within))
    return [each.is_distinguishable for each in found], [(each.low or 0) <= 0 <= (each.high or 0) for each in found]


def with_error(part: float, number: int) -> str:
    """In per cent, such as `4.1 ± 0.4`."""
    return f"{100 * part:.1f} ± {100 * math.sqrt(part * (1 - part) / number):.1f}"


def equal_arms(world: World, num_sweeps: int, rng: np.random.Generator) -> tuple[float, float]:
    """How often any test says `different`, and how many intervals contain the truth."""
    table = world.template()
    sweeps = [compare(world, table, world.draw(rng)) for _ in range(num_sweeps)]
    covered = [contains for _, intervals in sweeps for contains in intervals]
    return float(np.mean([any(different) for different, _ in sweeps])), float(np.mean(covered))


def better_arm(world: World, num_sweeps: int, rng: np.random.Generator) -> tuple[float, float]:
    """The difference that should be found four times in five, and how often it is."""
    table = world.template()
    difference = smallest_detectable(
        world.num_configurations, world.num_seeds, world.num_recordings, num_contrasts=NUM_ARMS - 1
    )
    if difference is None:
        return math.nan, 0.0
    added = np.zeros((NUM_ARMS, 1, 1, 1))
    added[0] = difference
    found = [compare(world, table, world.draw(rng) + added)[0][0] for _ in range(num_sweeps)]
    return difference, float(np.mean(found))


def contrast_of(table: pd.DataFrame, look: int = 1, **reasons: dict[tuple[str, ...], str]) -> Contrast:
    """The one contrast of two arms, as the report has it."""
    found = contrasts(table, ["factor_0"], {"factor_0": "factor_0 001"}, is_searched=False, **reasons)
    return adjust_p(found, look)[0]


def looked_at(num_sweeps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often equal arms are told apart by those who look after 3 seeds, grant one more, and so on up to 10."""
    world = World("seeds: 10", 1, 10, is_searched=False, factors=(2,), num_recordings=200, sd_preference=0)
    table = world.template()
    seeds = sorted(set(table["seed"]))
    counts = dict.fromkeys(
        (
            "3 seeds, then +1 up to 10, until `different`",
            "the same, by the p for repeated looks",
            "  the same p always",
        ),
        0,
    )
    granted = {(f"factor_0 {index:03}",): "more was granted" for index in range(2)}
    for _ in range(num_sweeps):
        scores = table.assign(value=world.draw(rng).ravel())
        verdicts: list[tuple[bool, bool, bool]] = []
        for look, num_seeds in enumerate(range(3, 11), start=1):
            seen = scores[scores["seed"].isin(seeds[:num_seeds])]
            contrast = contrast_of(seen, look, unsettled={} if look == 1 else granted)
            repeated = contrast.p_repeated if look > 1 else look_penalty(1) * (contrast.p_adjusted or 1)
            verdicts.append((contrast.is_distinguishable, (repeated or 1) < ALLOWED, (contrast.p or 1) < ALLOWED))
        for name, said in zip(counts, np.any(verdicts, axis=0), strict=True):
            counts[name] += bool(said)
    return {name: count / num_sweeps for name, count in counts.items()}


def diverged(num_sweeps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often equal arms are told apart of which one lost the worse half of its seeds."""
    world = World("seeds: 6", 1, 6, is_searched=False, factors=(2,), num_recordings=200, sd_preference=0)
    table = world.template()
    counts = dict.fromkeys(("seeds: 6, an arm's worse half diverges", "  tested without them"), 0)
    for _ in range(num_sweeps):
        scores = table.assign(value=world.draw(rng).ravel())
        own = scores[scores["factor_0"] == "factor_0 000"].groupby("seed")["value"].mean()
        lost = own.nsmallest(3).index
        left = scores[(scores["factor_0"] != "factor_0 000") | ~scores["seed"].isin(lost)]
        why = {("factor_0 000",): "3 of 6 seeds diverged"}
        for name, contrast in zip(counts, (contrast_of(left, broken=why), contrast_of(left)), strict=True):
            counts[name] += contrast.is_distinguishable
    return {name: count / num_sweeps for name, count in counts.items()}


def is_too_often(false: float, num_sweeps: int) -> bool:
    """Whether it is more than what is allowed by twice the standard error."""
    return false > ALLOWED + 2 * math.sqrt(ALLOWED * (1 - ALLOWED) / num_sweeps)


def tell(worlds: Sequence[World], num_sweeps: int, *, with_difference: bool) -> list[str]:
    """Print a line a world as it is done; returns the names of those that say `different` too often."""
    too_often = []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([number, len(worlds)])
        false, covered = equal_arms(world, num_sweeps, rng)
        line = f"{world.name:<40}{world.num_recordings:>11}{with_error(false, num_sweeps):>13}{100 * covered:>10.1f}"
        if with_difference:
            difference, found = better_arm(world, num_sweeps // 4, rng)
            foretold = f"{difference:>12.3f}{with_error(found, num_sweeps // 4):>13}"
            line += f"{'not tested':>25}" if math.isnan(difference) else foretold
        print(line, flush=True)
        if is_too_often(false, num_sweeps):
            too_often.append(world.name)
    return too_often


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=2000)
    given = parser.parse_args()
    # Holm's procedure in statsmodels collects garbage at every call.
    gc.freeze()
    heading = f"{'':<40}{'recordings':>11}{'false, %':>13}{'covered':>10}"
    print(f"{given.sweeps} sweeps a line, {NUM_ARMS} arms\n\n{heading}{'difference':>12}{'found, %':>13}")
    too_often = tell(designs(), given.sweeps, with_difference=True)
    print(f"\ntwo arms, unbalanced\n\n{heading}")
    too_often += tell(unbalanced(), given.sweeps, with_difference=False)
    print(f"\nassumptions stretched\n\n{heading}")
    tell(stretched(), given.sweeps, with_difference=False)
    print(f"\nwhat people do\n\n{heading.removesuffix('covered').rstrip()}")
    rng = np.random.default_rng(0)
    for name, false in (looked_at(given.sweeps, rng) | diverged(given.sweeps, rng)).items():
        print(f"{name:<51}{with_error(false, given.sweeps):>13}", flush=True)
        if is_too_often(false, given.sweeps) and not name.startswith(" "):
            too_often.append(name)
    if too_often:
        raise SystemExit(f"\nfalse more often than {ALLOWED:.0%}: {', '.join(too_often)}")
    print(f"\nno design is false more often than {ALLOWED:.0%}, within twice the standard error")


if __name__ == "__main__":
    main()
