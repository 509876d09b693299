"""The judges and metrics that a search space adds, with all checks that need none of their networks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.errors import UserError
from orchestrator.messages import Complain, describe, suggest_file, suggest_option
from orchestrator.plugins import additions, loader
from orchestrator.plugins.additions import OWN_JUDGE
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace

if TYPE_CHECKING:
    from trainables.trainable import Declaration, Metric

JUDGE_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("judge", "judge_b", "sound", "sample", "reconstruction")
"""Names whose metrics a trainable could have itself."""


@dataclass(frozen=True)
class Panel:
    """The added judges and metrics of a search space.

    Attributes:
        judges: the settings of each judge; `name` is the registered one. The corpus judge is among them if it has any.
        files: the files that register judges.
        metrics: the names of added metrics.
    """

    judges: tuple[dict[str, Value], ...] = ()
    files: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ()

    def describe_metrics(self, declaration: type[Declaration], complain: Complain) -> dict[str, Metric]:
        """Return the metrics of all trials by name, and check that the trainable's trials can be judged so."""
        modality = additions.judged_modality(declaration)
        key = "judges" if self.judges else "metrics"
        if modality is None and (self.judges or self.metrics):
            complain((key,), f"no judge assesses the trials of {declaration.class_name()}, so {key} can't be added")
            return dict(declaration.METRICS)
        for judge in self.judges:
            name = str(judge["name"])
            judged = "sound" if name == OWN_JUDGE else additions.judge_modality(name)
            if judged != modality:
                complain(("judges",), f"{name} judges {judged}s, {declaration.class_name()} makes {modality}s")
                return dict(declaration.METRICS)
        if modality == "picture" and any(additions.check_metric(name) == "sounds" for name in self.metrics):
            complain(("metrics",), f"{declaration.class_name()} makes pictures; metrics of sounds can't be computed")
        return {**declaration.METRICS, **additions.added_metrics(declaration, self.judges, self.metrics)}


def read_panel(space: SearchSpace, complain: Complain) -> Panel:
    """Return the added judges and metrics of a search space, and check names, settings and files."""
    judges: list[dict[str, Value]] = []
    files: list[Path] = []
    for index, entry in enumerate(space.judges):
        try:
            if entry["name"] == OWN_JUDGE:
                judges += _read_own(entry)
                continue
            name = _find_name(entry, files)
            if _check_settings(name, entry, index, complain):
                judges.append({**entry, "name": name})
        except UserError as error:
            complain(("judges", index), str(error))
    for name, count in Counter(str(judge["name"]) for judge in judges).items():
        if count > 1:
            complain(("judges",), f"has {name} twice")
        if not JUDGE_NAME.fullmatch(name) or name in RESERVED:
            complain(
                ("judges",),
                f"judge {name!r} can't have this name, with which its metrics begin: lower-case letters, digits and _ "
                f"are allowed, but not {', '.join(RESERVED)}",
            )
    metrics = []
    for index, metric in enumerate(space.metrics):
        try:
            additions.check_metric(metric)
            metrics.append(metric)
        except UserError as error:
            complain(("metrics", index), str(error))
    return Panel(tuple(judges), tuple(files), tuple(metrics))


def _read_own(entry: dict[str, Value]) -> list[dict[str, Value]]:
    """Return the settings of the corpus judge, in a list; an empty one if it has none.

    Raises:
        UserError: it has no such setting, or there is no such augmentation.
    """
    if unknown := [key for key in entry if key not in ("name", additions.AUGMENT)]:
        raise UserError(
            f"the judge own is trained on the corpus, and has no setting {unknown[0]!r}; it has: {additions.AUGMENT}"
        )
    if additions.AUGMENT not in entry:
        return []
    additions.check_augment(str(entry[additions.AUGMENT]))
    return [entry]


def _find_name(entry: dict[str, Value], files: list[Path]) -> str:
    """Return the registered name of an added judge, importing its file into `files`.

    Raises:
        UserError: there is no such judge, or the file does not register exactly one.
    """
    reference = str(entry["name"])
    if not loader.is_file(reference):
        additions.judge_model(reference)
        return reference
    names = additions.register_judge_file(Path(reference))
    if len(names) != 1:
        raise UserError(
            f"{reference}: must register exactly one judge (@JUDGES.register), got {', '.join(names) or 'none'}"
        )
    files.append(Path(reference))
    return names[0]


def _check_settings(name: str, entry: dict[str, Value], index: int, complain: Complain) -> bool:
    """Check the settings of a judge and its files; return whether they are right."""
    model = additions.judge_model(name)
    try:
        settings = model(**{**entry, "name": name})
    except ValidationError as error:
        for details in error.errors():
            key = str(details["loc"][0])
            if details["type"] == "extra_forbidden":
                hint = f"judge {name} has: {', '.join(model.model_fields)}"
                message = f"unknown key {key!r}{suggest_option(key, model.model_fields)}; {hint}"
                complain(("judges", index, key), message, at_key=True)
            else:
                complain(("judges", index, key), describe(details))
        return False
    paths = {key: value for key, value in settings if isinstance(value, Path)}
    for key, path in paths.items():
        if not path.expanduser().exists():
            complain(("judges", index, key), f"{path}: no such file{suggest_file(path)}")
    if additions.needs_weights(name) and "weights" not in paths:
        complain(
            ("judges", index), f"judge {name} needs weights, the file of its network: {{name: {name}, weights: FILE}}"
        )
        return False
    return all(path.expanduser().exists() for path in paths.values())
