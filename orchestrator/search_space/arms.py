"""The arms of a sweep: their fixed parameters, their searched parameters, and the conditions of these."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.messages import Complain
from orchestrator.search_space.combinations import Cell, check_conditions
from orchestrator.search_space.domains import Domain
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.section import Resources
from orchestrator.search_space.values import Searched

BETWEEN = 0.382
"""A quantile between the middle and the bounds of a domain, where a continuous domain hardly ever has an integer."""


@dataclass(frozen=True)
class Arm:
    """One combination of the compared values.

    Attributes:
        name: the compared values, as in `loss=vae, normalization=clip_joint`; `all` where nothing is compared.
        compared: the compared values, by parameter.
        fixed: the parameters that have one value in this arm.
        searched: the domains of the searched parameters; the condition of a parameter only refers to earlier ones.
        when: the conditions of searched parameters that depend on other searched parameters.
        resources: the resources of each trial.
    """

    name: str
    compared: dict[str, Value]
    fixed: dict[str, Value]
    searched: dict[str, Domain]
    when: dict[str, dict[str, tuple[Value, ...]]]
    resources: Resources

    def is_active(self, name: str, chosen: Mapping[str, Value]) -> bool:
        """Return whether the conditions of a searched parameter hold.

        Args:
            name: the parameter.
            chosen: the values of the parameters before it.
        """
        conditions = self.when.get(name, {})
        return all(other in chosen and chosen[other] in values for other, values in conditions.items())

    def draw(self, choose: Callable[[str, Domain], Value]) -> dict[str, Value]:
        """Return a value for each active searched parameter.

        Args:
            choose: returns a value of a parameter, given its name and domain; it is called in the order of `searched`.
        """
        chosen: dict[str, Value] = {}
        for name, domain in self.searched.items():
            if self.is_active(name, chosen):
                chosen[name] = choose(name, domain)
        return chosen

    def middle(self, params: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """Return all parameters of one configuration: those given, and the others in the middle of their domains."""
        given = params or {}
        return {**self.fixed, **self.draw(lambda name, domain: given.get(name, domain.at(0.5)))}

    def corners(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """Yield the name of each searched parameter with configurations that have it at values across its domain.

        If the conditions of the parameter can't all hold, it is missing from the configuration.
        """
        for name, domain in self.searched.items():
            others = {other: options[0] for other, options in self._needs(name).items() if options}
            for value in (*domain.edges(), domain.at(BETWEEN)):
                yield name, self.middle({**others, name: value})

    def _needs(self, name: str) -> dict[str, list[Value]]:
        """Return the values that other searched parameters may have where this one is active."""
        needs: dict[str, list[Value]] = {}
        for other, values in self.when.get(name, {}).items():
            allowed = [value for value in values if self.searched[other].takes(value)]
            for key, options in {**self._needs(other), other: allowed}.items():
                needs[key] = [value for value in needs.get(key, options) if value in options]
        return needs


def make_arms(cells: Sequence[Cell], complain: Complain) -> list[tuple[Arm, Cell]]:
    """Make the arm of every cell; conditions on compared and fixed values are decided here.

    Returns:
        Each arm with its cell; a cell whose conditions are circular has none.
    """
    for cell in cells:
        for name, searched in _searched_parameters(cell).items():
            if searched.when:
                check_conditions(searched.when, cells, (*cell.sources[name], "when"), complain)
    arms = []
    for cell in cells:
        names = _sort_parameters(cell, complain)
        if names is not None:
            arms.append((_decide(cell, names), cell))
    return arms


def _searched_parameters(cell: Cell) -> dict[str, Searched]:
    return {name: setting for name, setting in cell.parameters.items() if isinstance(setting, Searched)}


def select_arms(arms: Sequence[Arm], arm_filter: str | None, where: object) -> list[Arm]:
    """Return the arms whose compared values include the given ones.

    Args:
        arms: all arms.
        arm_filter: values such as `loss=vae`, with commas between them; None for all arms.
        where: the sweep or the file that has the arms, for the message.

    Raises:
        UserError: no arm matches.
    """
    wanted = {part.strip() for part in (arm_filter or "").split(",") if part.strip()}
    matches = []
    for arm in arms:
        if wanted <= {part.strip() for part in arm.name.split(",")}:
            matches.append(arm)
    if not matches:
        raise UserError(f"--arm {arm_filter}: {where} has no such arm; it has: {'; '.join(arm.name for arm in arms)}")
    return matches


def _sort_parameters(cell: Cell, complain: Complain) -> Sequence[str] | None:
    """Return the searched parameters, each after those that its conditions name; None if conditions are circular."""
    searched = _searched_parameters(cell)
    graph = {}
    for name, parameter in searched.items():
        graph[name] = [other for other in parameter.when or () if other in searched]
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = error.args[1]
        message = f"conditions go round in a circle: {' needs '.join(circle[::-1])}"
        complain((*cell.sources[circle[-1]], "when"), message)
        return None


def _decide(cell: Cell, names: Iterable[str]) -> Arm:
    """Return the arm of a cell.

    Args:
        cell: the cell.
        names: its searched parameters, each after those that its conditions name.
    """
    arm = Arm(
        name=cell.name,
        compared=dict(cell.compared),
        fixed={name: value for name, value in cell.parameters.items() if not isinstance(value, Searched)},
        searched={},
        when={},
        resources=cell.resources,
    )
    settled = {**arm.compared, **arm.fixed}
    searched = _searched_parameters(cell)
    for name in names:
        open_conditions = {}
        for other, values in (searched[name].when or {}).items():
            if other in settled:
                possible = settled[other] in values
            else:
                # A parameter that is neither settled nor searched has no value in this arm.
                possible = other in arm.searched and any(map(arm.searched[other].takes, values))
                open_conditions[other] = values
            if not possible:
                break
        else:
            arm.searched[name] = searched[name].domain
            if open_conditions:
                arm.when[name] = open_conditions
    return arm
