"""How many votes an adaptive preference test needs, compared with random pairs, until the order of trials is right.

    python tests/benchmarks/listeners.py [--tests 400] [--max-votes 400]

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
from numpy.random import Generator

from reports.listening.bradley_terry import Array, PairVotes, fit_strengths, outcome_probabilities, plan_pairs

STRENGTHS: dict[str, tuple[float, ...]] = {
    "equal distances": (2.0, 1.0, 0.0, -1.0, -2.0),
    "two close pairs": (2.0, 1.4, 0.0, -1.4, -2.0),
    "far and close": (3.0, 1.0, 0.3, -0.4, -3.9),
}
"""Strengths of five trials; at a distance of 1 the better one is preferred 2.7 times as often."""
LOG_TIE = -1.0
SHARE = 0.95


def run_test(strengths: Array, adaptive: bool, max_votes: int, generator: Generator) -> list[bool]:
    """Simulate one test; return whether the order is right after each vote."""
    number = len(strengths)
    wins, ties = np.zeros((number, number)), np.zeros((number, number))
    available = np.ones((number, number))
    pairs = [(first, second) for first in range(number) for second in range(first + 1, number)]
    is_right = []
    for _ in range(max_votes):
        votes = PairVotes(wins, ties)
        first, second = plan_pairs(votes, available, 1)[0] if adaptive else pairs[generator.integers(len(pairs))]
        outcome = generator.choice(3, p=outcome_probabilities(np.array(strengths[first] - strengths[second]), LOG_TIE))
        if outcome == 1:
            ties[first, second] += 1
            ties[second, first] += 1
        else:
            winner, loser = (first, second) if outcome == 0 else (second, first)
            wins[winner, loser] += 1
        estimated = fit_strengths(PairVotes(wins, ties)).values
        is_right.append(bool((np.argsort(-estimated, kind="stable") == np.argsort(-strengths)).all()))
    return is_right


def votes_needed(strengths: Array, adaptive: bool, num_tests: int, max_votes: int) -> int | None:
    """Return from how many votes on the order is right in 95 % of the tests; None if `max_votes` are too few."""
    runs = [
        run_test(strengths, adaptive, max_votes, np.random.default_rng([seed, int(adaptive)]))
        for seed in range(num_tests)
    ]
    share_right = np.mean(runs, axis=0)
    too_low = np.flatnonzero(share_right < SHARE)
    last = int(too_low[-1]) + 1 if len(too_low) else 0
    return None if last >= max_votes else last + 1


def main() -> None:
    """Print the votes needed for each set of strengths as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=400, help="simulated tests of each kind")
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
