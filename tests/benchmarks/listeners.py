"""How many votes an adaptive preference test needs, compared with random pairs, until the order of trials is right.

    python tests/benchmarks/listeners.py [--tests 1000] [--max-votes 400]

Simulated listeners vote as Davidson's model says, for trials of known strengths. After every vote the strengths are
estimated from all votes so far. The result of each way to choose pairs is the least number of votes from which on the
estimated order was right in 95 % of the simulated tests.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from reports.listening.bradley_terry import (
    Array,
    PairVotes,
    fit_strengths,
    order_information,
    outcome_probabilities,
)

STRENGTHS: dict[str, tuple[float, ...]] = {
    "equal distances": (2.0, 1.0, 0.0, -1.0, -2.0),
    "two close pairs": (2.0, 1.4, 0.0, -1.4, -2.0),
    "far and close": (3.0, 1.0, 0.3, -0.4, -3.9),
}
"""Strengths of five trials; at a distance of 1 the better one is preferred 2.7 times as often."""
LOG_TIE = -1.0
SHARE = 0.95


def simulate(strengths: Array, adaptive: bool, num_tests: int, max_votes: int) -> Array:
    """Simulate tests side by side; return whether the order is right after each vote, shape (tests, votes)."""
    number, tests = len(strengths), np.arange(num_tests)
    generator = np.random.default_rng([num_tests, int(adaptive)])
    firsts, seconds = np.triu_indices(number, k=1)
    wins, ties = np.zeros((num_tests, number, number)), np.zeros((num_tests, number, number))
    is_right = np.zeros((num_tests, max_votes), dtype=bool)
    fitted = fit_strengths(PairVotes(wins, ties))
    for vote in range(max_votes):
        if adaptive:
            pairs = order_information(fitted)[:, firsts, seconds].argmax(axis=1)
        else:
            pairs = generator.integers(len(firsts), size=num_tests)
        first, second = firsts[pairs], seconds[pairs]
        probabilities = outcome_probabilities(strengths[first] - strengths[second], LOG_TIE)
        outcomes = (generator.random(num_tests)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
        np.add.at(wins, (tests, first, second), outcomes == 0)
        np.add.at(wins, (tests, second, first), outcomes == 2)
        for pair in ((first, second), (second, first)):
            np.add.at(ties, (tests, *pair), outcomes == 1)
        fitted = fit_strengths(PairVotes(wins, ties))
        is_right[:, vote] = (np.argsort(-fitted.values, axis=1, kind="stable") == np.argsort(-strengths)).all(axis=1)
    return is_right


def votes_needed(strengths: Array, adaptive: bool, num_tests: int, max_votes: int) -> int | None:
    """Return from how many votes on the order is right in 95 % of the tests; None if `max_votes` are too few."""
    share_right = simulate(strengths, adaptive, num_tests, max_votes).mean(axis=0)
    too_low = np.flatnonzero(share_right < SHARE)
    last = int(too_low[-1]) + 1 if len(too_low) else 0
    return None if last >= max_votes else last + 1


def main() -> None:
    """Print the votes needed for each set of strengths as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=1000, help="simulated tests of each kind")
    parser.add_argument("--max-votes", type=int, default=400, help="votes of each test")
    arguments = parser.parse_args()
    for name, values in STRENGTHS.items():
        strengths = np.array(values)
        adaptive, random_pairs = (
            votes_needed(strengths, is_adaptive, arguments.tests, arguments.max_votes) for is_adaptive in (True, False)
        )
        ratio = None if adaptive is None or random_pairs is None else round(adaptive / random_pairs, 3)
        row = {"strengths": name, "adaptive": adaptive, "random": random_pairs, "ratio": ratio}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
