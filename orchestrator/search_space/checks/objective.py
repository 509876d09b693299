"""Checks of the objectives of a search space: their metrics, constraints and renderings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from orchestrator.messages import Complain, KeyPath, quote_value, suggest_name, suggest_option
from orchestrator.search_space.combinations import Cell, format_value
from orchestrator.search_space.schema import SearchSpace

if TYPE_CHECKING:
    from trainables.trainable import Declaration, Metric

DEPENDS_ON = {
    "same_loss": "its scale depends on the loss",
    "same_representation": "it is measured in the units of an arm's own size and normalization",
}
"""Why a metric is not comparable between all trials, by `Metric.comparable`."""


def check_objective(
    space: SearchSpace,
    trainable: type[Declaration],
    metrics: Mapping[str, Metric],
    num_arms: int,
    complain: Complain,
) -> None:
    """Check that the metric of each objective exists, has the given mode, and is comparable between all arms.

    Args:
        space: the search space.
        trainable: the trainable.
        metrics: all metrics of the sweep, also those of added judges.
        num_arms: the number of arms.
        complain: records a mistake.
    """
    objective = space.objective
    name = objective.metric
    if name not in metrics:
        complain(("objective", "metric"), _describe_unknown(name, trainable, metrics))
        return
    if objective.preference and not trainable.can_render():
        complain(("objective", "preference"), f"{trainable.class_name()} makes no sounds that listeners could prefer")
    for constrained in objective.constraints:
        at = ("objective", "constraints", constrained)
        if constrained not in metrics:
            complain(at, _describe_unknown(constrained, trainable, metrics), at_key=True)
        elif constrained == name:
            complain(at, f"{name} is the objective; constraints bound other metrics", at_key=True)
    _check_meaning(name, objective.mode, ("objective", "mode"), metrics, num_arms, complain)
    for further, mode in objective.beside.items():
        at = ("objective", "beside", further)
        if further not in metrics:
            complain(at, _describe_unknown(further, trainable, metrics), at_key=True)
        else:
            _check_meaning(further, mode, at, metrics, num_arms, complain)


def _describe_unknown(name: str, trainable: type[Declaration], metrics: Mapping[str, Metric]) -> str:
    owner = trainable.class_name()
    is_shipped = trainable.__module__.startswith("trainables.")
    place = "docs/search_space_reference.md" if is_shipped else f"{owner}.METRICS"
    descriptions = {metric_name: metric.description for metric_name, metric in metrics.items()}
    return f"unknown metric {name!r}{suggest_name(name, descriptions, f'{owner} reports', place)}"


def _check_meaning(
    name: str, mode: str, at: KeyPath, metrics: Mapping[str, Metric], num_arms: int, complain: Complain
) -> None:
    """Check that an objective has the mode of its metric, and means the same for all arms; `at` has the mode."""
    metric = metrics[name]
    if metric.mode != mode:
        complain(at, f"{name} is better when it is {metric.mode}, got {mode}")
    if metric.comparable != "all" and num_arms > 1:
        others = [other_name for other_name, other in metrics.items() if other.comparable == "all"]
        reason = f"{name} means something else in each arm ({DEPENDS_ON[metric.comparable]})"
        at_name: KeyPath = ("objective", "metric") if at[-1] == "mode" else at
        complain(at_name, f"{reason}; rank by one of: {', '.join(others) or 'none'}")


def check_renderings(space: SearchSpace, trainable: type[Declaration], complain: Complain) -> None:
    """Check that `evaluate` only varies settings of renderings, and that `objective.at` is one of the renderings."""
    allowed = ", ".join(sorted(trainable.RENDERING)) or "none"
    for key in space.evaluate:
        if key not in trainable.RENDERING:
            hint = suggest_option(key, trainable.RENDERING)
            message = f"{key!r} is not a setting of {trainable.class_name()} that a trained model can change{hint}"
            complain(("evaluate", key), f"{message}; those are: {allowed}", at_key=True)
        if key in space.compare:
            complain(("evaluate", key), f"{key} is under compare too; delete one of them", at_key=True)
    for key, value in space.objective.at.items():
        rendered = space.evaluate.get(key, ())
        if value not in rendered:
            rendered_values = ", ".join(map(format_value, rendered)) or "nothing"
            complain(
                ("objective", "at", key), f"{quote_value(value)} is not rendered; evaluate.{key} is: {rendered_values}"
            )


def check_objective_at(space: SearchSpace, cells: Iterable[Cell], complain: Complain) -> None:
    """Check that no other key of the file sets the parameters of `objective.at`."""
    for key in space.objective.at:
        others = [cell.sources[key] for cell in cells if cell.sources[key][0] != "objective"]
        if key in space.params:
            others.append(("params", key))
        if others:
            complain(others[0], f"objective.at sets {key} too; delete one of them", at_key=True)
