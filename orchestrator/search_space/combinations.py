"""The combinations of compared values with their parameters, before the conditions (`when`) of these are decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.messages import Complain, KeyPath, quote_value, suggest_option
from orchestrator.search_space.domains import Choice
from orchestrator.search_space.names import param_problem
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.section import Resources
from orchestrator.search_space.values import Comparison, Parameter, Searched
from orchestrator.terminal import escape_controls

MAX_CELLS = 1000
"""The most combinations of compared values, including skipped ones; reading so many takes a minute."""
Wanted = Mapping[str, tuple[Value, ...]]
"""A condition: for each parameter its allowed values."""


@dataclass(frozen=True)
class Cell:
    """One combination of compared values.

    Attributes:
        compared: the compared values, by key of `compare`; for bundles their names.
        parameters: the value or the domain of each parameter.
        sources: the path in the file at which each parameter is set.
        resources: the resources of each trial.
    """

    compared: Mapping[str, Value] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    sources: Mapping[str, KeyPath] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)

    @property
    def name(self) -> str:
        """The name of its arm."""
        return rendering_name(self.compared) or "all"

    def with_parameters(self, parameters: Mapping[str, Parameter], sources: Mapping[str, KeyPath]) -> Cell:
        """Return a copy of the cell in which more parameters are set, or set to other values."""
        return replace(self, parameters={**self.parameters, **parameters}, sources={**self.sources, **sources})

    def settings(self) -> dict[str, Parameter]:
        """Return everything that a condition may refer to: parameters, and the names of bundles."""
        return {**self.compared, **self.parameters}

    def meets(self, wanted: Wanted) -> bool:
        """Return whether the compared and fixed values meet a condition."""
        settings = self.settings()
        return all(name in settings and settings[name] in values for name, values in wanted.items())


def check_params(space: SearchSpace, complain: Complain) -> set[str]:
    """Check the names of all parameters, which become params in MLflow; return the names that are refused."""
    paths: list[KeyPath] = []
    for section, names in (("compare", space.compare), ("params", space.params), ("evaluate", space.evaluate)):
        paths += [(section, name) for name in names]
    for key, comparison in space.compare.items():
        bundles = comparison if isinstance(comparison, dict) else {}
        for bundle, parameters in bundles.items():
            paths += [("compare", key, bundle, name) for name in parameters]
    for index, change in enumerate(space.arms):
        paths += [("arms", index, "params", name) for name in change.params]
    refused = set()
    for path in paths:
        name = str(path[-1])
        if problem := param_problem(name):
            complain(path, problem, at_key=True)
            refused.add(name)
    return refused


def make_cells(space: SearchSpace, complain: Complain) -> tuple[list[Cell], list[str]]:
    """Cross the compared values, leave out the combinations of `skip`, and apply `arms`.

    Returns:
        The cells in the order of the file, where the last comparison changes fastest; and a line for each skipped one.
    """
    num_cells = math.prod(len(comparison) for comparison in space.compare.values())
    if num_cells > MAX_CELLS:
        message = (
            f"makes {num_cells:,} combinations, each an arm with a study of its own; at most {MAX_CELLS:,} are run"
        )
        complain(("compare",), message)
        return [], []
    _check_comparisons(space, complain)
    cells, skipped = _skip(space, list(_cross(space)), complain)
    return _change(space, cells, complain), skipped


def _cross(space: SearchSpace) -> Iterator[Cell]:
    """Yield the cell of each combination of compared values."""
    base = Cell(resources=space.resources).with_parameters(space.params, _paths_below(("params",), space.params))
    base = base.with_parameters(space.objective.at, _paths_below(("objective", "at"), space.objective.at))
    choices = [_choices(key, comparison) for key, comparison in space.compare.items()]
    for combination in itertools.product(*choices):
        cell = base
        for _, parameters, sources in combination:
            cell = cell.with_parameters(parameters, sources)
        compared = {key: value for key, (value, _, _) in zip(space.compare, combination, strict=True)}
        yield replace(cell, compared=compared)


def _choices(key: str, comparison: Comparison) -> list[tuple[Value, Mapping[str, Parameter], Mapping[str, KeyPath]]]:
    """Return (value, parameters that it sets, their paths in the file) for each value of a comparison."""
    if isinstance(comparison, dict):
        return [(name, bundle, _paths_below(("compare", key, name), bundle)) for name, bundle in comparison.items()]
    return [(value, {key: value}, {key: ("compare", key, index)}) for index, value in enumerate(comparison)]


def _paths_below(path: KeyPath, names: Mapping[str, Parameter]) -> dict[str, KeyPath]:
    return {name: (*path, name) for name in names}


def _check_comparisons(space: SearchSpace, complain: Complain) -> None:
    """Check that no two comparisons set the same parameter, and the values of each."""
    setters: dict[str, str] = {}
    for key, comparison in space.compare.items():
        if not isinstance(comparison, dict):
            _check_values(space, key, comparison, complain)
        for _, parameters, sources in _choices(key, comparison):
            for name in parameters:
                first = setters.setdefault(name, key)
                if first != key:
                    complain(sources[name], f"compare.{first} sets {name} too; one of them has to go", at_key=True)


def _check_values(space: SearchSpace, key: str, values: tuple[Value, ...], complain: Complain) -> None:
    if key in space.params:
        complain(("params", key), f"{key} is under compare too; delete one of them", at_key=True)
    for index, value in enumerate(values):
        if format_value(value) in map(format_value, values[:index]):
            complain(("compare", key, index), f"{quote_value(value)} is compared twice, which makes the same arm twice")


def _skip(space: SearchSpace, cells: list[Cell], complain: Complain) -> tuple[list[Cell], list[str]]:
    """Return the cells that `skip` leaves, and a line for each other one."""
    skipped: dict[str, str] = {}
    for index, wanted in enumerate(space.skip):
        for cell in _pick(wanted, cells, ("skip", index), complain):
            skipped.setdefault(cell.name, f"{cell.name} (skip: {format_conditions(wanted)})")
    kept = [cell for cell in cells if cell.name not in skipped]
    if not kept:
        complain(("skip",), f"skips all {len(cells)} arms; at least one has to stay")
    return kept, list(skipped.values())


def _change(space: SearchSpace, cells: list[Cell], complain: Complain) -> list[Cell]:
    """Return the cells with the changes of `arms`."""
    changed = {cell.name: cell for cell in cells}
    for index, change in enumerate(space.arms):
        for name in change.params.keys() & space.compare.keys():
            complain(("arms", index, "params", name), f"{name} is compared, so an arm can't change it", at_key=True)
        sources = _paths_below(("arms", index, "params"), change.params)
        resources = {name: getattr(change.resources, name) for name in change.resources.model_fields_set}
        for cell in _pick(change.when, cells, ("arms", index, "when"), complain):
            before = changed[cell.name]
            after = replace(before, resources=before.resources.model_copy(update=resources))
            changed[cell.name] = after.with_parameters(change.params, sources)
    return list(changed.values())


def _pick(wanted: Wanted, cells: Sequence[Cell], path: KeyPath, complain: Complain) -> list[Cell]:
    """Return the cells that meet a condition of `skip` or `arms`; it is a mistake if there are none."""
    picked = [cell for cell in cells if cell.meets(wanted)]
    searched = {name for cell in cells for name in wanted if isinstance(cell.settings().get(name), Searched)}
    for name in searched:
        message = f"{name} is searched inside arms, so it can't pick arms; compared and fixed parameters can"
        complain((*path, name), message, at_key=True)
    settled = {name: values for name, values in wanted.items() if name not in searched}
    if check_conditions(settled, cells, path, complain) and cells and not picked and not searched:
        complain(path, f"no arm has {format_conditions(wanted)}")
    return picked


def check_conditions(wanted: Wanted, cells: Sequence[Cell], path: KeyPath, complain: Complain) -> bool:
    """Check that each parameter of a condition is set in some cell, and can have each of its values in one.

    Args:
        wanted: the condition.
        cells: all cells.
        path: the path of the condition in the file.
        complain: records a mistake.

    Returns:
        False if there was a mistake.
    """
    possible = True
    for name, values in wanted.items():
        settings = [cell.settings()[name] for cell in cells if name in cell.settings()]
        for value in values:
            if settings and not any(_takes(setting, value) for setting in settings):
                taken = list(dict.fromkeys(option for setting in settings for option in _options(setting)))
                message = (
                    f"{name} is never {quote_value(value)}{suggest_option(value, taken)}; it is: {', '.join(taken)}"
                )
                complain((*path, name), message)
                possible = False
        if not settings and cells:
            names = dict.fromkeys(key for cell in cells for key in cell.settings())
            message = (
                f"{name!r} is not set in this file{suggest_option(name, names)}; set are: {', '.join(names) or 'none'}"
            )
            complain((*path, name), message, at_key=True)
            possible = False
    return possible


def _takes(setting: Parameter, value: Value) -> bool:
    return setting.domain.takes(value) if isinstance(setting, Searched) else setting == value


def _options(setting: Parameter) -> list[str]:
    """Return the values of a parameter as text; for a continuous domain its description."""
    if not isinstance(setting, Searched):
        return [format_value(setting)]
    if isinstance(setting.domain, Choice):
        return [format_value(option) for option in setting.domain.options]
    return [f"drawn from {setting.domain}"]


def format_value(value: Value) -> str:
    """Return a value as text in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def rendering_name(settings: Mapping[str, Value]) -> str:
    """Return the name of a rendering or a cell from its settings: `phase=griffin_lim, clip_statistics=own`."""
    return format_conditions({name: (value,) for name, value in settings.items()})


def format_conditions(wanted: Wanted) -> str:
    """Return a condition as text, without control characters: `loss=vae, size=24x64|48x128`."""
    text = ", ".join(f"{name}={'|'.join(map(format_value, values))}" for name, values in wanted.items())
    return escape_controls(text)
