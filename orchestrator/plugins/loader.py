"""The one door to trainables: everything of theirs that the orchestrator uses comes through here.

What trainables call an `InputError` leaves as a `UserError`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import trainables
from orchestrator.errors import UserError
from orchestrator.messages import suggest_option
from orchestrator.plugins import user_files
from orchestrator.plugins.user_imports import helper_files
from trainables.corpora.splits import Split
from trainables.errors import InputError
from trainables.support.progress import Progress, silent
from trainables.trainable import Media, Metric, OfTrial, Trainable, TrialConfig

if TYPE_CHECKING:
    from trainables.components.generation import Generator, Model
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.settings import CorpusSettings

__all__ = [
    "MODEL_SETTINGS",
    "Media",
    "Metric",
    "Prepared",
    "Progress",
    "Split",
    "Trainable",
    "TrialConfig",
    "can_be_evaluated",
    "check_component",
    "check_corpus",
    "check_trainable",
    "config_values",
    "corpus_model",
    "describe_leak",
    "exported",
    "find_trainables",
    "imported_files",
    "is_file",
    "is_path",
    "kind_of",
    "load_components",
    "load_trainable",
    "open_corpus",
    "open_model",
    "prepare",
    "save_model",
    "silent",
    "source_files",
    "trained_models",
    "user_errors",
]

PACKAGE = Path(trainables.__file__).parent
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin")
TRAINABLE = "trainable.py"
"""In a folder of its own, which has the trainable's name in YAML."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what trainables say about wrong input into what ends a command; a decorator too."""
    try:
        yield
    except InputError as error:
        raise UserError(str(error)) from error


def is_file(reference: str) -> bool:
    """Whether `trainable:` names a file and not one that is shipped."""
    return reference.endswith(".py") or "/" in reference


def is_path(setting: str) -> bool:
    """Whether a setting that may name a trained model names a file."""
    return "/" in setting or Path(setting).suffix in CHECKPOINT_SUFFIXES


def find_trainables() -> dict[str, Path]:
    """The trainables that are shipped: name to file."""
    return {path.parent.name: path for path in sorted(PACKAGE.glob(f"*/{TRAINABLE}"))}


def load_trainable(reference: str, folder: Path) -> type[Trainable]:
    """The one trainable that a file defines.

    Args:
        reference: the name of a shipped one, or a path.
        folder: what a relative path is relative to.

    Raises:
        UserError: there is no such file, it can't be imported, or it doesn't define exactly one trainable.
    """
    path = _path_of(reference, folder)
    return _only_trainable(_import_file(path), path)


def _path_of(reference: str, folder: Path) -> Path:
    shipped = find_trainables()
    if is_file(reference):
        return (folder / reference).resolve()
    if reference in shipped:
        return shipped[reference]
    raise UserError(
        f"unknown trainable {reference!r}{suggest_option(reference, shipped)}; "
        f"shipped: {', '.join(shipped) or 'none'}; one of your own is a path such as ./my_unet.py"
    )


def check_trainable(reference: str, folder: Path, components: Sequence[Path] = ()) -> None:
    """Check a trainable's file without running it in this process: that it may have one, and can be imported.

    Raises:
        UserError: there is no such file, or it is no module with a trainable but, say, a script.
    """
    path = _path_of(reference, folder)
    if not path.is_relative_to(PACKAGE):
        user_files.check_file(path, components, defines_trainable=True)


def check_component(path: Path, before: Sequence[Path] = ()) -> None:
    """Check a file that registers losses, normalizations, … without running it in this process.

    Raises:
        UserError: there is no such file, or its import fails, ends the process or hangs.
    """
    if not path.is_relative_to(PACKAGE):
        user_files.check_file(path, before, defines_trainable=False)


def _only_trainable(module: ModuleType, path: Path) -> type[Trainable]:
    own = [
        candidate
        for candidate in vars(module).values()
        if isinstance(candidate, type) and issubclass(candidate, Trainable) and candidate.__module__ == module.__name__
    ]
    concrete = [candidate for candidate in own if not inspect.isabstract(candidate)]
    if len(concrete) != 1:
        missing = [
            f"{candidate.__name__} lacks {', '.join(sorted(candidate.__abstractmethods__))}" for candidate in own
        ]
        what = ", ".join(candidate.__name__ for candidate in concrete) or "; ".join(missing) or "none"
        raise UserError(f"{path}: must define exactly one subclass of Trainable, got {what}")
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
    """Import a file by its path, once a process."""
    user_files.check_exists(path)
    if not path.is_relative_to(PACKAGE):
        return user_files.import_outside(path)
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    try:
        return importlib.import_module(".".join([trainables.__name__, *parts]))
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: can't be imported: {what}") from error


def config_values(trainable: type[Trainable], params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a trial's params that are settings of its trainable: the names of bundles are none."""
    return {name: value for name, value in params.items() if name in trainable.Config.model_fields}


def trained_models(trainable: type[Trainable]) -> list[str]:
    """The settings of a trainable that may name a trained model."""
    fields = trainable.Config.model_fields.items()
    return [name for name, field in fields if any(isinstance(mark, OfTrial) for mark in field.metadata)]


@user_errors()
def corpus_model(settings: Mapping[str, Any]) -> type[CorpusSettings]:
    """The settings that a corpus of that name has.

    Raises:
        UserError: unknown name.
    """
    from trainables.corpora.settings import corpus_model as model_of

    return model_of(settings)


@user_errors()
def check_corpus(settings: Mapping[str, Any] | None) -> None:
    """Check, at the cost of a look into a folder, that a corpus has something to read.

    Raises:
        UserError: its root is missing, or has no classes.
    """
    if settings:
        corpus_model(settings)(**settings).check_root()


@user_errors()
def open_corpus(settings: Mapping[str, Any], home: Path, progress: Progress = silent) -> Corpus:
    """Open a corpus, made and cached under `home` at the first time.

    Raises:
        UserError: it can't be used.
    """
    from trainables.corpora.corpus import open_corpus as open_

    return open_(settings, home, progress)


@user_errors()
def describe_leak(
    settings: Mapping[str, Any], corpus: Corpus, home: Path, other: Mapping[str, Any], fingerprint: str
) -> str:
    """Why a model that learnt from another corpus may have seen what this one holds out; empty if it has not."""
    from trainables.corpora.leaks import describe_leak as describe

    return describe(settings, corpus, home, other, fingerprint)


@dataclass(frozen=True)
class Prepared:
    """What is known of a sweep before its first trial.

    Attributes:
        references: rows of reference lines, as `Trainable.prepare` returns them.
        judge: what tells the judge from others; None where nobody judges.
    """

    references: list[dict[str, Any]]
    judge: str | None


@user_errors()
def prepare(
    trainable: type[Trainable],
    settings: Iterable[Mapping[str, Any]],
    corpus: Corpus | None,
    progress: Progress = silent,
) -> Prepared:
    """Compute what trials of such settings share: features, judges, reference lines.

    Raises:
        UserError: the corpus or the home can't be used for it.
    """
    configs = [trainable.Config(**trial_settings) for trial_settings in settings]
    return Prepared(trainable.prepare(configs, corpus, progress), trainable.judge_id(corpus))


def can_be_evaluated(trainable: type[Trainable]) -> bool:
    """Whether there is anything to do with the best checkpoint of a trial: to judge it, or to render it."""
    return trainable.render is not Trainable.render or trainable.evaluate is not Trainable.evaluate


MODEL_SETTINGS = "model.json"
"""The file of an exported model that says what it is."""


@user_errors()
def exported(trainable: Trainable) -> Model:
    """What it takes to generate without the corpus.

    Raises:
        UserError: it generates nothing.
    """
    return trainable.exported()


@user_errors()
def save_model(folder: Path, model: Model) -> None:
    """Write an exported model into a folder."""
    from trainables.components.generation import save_model as save

    save(folder, model)


@user_errors()
def open_model(folder: Path) -> Generator[Any]:
    """The generator that a folder holds.

    Raises:
        UserError: it holds none, or one of another version.
    """
    from trainables.components.generation import open_model as open_

    return open_(folder)


@user_errors()
def kind_of(path: Path) -> str:
    """Whether a file is an `image` or a `sound`, by its name.

    Raises:
        UserError: it is neither.
    """
    from trainables.components.generation import kind_of as kind

    return kind(path)


def source_files(trainable: type[Trainable], components: Iterable[Path]) -> list[Path]:
    """The code on which results depend: all of trainables, a sweep's own trainable and components."""
    return sorted({*PACKAGE.rglob("*.py"), Path(inspect.getfile(trainable)), *components})


def imported_files(trainable: type[Trainable], components: Iterable[Path]) -> list[tuple[str, Path]]:
    """The neighbours that a sweep's own trainable and components import, each by its path below their folder."""
    own = {Path(inspect.getfile(trainable)).resolve(), *(path.resolve() for path in components)}
    outside = [path for path in own if not path.is_relative_to(PACKAGE)]
    helpers = {(name, helper) for path in outside for name, helper in helper_files(path).items()}
    return sorted((name, helper) for name, helper in helpers if helper not in own)
