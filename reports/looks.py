"""What it costs to look at the test split more than once, granting more trainings in between until a test finds something.

Whoever tests after three seeds, adds one, tests again and stops at the first p below 0.05 finds a difference between
equal arms far more often than in 5 % of sweeps. So a contrast is tested once, with the trainings that were planned
before the test split was first asked; whatever is granted after that makes it exploratory.

Those who mean to look repeatedly read another p. The k-th look spends `ALPHA` * 6 / (pi² k²), an alpha-spending function
(Lan & DeMets 1983, Biometrika 70, 659) of looks that nobody has to plan: the shares of infinitely many looks add up to
ALPHA, so that by Bonferroni's inequality p * k² * pi² / 6 is below ALPHA at any look in at most that part of sweeps,
whenever one stops: an always-valid p (Johari, Pekelis & Walsh 2022, Operations Research 70, 1806), if it is what is
read at every look, the first one too.
"""

from __future__ import annotations

import math


def price(look: int) -> float:
    """What the p of a look is multiplied by: 1.6 for the first, 6.6 for the second.

    Args:
        look: from 1 on.
    """
    return look**2 * math.pi**2 / 6
