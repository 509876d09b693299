"""A sweep: what a search space describes after all checks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.plugins import loader
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace

if TYPE_CHECKING:
    from trainables.trainable import Declaration, Metric, Trainable


@dataclass(frozen=True)
class Sweep:
    """One run of a search space.

    Attributes:
        name: the name of the sweep, of its folder and of its runs in MLflow.
        path: the path of the file, as the user gave it.
        space: the contents of the file.
        arms: the combinations of the compared values, without the skipped ones.
        skipped: a line for each skipped combination, with the reason.
        text: the search space as YAML, with preset, options and absolute paths; it gives the same sweep when it is read
            from another folder.
        declaration: the settings and metrics of the trainable.
        judges: the settings of each judge that is added to the own one; `name` is a registered name.
        judge_files: the files that register some of them.
        metrics: the metrics of trials by name, also those of added judges.
        remarks: messages about settings that were removed from the file, one line each.
    """

    name: str
    path: Path
    space: SearchSpace
    arms: tuple[Arm, ...]
    skipped: tuple[str, ...]
    text: str
    declaration: type[Declaration]
    judges: tuple[dict[str, Value], ...] = ()
    judge_files: tuple[Path, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def components(self) -> tuple[Path, ...]:
        """The files that register parts, those of judges included."""
        return (*self.space.components, *self.judge_files)

    @property
    def trainable(self) -> type[Trainable]:
        """The class that trials run; importing one of this repository imports torch."""
        if issubclass(self.declaration, loader.Trainable):
            # The user's file may have been changed since.
            return self.declaration
        return loader.load_trainable(self.space.trainable_reference, self.path.parent)

    @property
    def renderings(self) -> list[dict[str, Value]]:
        """The settings of each rendering of a trained model."""
        return renderings(self.space)

    @property
    def can_be_confirmed(self) -> bool:
        """Whether a confirm stage, which this sweep has not, would test what its search finds."""
        is_search = self.space.confirm is None and self.space.budget.seeds is None
        return is_search and self.declaration.can_evaluate() and any(arm.searched for arm in self.arms)

    def settings(self) -> Iterator[dict[str, Value]]:
        """Yield configurations of each arm: in the middle and at the edges of its domains, and with each rendering."""
        for arm in self.arms:
            yield arm.middle()
            yield from (corner for _, corner in arm.corners())
            yield from (arm.middle() | rendering for rendering in self.renderings)


def renderings(space: SearchSpace) -> list[dict[str, Value]]:
    """Return the combinations of the values of `evaluate`; none if it is empty."""
    combinations = itertools.product(*space.evaluate.values()) if space.evaluate else ()
    return [dict(zip(space.evaluate, combination, strict=True)) for combination in combinations]
