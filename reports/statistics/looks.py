"""Correction of p values for repeated looks at the test split (optional stopping).

Testing after three seeds, adding a seed, testing again and stopping at the first p below 0.05 finds a difference
between equal arms in far more than 5 % of sweeps. So a contrast is tested once, with the trainings that were planned
before the first look at the test split. Trainings that are added after that make it exploratory.

For exploratory contrasts there is a p that stays valid under repeated looks. The k-th look spends
`ALPHA` * 6 / (pi² k²): alpha spending (Lan & DeMets 1983, Biometrika 70, 659) with no limit on the number of looks.
The shares of infinitely many looks add up to ALPHA. So by Bonferroni's inequality, p * k² * pi² / 6 falls below ALPHA
at any look in at most that share of sweeps, whenever one stops. It is an always-valid p (Johari, Pekelis & Walsh 2022,
Operations Research 70, 1806), provided that this p alone is used at every look, at the first one, too.
"""

from __future__ import annotations

import math


def look_penalty(look: int) -> float:
    """Return the factor by which the p of a look is multiplied: 1.6 at the first look, 6.6 at the second.

    Args:
        look: number of the look, from 1.
    """
    return look**2 * math.pi**2 / 6
