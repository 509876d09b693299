"""Checks of arms against a trainable's `Config` and the metrics that it reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.command_line import format_command
from orchestrator.messages import Complain, KeyPath, describe, quote_value, suggest_name
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.combinations import Cell, rendering_name
from orchestrator.search_space.objective import Objective
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from trainables.trainable import Declaration, TrialConfig


class ConfigCheck:
    """Checks of arms: a trainable's `Config` is built from their settings, and `complain` records its errors."""

    def __init__(self, trainable: type[Declaration], complain: Complain) -> None:
        self.config = trainable.Config
        self.owner = trainable.class_name()
        self.complain = complain
        self.messages: set[str] = set()

    def check_bundles(self, space: SearchSpace) -> None:
        """Check that no comparison of bundles has the name of a parameter, which would be ambiguous."""
        for key, comparison in space.compare.items():
            if isinstance(comparison, dict) and key in self.config.model_fields:
                message = f"{key} is a setting of {self.owner}; list its values, or give the bundles another name"
                self.complain(("compare", key), message, at_key=True)

    def check_arm(self, arm: Arm, cell: Cell) -> None:
        """Check every fixed value, and every searched parameter at the edges of its domain and in between."""
        errors = self._errors(arm.middle())
        has_combination_error = any(not error["loc"] for error in errors)
        wrong: set[str] = set()
        for name, settings in arm.corners():
            if name not in settings:
                self.complain((*cell.sources[name], "when"), f"can never hold, so {name} never has a value")
            for error in self._errors(settings):
                if error["loc"][:1] == (name,) and name not in wrong:
                    self._note_field(error, name, arm, cell)
                    wrong.add(name)
                elif not error["loc"] and not has_combination_error:
                    at = f"with {name}={quote_value(settings[name])} in arm {arm.name}"
                    self._note_combination(error, cell.sources[name], at)
        for error in errors:
            if not error["loc"]:
                self._note_combination(error, ("params",), f"in arm {arm.name}")
            elif error["loc"][0] not in wrong:
                self._note_field(error, str(error["loc"][0]), arm, cell)

    def check_reports(self, arm: Arm, objective: Objective, reported: Callable[[Any], Collection[str]]) -> bool:
        """Check that an arm reports the objectives and what their constraints bound; return False if it does not.

        An arm whose settings are wrong is not checked. `reported` returns the names of the metrics that a trainable
        with a `Config` reports.
        """
        if self._errors(arm.middle()):
            return True
        names = reported(self.config(**arm.middle()))
        paths: dict[str, KeyPath] = {objective.metric: ("objective", "metric")}
        for key, names_of_key in (("beside", objective.beside), ("constraints", objective.constraints)):
            paths |= {name: ("objective", key, name) for name in names_of_key}
        missing = [metric for metric in paths if metric not in names]
        for metric in missing:
            reported_metrics = ", ".join(names) or "none"
            self.complain(paths[metric], f"arm {arm.name} does not report {metric}; it reports: {reported_metrics}")
        return not missing

    def check_renderings(self, arm: Arm, renderings: Sequence[Mapping[str, Value]]) -> None:
        """Check the settings of every rendering in an arm, unless the arm's own settings are wrong."""
        if self._errors(arm.middle()):
            return
        settings = [arm.middle(), *(corner for _, corner in arm.corners())]
        for rendering, arm_settings in itertools.product(renderings, settings):
            for error in self._errors({**arm_settings, **rendering}):
                key = next((name for name in rendering if error["loc"][:1] == (name,)), next(iter(rendering)))
                where = f"rendered with {rendering_name(rendering)}, in arm {arm.name}"
                self._note_combination(error, ("evaluate", key), where)

    def check_distinct(self, arms: Sequence[tuple[Arm, Cell]]) -> None:
        """Check that no two arms have the same configuration; every arm must have passed `check_arm`."""
        earlier_arms: list[tuple[Arm, TrialConfig]] = []
        complained: set[KeyPath] = set()
        for arm, cell in arms:
            config = self.config(**arm.middle())
            searched = (arm.searched, arm.when)
            twins = [
                other for other, same in earlier_arms if same == config and (other.searched, other.when) == searched
            ]
            earlier_arms.append((arm, config))
            if not twins:
                continue
            twin = twins[0]
            key = next(key for key, value in arm.compared.items() if value != twin.compared[key])
            path = cell.sources.get(key, ("compare", key, str(arm.compared[key])))
            if path not in complained:
                self.complain(path, f"arms {twin.name} and {arm.name} are the same; delete one, or let them differ")
            complained.add(path)

    def _errors(self, settings: dict[str, Value]) -> list[ErrorDetails]:
        try:
            self.config(**settings)
        except ValidationError as error:
            return error.errors()
        return []

    def _note_field(self, error: ErrorDetails, name: str, arm: Arm, cell: Cell) -> None:
        """Record an error of one setting."""
        fields = self.config.model_fields
        path = cell.sources.get(name, ("params", name))
        if error["type"] == "extra_forbidden":
            descriptions = {key: field.description or "" for key, field in fields.items()}
            hint = f"{self.owner} has no such setting{suggest_name(name, descriptions, 'it has', self._place())}"
            key_path = path[:-1] if isinstance(path[-1], int) else path
            self.complain(key_path, f"unknown key {name!r}: {hint}", at_key=True)
        elif error["type"] == "missing":
            where = f"has no value in arm {arm.name}" if name in cell.sources else "is not set"
            self.complain(path, f"{name!r} {where}, and {self.owner} has no default for it")
        else:
            self.complain(path, describe(error))

    def _place(self) -> str:
        """Return where all settings are listed."""
        if self.config.__module__.startswith("trainables."):
            return f"docs/search_space_reference.md, or {format_command('schema')}"
        return f"the fields of its {self.config.__name__}"

    def _note_combination(self, error: ErrorDetails, path: KeyPath, at: str) -> None:
        """Record an error of a combination of settings, for the first arm that has it."""
        message = describe(error)
        if message not in self.messages:
            self.complain(path, f"{message} ({at})")
        self.messages.add(message)
