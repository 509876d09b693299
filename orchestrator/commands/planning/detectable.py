"""The power of a sweep's final comparison: the smallest difference between arms that it would detect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.statistics.questions import questions

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.search_space.scalars import Value

RECORDINGS = (20, 200)
"""Sizes of a small and of a large test split; the real size is unknown until the corpus is read."""
OF_JUDGE = (words.JUDGE_PROBABILITY, words.JUDGE_ACCURACY)
"""The metrics whose standard deviations `reports.statistics.precision` has."""


def describe_detectable(sweep: Sweep) -> str:
    """Return a line with the smallest detectable difference, or with the reason why there is none."""
    space, confirm = sweep.space, sweep.space.confirm
    if space.budget.seeds is not None:
        num_configurations, num_seeds = 1, space.budget.seeds
    elif confirm is not None:
        num_configurations, num_seeds = confirm.top, confirm.seeds
    else:
        return "detectable: nothing is tested, since there is no confirm stage; the report will be exploratory"
    of_arms, of_renderings = _count_planned(sweep)
    if not of_arms + of_renderings:
        reason = "there is no baseline; the report describes all pairs" if len(sweep.arms) > 1 else "there is one arm"
        return f"detectable: nothing is tested, since {reason}"
    metric = words.label_of(space.objective.metric)
    if space.objective.metric not in OF_JUDGE:
        return f"detectable: unknown, since the spread of {metric} is unknown before the sweep"
    # Imported only here, because scipy takes a second.
    from reports.statistics.precision import SD_CONFIGURATIONS, SD_SEEDS, smallest_detectable

    num_contrasts = of_arms + of_renderings
    differences = [
        smallest_detectable(num_configurations, num_seeds, number, num_contrasts=num_contrasts) for number in RECORDINGS
    ]
    design = f"{words.amount(num_configurations, 'configuration')} × {words.amount(num_seeds, 'seed')} an arm"
    if None in differences:
        if confirm is None:
            key = "budget.seeds"
        else:
            key = "confirm.seeds" if confirm.top == 1 else "confirm.top"
        return f"detectable: nothing with {design}: a test needs three of them; use {key}: 3"
    small, large = (f"{value:.2f}" for value in differences if value is not None)
    return (
        f"detectable: a difference of {small} in {metric} with {RECORDINGS[0]} test "
        f"recordings, of {large} with {RECORDINGS[1]} ({design}, {words.amount(num_contrasts, 'contrast')}, 80 % "
        f"power after Holm; if trainings differ by {SD_SEEDS} and configurations by {SD_CONFIGURATIONS})"
    )


def _count_planned(sweep: Sweep) -> tuple[int, int]:
    """Return the numbers of contrasts between arms and between renderings that the report will test."""
    space, rendered = sweep.space, list(sweep.space.evaluate)
    compared = list(space.compare)
    arms = [tuple(str(arm.compared[name]) for name in compared) for arm in sweep.arms]
    models = [(*arm, *map(str, rendering.values())) for arm in arms for rendering in sweep.renderings]
    options = {name: {arm.compared[name] for arm in sweep.arms} for name in space.baseline}
    baseline = {name: _spell_level(options[name], value) for name, value in space.baseline.items()}
    at = {name: _spell_level(space.evaluate[name], value) for name, value in space.objective.at.items()}
    of_arms = questions(arms, compared, baseline)
    of_renderings = questions(models, [*compared, *rendered], at, rendered) if rendered else ()
    num_of_arms = sum(question.is_planned for question in of_arms)
    return num_of_arms, sum(question.is_planned for question in of_renderings)


def _spell_level(options: Iterable[Value], level: Value) -> str:
    """Return the compared option that equals a level, as text: a level of 1.0 may be compared as 1."""
    return str(next(option for option in options if option == level))
