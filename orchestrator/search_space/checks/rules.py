"""Checks of rules between the keys of a search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ValidationError

from orchestrator.messages import Complain, describe, quote_value, suggest_option
from orchestrator.plugins import loader
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.combinations import Cell, format_value
from orchestrator.search_space.objective import WILCOXON
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.values import PlainValue


def check_space(space: SearchSpace, complain: Complain) -> None:
    """Check rules between two keys of the file."""
    pruning, budget, resources = space.pruning, space.budget, space.resources
    for key in ("grace_epochs", "patience") if pruning else ():
        if (epochs := getattr(pruning, key) or 0) >= budget.max_epochs:
            message = f"must be below budget.max_epochs ({budget.max_epochs}), got {epochs}"
            complain(("pruning", key), f"{message}; or pruning: none")
    if pruning and pruning.kind == WILCOXON and pruning.grace_epochs < budget.max_epochs <= pruning.first_epoch:
        message = f"of {pruning.p_threshold:g} can stop no trial before epoch {pruning.first_epoch}"
        needs = f"and budget.max_epochs is {budget.max_epochs}; needs a larger one, or pruning: none"
        complain(("pruning", "p_threshold"), f"{message}, {needs}")
    if space.confirm and budget.seeds is not None:
        complain(
            ("confirm",), "confirms what a search has found, and budget.seeds searches nothing; needs confirm: none"
        )
    if pruning and budget.seeds is not None:
        complain(("pruning",), "stops some of the seeds over which budget.seeds is to average; needs pruning: none")
    if space.objective.preference:
        _check_preference(space, complain)
    if space.objective.beside and budget.seeds is not None:
        message = "makes a front of the trials of a search, and budget.seeds searches nothing"
        complain(("objective", "beside"), f"{message}; needs budget.trials_per_arm")
    wants_gpu = resources.gpu > 0 or any(change.resources.gpu > 0 for change in space.arms)
    if resources.require_gpu and not wants_gpu:
        complain(("resources", "require_gpu"), "needs resources.gpu above 0, got 0")
    for key in ("gpu_hours", "cost"):
        if getattr(budget, key) is not None and not wants_gpu:
            complain(("budget", key), "limits the time of GPUs, and resources.gpu is 0; needs budget.hours")
    if resources.accelerator_type and not wants_gpu:
        complain(("resources", "accelerator_type"), "needs resources.gpu above 0, got 0")


def _check_preference(space: SearchSpace, complain: Complain) -> None:
    """Check that trials that listeners shall order have sounds, and that nothing else stops or averages them."""
    at = ("objective", "preference")
    if space.objective.beside:
        complain(
            ("objective", "beside"), "has values of metrics, and objective.preference orders by votes; leave it out"
        )
    if space.pruning:
        message = "would stop trials before listeners have heard them; objective.preference needs pruning: none"
        complain(("pruning",), message)
    if space.budget.seeds is not None:
        complain(at, "orders the trials of a search, and budget.seeds searches nothing; needs budget.trials_per_arm")
    if space.corpus is None:
        complain(at, "lets people hear clips of a corpus; needs corpus")
    if space.media.clips < 1:
        complain(at, f"lets people hear the trials; needs media.clips of 1 or more, got {space.media.clips}")


def check_needs_no_corpus(space: SearchSpace, complain: Complain) -> None:
    """Check that a search space without a corpus has a trainable of the user's own: all others train on clips."""
    if isinstance(space.trainable, str) and not loader.is_path(space.trainable):
        complain(("trainable",), f"{space.trainable} needs a corpus; add corpus: {{name: demo}}, or one of your own")


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


def check_seeds(space: SearchSpace, arms: Sequence[tuple[Arm, Cell]], complain: Complain) -> None:
    """Check that nothing is searched where seeds are the only difference between an arm's trials."""
    names = dict.fromkeys(name for arm, _ in arms for name in arm.searched)
    if space.budget.seeds is not None and names:
        message = f"repeats one configuration, but {', '.join(names)} is searched; fix it, or use trials_per_arm"
        complain(("budget", "seeds"), message)
