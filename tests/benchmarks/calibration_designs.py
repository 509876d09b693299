"""The simulated sweeps of `calibration.py`: what may be asked for, and what may happen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from reports.statistics.precision import SD_CONFIGURATIONS, SD_INTERACTION, SD_PREFERENCE, SD_SEEDS

SD_RECORDINGS = 0.3
NUM_ARMS = 3
NAMES = ["configuration", "seed", "recording"]


@dataclass(frozen=True)
class World:
    """Sweeps of one design, with equal arms.

    Attributes:
        name: of the design.
        num_configurations: of each arm, and drawn anew for each if there are several.
        num_seeds: of each configuration.
        is_searched: whether one configuration is one that a search chose, else it is the arm.
        num_recordings: of the test split.
        factors: how many levels each has; the first one's baseline is tested against.
        sd_configurations: also where there is one, for what is said of arms that are known through one.
        sd_preference: between arms on a recording.
        shared: part of the seeds' variance that trainings of one seed share, in all arms and in those of one level.
        widest: how much wider the first arm's spreads are.
        fewest: seeds of the first arm, if it has fewer than the others.
        bad: part of trainings that fail badly.
        is_probability: whether values are squeezed between 0 and 1, most of them near one of the two.
        is_rendered: whether the levels of the first factor are renderings of the same trainings, which are more alike
            than the renderings differ.
    """

    name: str
    num_configurations: int
    num_seeds: int
    is_searched: bool = True
    num_recordings: int = 40
    factors: tuple[int, ...] = (NUM_ARMS,)
    sd_configurations: float = 0.0
    sd_preference: float = SD_PREFERENCE
    shared: float = 0.0
    widest: float = 1.0
    fewest: int | None = None
    bad: float = 0.0
    is_probability: bool = False
    is_rendered: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.factors, self.num_configurations, self.num_seeds, self.num_recordings)

    def template(self) -> pd.DataFrame:
        """Scores without values."""
        names = [f"factor_{axis}" for axis in range(len(self.factors))] + NAMES
        labels = [[f"{name} {index:03}" for index in range(size)] for name, size in zip(names, self.shape, strict=True)]
        return pd.MultiIndex.from_product(labels, names=names).to_frame(index=False)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Values of one sweep, of the same mean in all arms."""
        *factors, configurations, seeds, recordings = self.shape
        once = [1] * len(factors)
        wide = np.ones((*factors, 1, 1, 1))
        wide[0] = self.widest
        of_seed = rng.normal(0, math.sqrt(self.shared), (*once, 1, seeds, 1))
        of_seed = of_seed + rng.normal(0, math.sqrt(self.shared), (factors[0], *once[1:], 1, seeds, 1))
        of_seed = of_seed + rng.normal(0, math.sqrt(1 - 2 * self.shared), (*factors, configurations, seeds, 1))
        peculiar = rng.normal(0, SD_INTERACTION, self.shape) - 0.3 * (rng.random((*self.shape[:-1], 1)) < self.bad)
        values = (
            rng.normal(0, self.sd_configurations, (*factors, configurations, 1, 1)) * wide
            + SD_SEEDS * of_seed * wide
            + peculiar * wide
            + rng.normal(0, self.sd_preference, (*factors, 1, 1, recordings))
            + rng.normal(0, SD_RECORDINGS, recordings)
        )
        if self.is_rendered:
            once = [1, *self.shape[1:]]
            values = values + rng.normal(0, 5 * SD_SEEDS, (*once[:-1], 1)) + rng.normal(0, SD_INTERACTION, once)
        return expit(10 * values) if self.is_probability else values


def designs() -> list[World]:
    """The designs that search spaces can ask for."""
    found = [World("top 1 x 3 seeds", 1, 3)]
    found += [
        World(f"top {top} x {seeds} seeds", top, seeds, sd_configurations=SD_CONFIGURATIONS)
        for top, seeds in ((2, 1), (3, 1), (3, 3), (5, 2))
    ]
    found += [World(f"seeds: {seeds}", 1, seeds, is_searched=False) for seeds in (2, 3, 5, 10)]
    found += [World("seeds: 3, renderings", 1, 3, is_searched=False, is_rendered=True)]
    return [replace(world, num_recordings=number) for world in found for number in (40, 200)]


def unbalanced() -> list[World]:
    """Two arms of unequal numbers of trainings, of which the smaller may spread more."""
    return [
        World(
            f"seeds: {few} against {many}" + (f", the few spread x {widest}" if widest > 1 else ""),
            1,
            many,
            is_searched=False,
            num_recordings=num_recordings,
            factors=(2,),
            widest=widest,
            fewest=few,
        )
        for few in (2, 3, 5)
        for many in (8, 20)
        for widest in (1, 2, 3)
        for num_recordings in (40, 200, 400)
    ]


def stretched() -> list[World]:
    """What may happen beside what is assumed."""
    seeds = World("seeds: 3", 1, 3, is_searched=False)
    top = World("top 3 x 1 seeds", 3, 1, sd_configurations=SD_CONFIGURATIONS)
    return [
        replace(seeds, name="seeds: 3, probabilities near 0 and 1", is_probability=True),
        replace(top, name="top 3 x 1, probabilities near 0 and 1", is_probability=True),
        replace(seeds, name="seeds: 3, a tenth of trainings fails", bad=0.1),
        replace(seeds, name="seeds: 3, one arm spreads thrice", widest=3),
        replace(top, name="top 3 x 1, one arm spreads thrice", widest=3),
        replace(seeds, name="seeds: 5, one arm spreads thrice", num_seeds=5, widest=3),
        replace(seeds, name="seeds: 3, 2 arms, one spreads thrice", factors=(2,), widest=3),
        replace(seeds, name="seeds: 5, 2 arms, one spreads thrice", num_seeds=5, factors=(2,), widest=3),
        replace(seeds, name="seeds: 3, arms prefer strongly", sd_preference=0.3),
        replace(seeds, name="seeds: 3, no preference", sd_preference=0),
        replace(top, name="top 3 x 1, no preference", sd_preference=0),
        replace(seeds, name="seeds: 3, 3 x 2 arms", factors=(3, 2)),
        replace(seeds, name="seeds: 3, 3 x 2 arms, seeds shared", factors=(3, 2), shared=0.3),
        replace(seeds, name="seeds: 3, 10 arms", factors=(10,)),
        replace(seeds, name="seeds: 2, 10 arms", num_seeds=2, factors=(10,)),
        replace(seeds, name="top 1 x 3 taken for the arm (it is not)", sd_configurations=SD_CONFIGURATIONS),
    ]
