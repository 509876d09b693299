"""The arms of a sweep: what each fixes, what it searches, and under which conditions."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.messages import Complain
from orchestrator.search_space.combinations import Cell, check_conditions
from orchestrator.search_space.domains import Domain, Value
from orchestrator.search_space.schema import Resources
from orchestrator.search_space.values import Searched

BETWEEN = 0.382
"""A quantile at which a domain of fractions hardly ever has a whole number, which its bounds and its middle may be."""


@dataclass(frozen=True)
class Arm:
    """One combination of the compared values.

    Attributes:
        name: `loss=vae, normalization=clip_joint`; `all` where nothing is compared.
        compared: what the name says.
        fixed: parameters with one value here.
        searched: parameters that are searched here; a condition only refers to earlier ones.
        when: conditions that depend on other searched parameters.
        resources: what a trial gets.
    """

    name: str
    compared: dict[str, Value]
    fixed: dict[str, Value]
    searched: dict[str, Domain]
    when: dict[str, dict[str, tuple[Value, ...]]]
    resources: Resources

    def is_active(self, name: str, chosen: Mapping[str, Value]) -> bool:
        """Whether a searched parameter has a value, given those of the parameters before it."""
        return all(other in chosen and chosen[other] in values for other, values in self.when.get(name, {}).items())

    def draw(self, choose: Callable[[str, Domain], Value]) -> dict[str, Value]:
        """Values of the searched parameters, asked for one after the other where they are active."""
        chosen: dict[str, Value] = {}
        for name, domain in self.searched.items():
            if self.is_active(name, chosen):
                chosen[name] = choose(name, domain)
        return chosen

    def middle(self, params: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """All parameters of one configuration: those given, the others in the middle of their domains."""
        wanted = params or {}
        return {**self.fixed, **self.draw(lambda name, domain: wanted.get(name, domain.at(0.5)))}

    def corners(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """Configurations that take one searched parameter through its domain, each with that parameter's name.

        Where the conditions of the parameter can't all hold, it is missing from the configuration.
        """
        for name, domain in self.searched.items():
            others = {other: options[0] for other, options in self._needs(name).items() if options}
            for value in (*domain.edges(), domain.at(BETWEEN)):
                yield name, self.middle({**others, name: value})

    def _needs(self, name: str) -> dict[str, list[Value]]:
        """The values that other searched parameters may have where this one is active."""
        needs: dict[str, list[Value]] = {}
        for other, values in self.when.get(name, {}).items():
            allowed = [value for value in values if self.searched[other].takes(value)]
            for key, options in {**self._needs(other), other: allowed}.items():
                needs[key] = [value for value in needs.get(key, options) if value in options]
        return needs


def make_arms(cells: Sequence[Cell], complain: Complain) -> list[tuple[Arm, Cell]]:
    """Decide the conditions of every cell as far as compared and fixed values do; each arm with its cell."""
    for cell in cells:
        for name, searched in _searched(cell).items():
            if searched.when:
                check_conditions(searched.when, cells, (*cell.sources[name], "when"), complain)
    ordered = [(cell, _in_order(cell, complain)) for cell in cells]
    return [(_decide(cell, names), cell) for cell, names in ordered if names is not None]


def _searched(cell: Cell) -> dict[str, Searched]:
    return {name: setting for name, setting in cell.parameters.items() if isinstance(setting, Searched)}


def matching(arms: Sequence[Arm], arm_filter: str | None, where: object) -> list[Arm]:
    """The arms whose compared values include the given ones, such as `loss=vae`; all without.

    Args:
        where: the sweep or the file that has them, for a message.

    Raises:
        UserError: there is none.
    """
    wanted = {part.strip() for part in (arm_filter or "").split(",") if part.strip()}
    matches = [arm for arm in arms if wanted <= {part.strip() for part in arm.name.split(",")}]
    if not matches:
        raise UserError(f"--arm {arm_filter}: {where} has no such arm; it has: {'; '.join(arm.name for arm in arms)}")
    return matches


def _in_order(cell: Cell, complain: Complain) -> Sequence[str] | None:
    """The searched parameters, each behind those that its conditions name; None if they go round in a circle."""
    searched = _searched(cell)
    graph = {
        name: [other for other in parameter.when or () if other in searched] for name, parameter in searched.items()
    }
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = error.args[1]
        message = f"conditions go round in a circle: {' needs '.join(circle[::-1])}"
        complain((*cell.sources[circle[-1]], "when"), message)
        return None


def _decide(cell: Cell, names: Iterable[str]) -> Arm:
    arm = Arm(
        name=cell.name,
        compared=dict(cell.compared),
        fixed={name: value for name, value in cell.parameters.items() if not isinstance(value, Searched)},
        searched={},
        when={},
        resources=cell.resources,
    )
    settled = {**arm.compared, **arm.fixed}
    searched = _searched(cell)
    for name in names:
        open_conditions = {}
        for other, values in (searched[name].when or {}).items():
            if other in settled:
                possible = settled[other] in values
            else:
                # What is neither settled nor searched has no value here.
                possible = other in arm.searched and any(map(arm.searched[other].takes, values))
                open_conditions[other] = values
            if not possible:
                break
        else:
            arm.searched[name] = searched[name].domain
            if open_conditions:
                arm.when[name] = open_conditions
    return arm
