"""Models that generate sounds or images without their corpus, as `trainables` exports them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plugins.corpora import user_errors

if TYPE_CHECKING:
    from trainables.components.generation import Generator, Model
    from trainables.trainable import Trainable

MODEL_SETTINGS = "model.json"
"""The file with the settings of an exported model, in its folder."""


@user_errors()
def export_model(trainable: Trainable) -> Model:
    """Return everything that a trained generator needs to generate without its corpus.

    Raises:
        UserError: the trainable is not a generator.
    """
    return trainable.exported()


@user_errors()
def save_model(folder: Path, model: Model) -> None:
    """Write an exported model into a folder."""
    from trainables.components.generation import save_model as save

    save(folder, model)


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
