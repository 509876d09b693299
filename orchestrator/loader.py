"""The one door to trainables: everything of theirs that the orchestrator uses comes through here.

What trainables call an `InputError` leaves as a `UserError`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import trainables
from orchestrator.errors import UserError
from orchestrator.mistakes import nearest
from trainables.components.progress import Progress, silent
from trainables.corpora.splits import Split
from trainables.errors import InputError
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
    "check_corpus",
    "config_values",
    "corpus_model",
    "exported",
    "find_trainables",
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
INTERFACE = ("__init__", "errors", "trainable")
"""Files beside the trainables that are none."""


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
    return {path.stem: path for path in sorted(PACKAGE.glob("*.py")) if path.stem not in INTERFACE}


def load_trainable(reference: str, folder: Path) -> type[Trainable]:
    """The one trainable that a file defines.

    Args:
        reference: the name of a shipped one, or a path.
        folder: what a relative path is relative to.

    Raises:
        UserError: there is no such file, it can't be imported, or it doesn't define exactly one trainable.
    """
    shipped = find_trainables()
    if is_file(reference):
        path = (folder / reference).resolve()
    elif reference in shipped:
        path = shipped[reference]
    else:
        raise UserError(
            f"unknown trainable {reference!r}{nearest(reference, shipped)}; "
            f"shipped: {', '.join(shipped) or 'none'}; one of your own is a path such as ./my_unet.py"
        )
    return _only_trainable(_import_file(path), path)


def _only_trainable(module: ModuleType, path: Path) -> type[Trainable]:
    own = [
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Trainable) and found.__module__ == module.__name__
    ]
    concrete = [found for found in own if not inspect.isabstract(found)]
    if len(concrete) != 1:
        missing = [f"{found.__name__} lacks {', '.join(sorted(found.__abstractmethods__))}" for found in own]
        what = ", ".join(found.__name__ for found in concrete) or "; ".join(missing) or "none"
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
    if not path.is_file():
        beside = nearest(path.name, (each.name for each in path.parent.glob("*.py")))
        raise UserError(f"{path}: no such file{beside}")
    try:
        if path.is_relative_to(PACKAGE):
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            return importlib.import_module(".".join([trainables.__name__, *parts]))
        return _import_outside(path)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{_line_of(error, path)}: can't be imported: {what}") from error


def _import_outside(path: Path) -> ModuleType:
    """Import a file under a name that no other file has."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    # Behind all others, so that a file can import its neighbours and can't shadow what is installed.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _line_of(error: Exception, path: Path) -> str:
    """The last line of a file that led to an error."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


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
    configs = [trainable.Config(**each) for each in settings]
    return Prepared(trainable.prepare(configs, corpus, progress), trainable.judge_id(corpus))


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
