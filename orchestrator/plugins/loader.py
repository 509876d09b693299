"""The orchestrator's interface to `trainables`: it imports almost everything of that package from here.

An `InputError` of trainables is raised as a `UserError`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import trainables
from orchestrator.errors import UserError
from orchestrator.messages import suggest_option
from orchestrator.plugins import user_files
from orchestrator.plugins.additions import check_objective_judge, score_judges
from orchestrator.plugins.corpora import check_corpus, corpus_model, describe_leak, open_corpus, user_errors
from orchestrator.plugins.user_imports import helper_files
from trainables.corpora.splits import Split
from trainables.errors import EndedFromOutside
from trainables.support.progress import Progress, silent
from trainables.trainable import (
    SPLIT_METRICS,
    Declaration,
    Media,
    Metric,
    OfTrial,
    Trainable,
    TrainingOver,
    TrialConfig,
)

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

__all__ = [
    "SPLIT_METRICS",
    "Declaration",
    "EndedFromOutside",
    "Media",
    "Metric",
    "Prepared",
    "Progress",
    "Split",
    "Trainable",
    "TrainingOver",
    "TrialConfig",
    "check_component",
    "check_corpus",
    "check_trainable",
    "config_values",
    "corpus_model",
    "describe_leak",
    "find_trainables",
    "imported_files",
    "is_file",
    "is_path",
    "load_components",
    "load_declaration",
    "load_trainable",
    "open_corpus",
    "prepare",
    "silent",
    "source_files",
    "trained_model_fields",
    "user_errors",
]

PACKAGE = Path(trainables.__file__).parent
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin")
TRAINABLE = "trainable.py"
"""The file of a shipped trainable; its folder has the trainable's name in YAML."""
Reference = str | Mapping[str, Any]
"""A value of `trainable:`: the name of a shipped trainable, the path of a file, or the fields of a command."""
DECLARATION = "declaration.py"
"""The file next to it with its declaration, which imports no torch; a trainable without one is its own declaration."""


def is_file(reference: str) -> bool:
    """Return whether a value of `trainable:` is a path, and not the name of a shipped trainable."""
    return reference.endswith(".py") or "/" in reference


def is_path(setting: str) -> bool:
    """Return whether a setting that may name a trained model is a path; trials such as `losses/7` look like one too."""
    return "/" in setting or Path(setting).suffix in CHECKPOINT_SUFFIXES


def find_trainables() -> dict[str, Path]:
    """Return the files of the shipped trainables by name."""
    return {path.parent.name: path for path in sorted(PACKAGE.glob(f"*/{TRAINABLE}"))}


def load_trainable(reference: Reference, folder: Path) -> type[Trainable]:
    """Return the trainable that a file defines, or the one that runs a command.

    Args:
        reference: the name of a shipped trainable, a path, or a command.
        folder: the folder to which a relative path is relative.

    Raises:
        UserError: there is no such file, it can't be imported, it does not define exactly one trainable, or the command
            can't be run.
    """
    if isinstance(reference, Mapping):
        return _make_command(reference)
    path = _resolve_path(reference, folder)
    return _find_only_trainable(_import_file(path), path)


@user_errors()
def _make_command(reference: Mapping[str, Any]) -> type[Trainable]:
    from trainables.command.script import make_trainable

    return make_trainable(reference)


def load_declaration(reference: Reference, folder: Path) -> type[Declaration]:
    """Return what is known of a trainable without its networks: settings and metrics.

    For a shipped trainable it is a class that imports no torch, for any other one the trainable itself. Arguments and
    errors are those of `load_trainable`.
    """
    if isinstance(reference, Mapping):
        return load_trainable(reference, folder)
    trainable_path = _resolve_path(reference, folder)
    path = trainable_path.with_name(DECLARATION)
    if trainable_path not in find_trainables().values() or not path.exists():
        return load_trainable(reference, folder)
    module = _import_file(path)
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    (declaration,) = (value for value in own if issubclass(value, Declaration))
    return declaration


def _resolve_path(reference: str, folder: Path) -> Path:
    shipped = find_trainables()
    if is_file(reference):
        return (folder / reference).resolve()
    if reference in shipped:
        return shipped[reference]
    raise UserError(
        f"unknown trainable {reference!r}{suggest_option(reference, shipped)}; "
        f"shipped: {', '.join(shipped) or 'none'}; one of your own is a path such as ./my_unet.py"
    )


def check_trainable(reference: Reference, folder: Path, components: Sequence[Path] = ()) -> None:
    """Check that a trainable's file can be imported and may define a trainable, without running it in this process.

    Args:
        reference: the name of a shipped trainable, which is not checked like a command, or a path.
        folder: the folder to which a relative path is relative.
        components: files that are imported before it.

    Raises:
        UserError: there is no such file, its import fails, or it defines no trainable (a script, for instance).
    """
    if isinstance(reference, Mapping):
        return
    path = _resolve_path(reference, folder)
    if not path.is_relative_to(PACKAGE):
        user_files.check_file(path, components, defines_trainable=True)


def check_component(path: Path, before: Sequence[Path] = ()) -> None:
    """Check that a file that registers losses, normalizations, … can be imported, without running it in this process.

    Args:
        path: the file.
        before: files that are imported before it.

    Raises:
        UserError: there is no such file, or its import fails, ends the process or hangs.
    """
    if not path.is_relative_to(PACKAGE):
        user_files.check_file(path, before, defines_trainable=False)


def _find_only_trainable(module: ModuleType, path: Path) -> type[Trainable]:
    """Return the only trainable that a module defines itself; those that it imports do not count."""
    own = [
        candidate
        for candidate in vars(module).values()
        if isinstance(candidate, type) and issubclass(candidate, Trainable) and candidate.__module__ == module.__name__
    ]
    concrete = [candidate for candidate in own if not inspect.isabstract(candidate)]
    if len(concrete) != 1:
        found = user_files.describe_trainables(concrete or own)
        raise UserError(f"{path}: must define exactly one complete subclass of Trainable, got {found}")
    if not issubclass(concrete[0].Config, TrialConfig):
        raise UserError(f"{path}: {concrete[0].__name__}.Config must be a subclass of TrialConfig")
    return concrete[0]


def load_components(paths: Iterable[Path]) -> None:
    """Import files that register losses, normalizations, ….

    Raises:
        UserError: a file is missing or can't be imported.
    """
    for path in paths:
        _import_file(path)


def _import_file(path: Path) -> ModuleType:
    """Import a file by its path; a second import in the same process returns the same module."""
    user_files.check_exists(path)
    if not path.is_relative_to(PACKAGE):
        return user_files.import_outside(path)
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    try:
        return importlib.import_module(".".join([trainables.__name__, *parts]))
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: can't be imported: {what}") from error


def config_values(trainable: type[Declaration], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params of a trial that are settings of its trainable, without the names of bundles.

    A command gets all of them.
    """
    if trainable.Config.model_config.get("extra") == "allow":
        return dict(params)
    return {name: value for name, value in params.items() if name in trainable.Config.model_fields}


def trained_model_fields(trainable: type[Declaration]) -> list[str]:
    """Return the names of a trainable's settings that may name a trained model."""
    names = []
    for name, setting in trainable.Config.model_fields.items():
        if any(isinstance(mark, OfTrial) for mark in setting.metadata):
            names.append(name)
    return names


@dataclass(frozen=True)
class Prepared:
    """The results of preparing a sweep before its first trial.

    Attributes:
        references: a row for each baseline, as `Trainable.prepare` returns them.
        judge: the id of the judge; None if the trainable has no judge.
        judges: what each added judge recognizes of real clips (see `additions.score_judges`).
    """

    references: list[dict[str, Any]]
    judge: str | None
    judges: dict[str, dict[str, Any]] = field(default_factory=dict)


@user_errors()
def prepare(
    trainable: type[Trainable],
    settings: Iterable[Mapping[str, Any]],
    corpus: Corpus | None,
    progress: Progress = silent,
    objective: str = "",
) -> Prepared:
    """Compute what all trials share: features, judges, baselines.

    Args:
        trainable: the trainable.
        settings: configurations of trials, which decide what is needed.
        corpus: the corpus, if the trainable has one.
        progress: receives the progress.
        objective: the metric that orders trials. It must not come from a judge that fails to recognize real clips.

    Raises:
        UserError: the corpus or the home can't be used, or a judge can't.
    """
    configs = [trainable.Config(**trial_settings) for trial_settings in settings]
    # First of all, because a judge that can't be loaded should not cost the time of the baselines.
    judges = score_judges(corpus, progress)
    check_objective_judge(objective, judges)
    return Prepared(trainable.prepare(configs, corpus, progress), trainable.judge_id(corpus), judges)


def source_files(trainable: type[Trainable], components: Iterable[Path]) -> list[Path]:
    """Return the files of code on which results depend: all of `trainables`, the sweep's trainable and components."""
    own = {Path(inspect.getfile(trainable)), *trainable.code_files()}
    return sorted({*PACKAGE.rglob("*.py"), *own, *components})


def imported_files(trainable: type[Trainable], components: Iterable[Path]) -> list[tuple[str, Path]]:
    """Return the files that a user's own trainable and components import from their folders.

    Returns:
        The path relative to the folder, and the file.
    """
    files = {Path(inspect.getfile(trainable)), *trainable.code_files(), *components}
    own = {path.resolve() for path in files}
    outside = [path for path in own if not path.is_relative_to(PACKAGE)]
    helpers = {(name, helper) for path in outside for name, helper in helper_files(path).items()}
    return sorted((name, helper) for name, helper in helpers if helper not in own)
