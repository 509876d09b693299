"""Mean ratings of systems with a bootstrap over listeners and clips.

Ratings of one listener are alike, and so are ratings of one clip. The pigeonhole bootstrap draws listeners and clips,
each with replacement, and keeps the ratings where both meet; its intervals are a little too wide rather than too narrow
(Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.listening.answers import StoredAnswer
from reports.listening.design import Design
from reports.listening.statistics import CONFIDENCE, Estimate

Array = NDArray[np.float64]

REPLICATES = 4000
SEED = 0
TAILS = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
"""The percentiles at the ends of an interval."""


@dataclass(frozen=True)
class RatedSystems:
    """The mean ratings of systems.

    Attributes:
        keys: keys of the systems.
        ratings: shape (listeners, clips, systems), NaN where there is none.
        means: shape (systems,).
        replicates: means of the bootstrap, shape (replicates, systems).
    """

    keys: tuple[str, ...]
    ratings: Array
    means: Array
    replicates: Array

    def estimate(self, key: str) -> Estimate:
        """Return the mean of a system with its percentile interval; a single rating has no interval."""
        column = self.keys.index(key)
        count = int(np.isfinite(self.ratings[..., column]).sum())
        if count < 2:
            return Estimate(float(self.means[column]), None, None, count)
        low, high = np.percentile(self.replicates[:, column], TAILS)
        return Estimate(float(self.means[column]), float(low), float(high), count)


def collect_ratings(design: Design, answers: Sequence[StoredAnswer], keys: Sequence[str]) -> Array:
    """Return all ratings of the systems with these keys; shape (listeners, clips, systems), NaN where there is none."""
    listeners = list(dict.fromkeys(answer.listener for answer in answers))
    ratings = np.full((len(listeners), len(design.clips), len(keys)), np.nan)
    column_by_key = {key: column for column, key in enumerate(keys)}
    for answer in answers:
        place = listeners.index(answer.listener), design.clips.index(answer.clip)
        rating_by_key = answer.answer if isinstance(answer.answer, dict) else {answer.systems[0]: answer.rating}
        for key, rating in rating_by_key.items():
            if key in column_by_key:
                ratings[(*place, column_by_key[key])] = rating
    return ratings


def bootstrap_means(ratings: Array, keys: Sequence[str]) -> RatedSystems:
    """Return the mean of each system over listeners and clips, and its replicates.

    Args:
        ratings: shape (listeners, clips, systems), NaN where there is none; each system has at least one.
        keys: keys of the systems.
    """
    is_rated = np.isfinite(ratings)
    filled = np.where(is_rated, ratings, 0.0)
    means = filled.sum(axis=(0, 1)) / is_rated.sum(axis=(0, 1))
    generator = np.random.default_rng(SEED)
    weights = [_draw_weights(generator, size) for size in ratings.shape[:2]]
    sums, counts = (np.einsum("rl,rc,lcs->rs", *weights, values, optimize=True) for values in (filled, is_rated * 1.0))
    # With few answers, a replicate may contain no rating of a system. It then gets the system's mean.
    replicates = np.where(counts > 0, sums / np.maximum(counts, 1e-12), means)
    return RatedSystems(tuple(keys), ratings, means, replicates)


def _draw_weights(generator: np.random.Generator, size: int) -> Array:
    """Return how often each of `size` listeners or clips is drawn; shape (replicates, size)."""
    return generator.multinomial(size, np.full(size, 1 / size), size=REPLICATES).astype(float)
