"""The combinations of compared values, and what each sets, before any `when` of a parameter is decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.messages import Complain, KeyPath, quote_value, suggest_option
from orchestrator.search_space.domains import Choice, Value
from orchestrator.search_space.schema import Resources, SearchSpace
from orchestrator.search_space.values import Comparison, Parameter, Searched

MAX_CELLS = 1000
"""Combinations of compared values, those of `skip` included; to read so many takes a minute."""
Wanted = Mapping[str, tuple[Value, ...]]
"""Names of parameters, each with the values of which it must have one."""


@dataclass(frozen=True)
class Cell:
    """One combination of compared values.

    Attributes:
        compared: the values by which it differs from others; of bundles their names.
        parameters: what is set in it.
        sources: where in the file each of them is set.
        resources: what a trial gets.
    """

    compared: Mapping[str, Value] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    sources: Mapping[str, KeyPath] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)

    @property
    def name(self) -> str:
        return rendering_name(self.compared) or "all"

    def having(self, parameters: Mapping[str, Parameter], sources: Mapping[str, KeyPath]) -> Cell:
        """The cell with more parameters set, or with others in their place."""
        return replace(self, parameters={**self.parameters, **parameters}, sources={**self.sources, **sources})

    def settings(self) -> dict[str, Parameter]:
        """All that a condition may ask for: parameters, and the names of bundles."""
        return {**self.compared, **self.parameters}

    def meets(self, wanted: Wanted) -> bool:
        """Whether compared and fixed values are as wanted."""
        settings = self.settings()
        return all(name in settings and settings[name] in values for name, values in wanted.items())


def make_cells(space: SearchSpace, complain: Complain) -> tuple[list[Cell], list[str]]:
    """Cross what is compared, leave out what is skipped, and apply `arms:`.

    Returns:
        The cells in the order of the file, the last comparison changing fastest, and those that are skipped in words.
    """
    num_cells = math.prod(len(comparison) for comparison in space.compare.values())
    if num_cells > MAX_CELLS:
        message = (
            f"makes {num_cells:,} combinations, each an arm with a study of its own; at most {MAX_CELLS:,} are run"
        )
        complain(("compare",), message)
        return [], []
    _check_compared(space, complain)
    cells, skipped = _skip(space, list(_cross(space)), complain)
    return _change(space, cells, complain), skipped


def _cross(space: SearchSpace) -> Iterator[Cell]:
    base = Cell(resources=space.resources).having(space.params, _below(("params",), space.params))
    base = base.having(space.objective.at, _below(("objective", "at"), space.objective.at))
    choices = [_choices(key, comparison) for key, comparison in space.compare.items()]
    for combination in itertools.product(*choices):
        cell = base
        for _, parameters, sources in combination:
            cell = cell.having(parameters, sources)
        compared = {key: value for key, (value, _, _) in zip(space.compare, combination, strict=True)}
        yield replace(cell, compared=compared)


def _choices(key: str, comparison: Comparison) -> list[tuple[Value, Mapping[str, Parameter], Mapping[str, KeyPath]]]:
    """What is compared, each with the parameters that it sets and where it does."""
    if isinstance(comparison, dict):
        return [(name, bundle, _below(("compare", key, name), bundle)) for name, bundle in comparison.items()]
    return [(value, {key: value}, {key: ("compare", key, index)}) for index, value in enumerate(comparison)]


def _below(path: KeyPath, names: Mapping[str, Parameter]) -> dict[str, KeyPath]:
    return {name: (*path, name) for name in names}


def _check_compared(space: SearchSpace, complain: Complain) -> None:
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
        if written(value) in map(written, values[:index]):
            complain(("compare", key, index), f"{quote_value(value)} is compared twice, which makes the same arm twice")


def _skip(space: SearchSpace, cells: list[Cell], complain: Complain) -> tuple[list[Cell], list[str]]:
    skipped: dict[str, str] = {}
    for index, wanted in enumerate(space.skip):
        for cell in _pick(wanted, cells, ("skip", index), complain):
            skipped.setdefault(cell.name, f"{cell.name} (skip: {in_words(wanted)})")
    kept = [cell for cell in cells if cell.name not in skipped]
    if not kept:
        complain(("skip",), f"skips all {len(cells)} arms; at least one has to stay")
    return kept, list(skipped.values())


def _change(space: SearchSpace, cells: list[Cell], complain: Complain) -> list[Cell]:
    changed = {cell.name: cell for cell in cells}
    for index, change in enumerate(space.arms):
        for name in change.params.keys() & space.compare.keys():
            complain(("arms", index, "params", name), f"{name} is compared, so an arm can't change it", at_key=True)
        sources = _below(("arms", index, "params"), change.params)
        resources = {name: getattr(change.resources, name) for name in change.resources.model_fields_set}
        for cell in _pick(change.when, cells, ("arms", index, "when"), complain):
            before = changed[cell.name]
            after = replace(before, resources=before.resources.model_copy(update=resources))
            changed[cell.name] = after.having(change.params, sources)
    return list(changed.values())


def _pick(wanted: Wanted, cells: Sequence[Cell], path: KeyPath, complain: Complain) -> list[Cell]:
    """The cells whose compared and fixed values are as wanted; it is a mistake if there are none."""
    picked = [cell for cell in cells if cell.meets(wanted)]
    searched = {name for cell in cells for name in wanted if isinstance(cell.settings().get(name), Searched)}
    for name in searched:
        message = f"{name} is searched inside arms, so it can't pick arms; compared and fixed parameters can"
        complain((*path, name), message, at_key=True)
    settled = {name: values for name, values in wanted.items() if name not in searched}
    if check_conditions(settled, cells, path, complain) and cells and not picked and not searched:
        complain(path, f"no arm has {in_words(wanted)}")
    return picked


def check_conditions(wanted: Wanted, cells: Sequence[Cell], path: KeyPath, complain: Complain) -> bool:
    """Whether each parameter exists and takes each value somewhere; complains if not."""
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
    if not isinstance(setting, Searched):
        return [written(setting)]
    domain = setting.domain
    return [written(option) for option in domain.options] if isinstance(domain, Choice) else [f"drawn from {domain}"]


def written(value: Value) -> str:
    """A value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def rendering_name(settings: Mapping[str, Value]) -> str:
    """How a rendering is called: `phase=griffin_lim, clip_statistics=own`."""
    return in_words({name: (value,) for name, value in settings.items()})


def in_words(wanted: Wanted) -> str:
    """`loss=vae, size=24x64|48x128`."""
    return ", ".join(f"{name}={'|'.join(map(written, values))}" for name, values in wanted.items())
