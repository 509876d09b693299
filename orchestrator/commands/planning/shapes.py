"""The distinct shapes of a sweep's trials: configurations that may take different times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.search_space.domains import Choice, Int, LogInt

if TYPE_CHECKING:
    from orchestrator.search_space.arms import Arm
    from orchestrator.search_space.scalars import Value
    from orchestrator.search_space.sweep import Sweep


@dataclass
class Shape:
    """Configurations that differ at most in numbers with a fraction, such as a learning rate.

    Attributes:
        arm: the first arm that has it, whose resources it gets.
        params: one of the configurations.
        arms: the names of all arms that have it.
    """

    arm: Arm
    params: dict[str, Value]
    arms: list[str] = field(default_factory=list)


def list_shapes(sweep: Sweep) -> list[Shape]:
    """Return the shapes of all arms: choices and whole numbers at their edges, other parameters in their middle."""
    shapes: dict[str, Shape] = {}
    for arm in sweep.arms:
        for params in _configurations(arm):
            whole = {name: value for name, value in params.items() if not isinstance(value, float)}
            key = repr((sorted(whole.items(), key=lambda item: item[0]), arm.resources))
            shape = shapes.setdefault(key, Shape(arm, params))
            if arm.name not in shape.arms:
                shape.arms.append(arm.name)
    return list(shapes.values())


def _configurations(arm: Arm) -> Iterator[dict[str, Value]]:
    """Yield a configuration for each shape of an arm; some may be the same."""
    yield {**arm.compared, **arm.middle()}
    for name, params in arm.corners():
        if isinstance(arm.searched[name], Choice | Int | LogInt):
            yield {**arm.compared, **params}
