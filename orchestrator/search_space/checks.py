"""Checks of a search space beyond the type of each key: rules between keys, the trainable's settings and metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from orchestrator.messages import Complain, KeyPath, describe, quote_value, suggest_option
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.combinations import Cell, format_value, rendering_name
from orchestrator.search_space.objective import Objective
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.values import PlainValue

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from trainables.trainable import Declaration, Metric, TrialConfig

DEPENDS_ON = {
    "same_loss": "its scale depends on the loss",
    "same_representation": "it is measured in the units of an arm's own size and normalization",
}
"""Why a metric is not comparable between all trials, by `Metric.comparable`."""


def check_space(space: SearchSpace, complain: Complain) -> None:
    """Check rules between two keys of the file."""
    pruning, budget, resources = space.pruning, space.budget, space.resources
    for key in ("grace_epochs", "patience") if pruning else ():
        if (epochs := getattr(pruning, key) or 0) >= budget.max_epochs:
            message = f"must be below budget.max_epochs ({budget.max_epochs}), got {epochs}"
            complain(("pruning", key), f"{message}; or pruning: none")
    if space.confirm and budget.seeds is not None:
        complain(
            ("confirm",), "confirms what a search has found, and budget.seeds searches nothing; needs confirm: none"
        )
    if pruning and budget.seeds is not None:
        complain(("pruning",), "stops some of the seeds over which budget.seeds is to average; needs pruning: none")
    if space.objective.preference:
        _check_preference(space, complain)
    wants_gpu = resources.gpu > 0 or any(change.resources.gpu > 0 for change in space.arms)
    if resources.require_gpu and not wants_gpu:
        complain(("resources", "require_gpu"), "needs resources.gpu above 0, got 0")
    for key in ("gpu_hours", "cost"):
        if getattr(budget, key) is not None and not wants_gpu:
            complain(("budget", key), "limits the time of graphics cards, and resources.gpu is 0; needs budget.hours")
    if resources.accelerator_type and not wants_gpu:
        complain(("resources", "accelerator_type"), "needs resources.gpu above 0, got 0")


def _check_preference(space: SearchSpace, complain: Complain) -> None:
    """Check that trials that listeners shall order have sounds, and that nothing else stops or averages them."""
    at = ("objective", "preference")
    if space.pruning:
        complain(("pruning",), "would stop trials that nobody has heard; objective.preference needs pruning: none")
    if space.budget.seeds is not None:
        complain(at, "orders the trials of a search, and budget.seeds searches nothing; needs budget.trials_per_arm")
    if space.corpus is None:
        complain(at, "lets people hear clips of a corpus; needs corpus")
    if space.media.clips < 1:
        complain(at, f"lets people hear the trials; needs media.clips of 1 or more, got {space.media.clips}")


def check_corpus(settings: Mapping[str, PlainValue], model: type[BaseModel], complain: Complain) -> None:
    """Check the settings of a corpus, without looking at its files."""
    try:
        model(**settings)
    except ValidationError as error:
        for details in error.errors():
            if not details["loc"]:
                # Of settings that do not go together.
                complain(("corpus",), describe(details))
                continue
            key = str(details["loc"][0])
            if details["type"] == "extra_forbidden":
                hint = f"corpus {settings['name']} has: {', '.join(model.model_fields)}"
                unknown = f"unknown key {key!r}{suggest_option(key, model.model_fields)}"
                complain(("corpus", key), f"{unknown}; {hint}", at_key=True)
            elif details["type"] == "missing":
                needed = f"corpus {settings['name']} needs it, the {model.model_fields[key].description}"
                complain(("corpus",), f"{key!r} is missing: {needed}")
            else:
                complain(("corpus", key), describe(details))


def check_baseline(space: SearchSpace, cells: Sequence[Cell], complain: Complain) -> None:
    """Check that the values of the baseline are compared, and that `skip` leaves an arm that has them."""
    is_compared = True
    for key, value in space.baseline.items():
        if key not in space.compare:
            hint = f"{suggest_option(key, space.compare)}; compared are: {', '.join(space.compare) or 'none'}"
            complain(("baseline", key), f"{key!r} is not compared{hint}", at_key=True)
            is_compared = False
        elif value not in space.compare[key]:
            names = [format_value(name) for name in space.compare[key]]
            complain(
                ("baseline", key),
                f"{quote_value(value)} is not compared{suggest_option(value, names)}; {', '.join(names)} are",
            )
            is_compared = False
    baseline = {key: (value,) for key, value in space.baseline.items()}
    if is_compared and cells and not any(cell.meets(baseline) for cell in cells):
        complain(("baseline",), "all arms of the baseline are skipped")


def check_objective(
    space: SearchSpace,
    trainable: type[Declaration],
    metrics: Mapping[str, Metric],
    num_arms: int,
    complain: Complain,
) -> None:
    """Check that the objective's metric exists, has the given mode, and is comparable between all arms.

    Args:
        space: the search space.
        trainable: the trainable.
        metrics: all metrics of the sweep, also those of added judges.
        num_arms: the number of arms.
        complain: records a mistake.
    """
    name, mode = space.objective.metric, space.objective.mode
    metric = metrics.get(name)
    if metric is None:
        hint = f"{trainable.class_name()} reports: {', '.join(metrics) or 'none'}"
        complain(("objective", "metric"), f"unknown metric {name!r}{suggest_option(name, metrics)}; {hint}")
        return
    if space.objective.preference and not trainable.can_render():
        complain(("objective", "preference"), f"{trainable.class_name()} makes no sounds that listeners could prefer")
    for constrained in space.objective.constraints:
        at = ("objective", "constraints", constrained)
        if constrained not in metrics:
            hint = f"{trainable.class_name()} reports: {', '.join(metrics)}"
            complain(at, f"unknown metric {constrained!r}{suggest_option(constrained, metrics)}; {hint}", at_key=True)
        elif constrained == name:
            complain(at, f"{name} is the objective; constraints bound other metrics", at_key=True)
    if metric.mode != mode:
        complain(("objective", "mode"), f"{name} is better when it is {metric.mode}, got {mode}")
    if metric.comparable != "all" and num_arms > 1:
        others = [other_name for other_name, other in metrics.items() if other.comparable == "all"]
        reason = f"{name} means something else in each arm ({DEPENDS_ON[metric.comparable]})"
        complain(("objective", "metric"), f"{reason}; rank by one of: {', '.join(others) or 'none'}")


def check_renderings(space: SearchSpace, trainable: type[Declaration], complain: Complain) -> None:
    """Check that `evaluate` only varies settings of renderings, and that `objective.at` is one of the renderings."""
    allowed = ", ".join(sorted(trainable.RENDERING)) or "none"
    for key in space.evaluate:
        if key not in trainable.RENDERING:
            hint = suggest_option(key, trainable.RENDERING)
            message = f"{key!r} is no setting of {trainable.class_name()} that a trained model can change{hint}"
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


def check_seeds(space: SearchSpace, arms: Sequence[tuple[Arm, Cell]], complain: Complain) -> None:
    """Check that nothing is searched where seeds are the only difference between an arm's trials."""
    names = dict.fromkeys(name for arm, _ in arms for name in arm.searched)
    if space.budget.seeds is not None and names:
        message = f"repeats one configuration, but {', '.join(names)} is searched; fix it, or use trials_per_arm"
        complain(("budget", "seeds"), message)


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
        """Check that an arm reports the objective and what its constraints bound; return False if it does not.

        An arm whose settings are wrong is not checked. `reported` returns the names of the metrics that a trainable
        with a `Config` reports.
        """
        if self._errors(arm.middle()):
            return True
        names = reported(self.config(**arm.middle()))
        paths: dict[str, KeyPath] = {objective.metric: ("objective", "metric")}
        paths |= {name: ("objective", "constraints", name) for name in objective.constraints}
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
            hint = (
                f"{self.owner} has no such setting{suggest_option(name, fields)}; it has: {', '.join(fields) or 'none'}"
            )
            key_path = path[:-1] if isinstance(path[-1], int) else path
            self.complain(key_path, f"unknown key {name!r}: {hint}", at_key=True)
        elif error["type"] == "missing":
            where = f"has no value in arm {arm.name}" if name in cell.sources else "is not set"
            self.complain(path, f"{name!r} {where}, and {self.owner} has no default for it")
        else:
            self.complain(path, describe(error))

    def _note_combination(self, error: ErrorDetails, path: KeyPath, at: str) -> None:
        """Record an error of a combination of settings, for the first arm that has it."""
        message = describe(error)
        if message not in self.messages:
            self.complain(path, f"{message} ({at})")
        self.messages.add(message)
