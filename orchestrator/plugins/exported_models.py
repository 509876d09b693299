"""Models that generate sounds or images without their corpus, as `trainables` exports them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trainables
from orchestrator.plugins.corpora import user_errors
from orchestrator.plugins.user_imports import helper_files
from trainables.support.carried_code import CodeFile

if TYPE_CHECKING:
    from trainables.components.generation import Generator, Model
    from trainables.trainable import Declaration, Trainable

__all__ = ["CodeFile", "collect_code", "export_model", "kind_of", "open_model", "save_model"]

MODEL_SETTINGS = "model.json"
"""The file with the settings of an exported model, in its folder."""


@user_errors()
def export_model(trainable: Trainable) -> Model:
    """Return everything that a trained generator needs to generate without its corpus.

    Raises:
        UserError: the trainable is not a generator.
    """
    return trainable.exported()


def collect_code(declaration: type[Declaration], components: Iterable[Path]) -> list[CodeFile]:
    """Return the user's own files that a model of a sweep needs, in the order in which they are imported.

    Args:
        declaration: the declaration of the sweep's trainable; a user's own trainable is its own declaration.
        components: the files of `components:`.
    """
    package = Path(trainables.__file__).parent
    files = [*components, Path(inspect.getfile(declaration))]
    own = [file.resolve() for file in files if not file.resolve().is_relative_to(package)]
    return [CodeFile(file, helper_files(file)) for file in own]


@user_errors()
def save_model(folder: Path, model: Model, code: Sequence[CodeFile]) -> None:
    """Write an exported model into a folder, with the user's files that it needs."""
    from trainables.components.generation import save_model as save

    save(folder, model, code)


@user_errors()
def open_model(folder: Path) -> Generator[Any]:
    """Return the generator that was exported into a folder.

    Raises:
        UserError: the folder has none, or one of another version.
    """
    from trainables.components.generation import open_model as open_

    return open_(folder)


@user_errors()
def kind_of(path: Path) -> str:
    """Return whether a file is an `image` or a `sound`, by its suffix.

    Raises:
        UserError: it is neither.
    """
    from trainables.components.generation import detect_kind as kind

    return kind(path)
