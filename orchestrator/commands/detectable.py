"""What a sweep could find: the smallest difference between arms that its final comparison would tell from luck."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.statistics.precision import SD_CONFIGURATIONS, SD_SEEDS, smallest_detectable
from reports.statistics.questions import questions

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

RECORDINGS = (20, 200)
"""Of a small and of a large test split; how many there are is known once the corpus has been read."""
OF_JUDGE = (words.JUDGE_PROBABILITY, words.JUDGE_ACCURACY)
"""Metrics whose spread is assumed below."""


def detectable(sweep: Sweep) -> str:
    """What could be detected, in a line."""
    space, confirm = sweep.space, sweep.space.confirm
    if space.budget.seeds is not None:
        num_configurations, num_seeds = 1, space.budget.seeds
    elif confirm is not None:
        num_configurations, num_seeds = confirm.top, confirm.seeds
    else:
        return "detectable: nothing is tested, since there is no confirm stage; the report will be exploratory"
    of_arms, of_renderings = _planned(sweep)
    if not of_arms:
        return "detectable: nothing is tested, since there is no baseline; the report describes all pairs"
    if space.objective.metric not in OF_JUDGE:
        return f"detectable: not known before, {words.label_of(space.objective.metric)} has a spread of its own"
    num_contrasts = of_arms + of_renderings
    differences = [
        smallest_detectable(num_configurations, num_seeds, number, num_contrasts=num_contrasts) for number in RECORDINGS
    ]
    design = f"{words.amount(num_configurations, 'configuration')} × {words.amount(num_seeds, 'seed')} an arm"
    if None in differences:
        key = "budget.seeds" if confirm is None else "confirm.seeds" if confirm.top == 1 else "confirm.top"
        return f"detectable: nothing with {design}: a test needs three of them; use {key}: 3"
    small, large = (f"{value:.2f}" for value in differences if value is not None)
    return (
        f"detectable: a difference of {small} in {words.label_of(space.objective.metric)} with {RECORDINGS[0]} test "
        f"recordings, of {large} with {RECORDINGS[1]} ({design}, {words.amount(num_contrasts, 'contrast')}, 80 % "
        f"power after Holm; if trainings differ by {SD_SEEDS} and configurations by {SD_CONFIGURATIONS})"
    )


def _planned(sweep: Sweep) -> tuple[int, int]:
    """How many contrasts the report will test, of arms and of renderings."""
    space, rendered = sweep.space, list(sweep.space.evaluate)
    compared = list(space.compare)
    arms = [tuple(str(arm.compared[name]) for name in compared) for arm in sweep.arms]
    models = [(*arm, *map(str, rendering.values())) for arm in arms for rendering in sweep.renderings]
    # As it is compared: to YAML, 1.0 is 1.
    options = {name: {arm.compared[name] for arm in sweep.arms} for name in space.baseline}
    baseline = {name: str(next(x for x in options[name] if x == value)) for name, value in space.baseline.items()}
    at = {name: str(next(x for x in space.evaluate[name] if x == value)) for name, value in space.objective.at.items()}
    of_arms = questions(arms, compared, baseline)
    of_renderings = questions(models, [*compared, *rendered], at, rendered) if rendered else ()
    return sum(question.is_planned for question in of_arms), sum(question.is_planned for question in of_renderings)
