"""A trained generator as a folder of its own: `model.json` and `weights.safetensors`, which need no corpus.

generator = open_model(Path("model"))
sounds = generator.generate(generator.read(Path("dog.jpg")), count=4, seed=0)
"""

from __future__ import annotations

import importlib.util
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainables.corpora.picture_files import PICTURE_SUFFIXES
from trainables.corpora.recordings import MEDIA_SUFFIXES
from trainables.errors import InputError

VERSION = 1
"""Of what is in a folder; one of another version is not read."""
SETTINGS, WEIGHTS = "model.json", "weights.safetensors"

Kind = Literal["sound", "image"]
Source = TypeVar("Source")


@dataclass(frozen=True)
class Model:
    """What is saved of a trained generator.

    Attributes:
        trainable: the name of what trained it.
        settings: all that is needed beside the tensors, as JSON can hold it.
    """

    trainable: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with a prefix, without it."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class Generated:
    """One sound or picture, and what the judge takes it for.

    Attributes:
        content: samples within ±1 of shape (samples,), at 22,050 Hz, or pixels of shape (height, width, 3).
        class_name: the most probable class.
    """

    content: Float[np.ndarray, " samples"] | UInt8[np.ndarray, "height width 3"]
    class_name: str
    probability: float


class Generator(ABC, Generic[Source]):
    """Makes sounds of pictures, or pictures of sounds."""

    takes: ClassVar[Kind]
    makes: ClassVar[Kind]

    def __init__(self, model: Model) -> None:
        self.classes: list[str] = list(model.settings["classes"])

    @abstractmethod
    def read(self, path: Path, at_s: float = 0.0) -> Source:
        """A file as it is given to the model; of a recording the 2 s from a time on.

        Raises:
            InputError: it can't be used.
        """

    @abstractmethod
    def generate(self, source: Source, *, count: int, seed: int) -> list[Generated]:
        """So many of them, the same for the same seed."""

    def _label(self, contents: Sequence[NDArray[Any]], probabilities: Float[Tensor, "made classes"]) -> list[Generated]:
        best = probabilities.max(dim=1)
        return [
            Generated(content, self.classes[int(index)], float(chance))
            for content, index, chance in zip(contents, best.indices, best.values, strict=True)
        ]


GENERATORS: dict[str, type[Generator[Any]]] = {}
"""By the name of the trainable whose models they generate with."""
Registered = TypeVar("Registered", bound=type[Generator[Any]])


def register_generator(trainable: str) -> Callable[[Registered], Registered]:
    """Let a class generate with the models of a trainable; a decorator."""

    def register(generator: Registered) -> Registered:
        GENERATORS[trainable] = generator
        return generator

    return register


def detect_kind(path: Path) -> Kind:
    """Whether a file is given as an image or as a sound; of a video it is the sound.

    Raises:
        InputError: by its name it is neither.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "image"
    if suffix in MEDIA_SUFFIXES:
        return "sound"
    pictures, sounds = (" ".join(sorted(suffixes)) for suffixes in (PICTURE_SUFFIXES, MEDIA_SUFFIXES))
    raise InputError(f"{path}: neither a picture ({pictures}) nor a sound ({sounds})")


def save_model(folder: Path, model: Model) -> None:
    """Write a model into a folder, its settings last: they make it whole."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in model.tensors.items()}, folder / WEIGHTS)
    content = {"version": VERSION, "trainable": model.trainable, **model.settings}
    part = folder / f".{SETTINGS}.part"
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(folder / SETTINGS)


def open_model(folder: Path, device: str = "cpu") -> Generator[Any]:
    """The generator that a folder holds.

    Raises:
        InputError: it holds none, or one of another version.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        version, trainable = settings.pop("version"), settings.pop("trainable")
        if version != VERSION:
            raise InputError(f"{folder}: a model of version {version}; this program reads {VERSION}: promote it again")
        tensors = load_file(folder / WEIGHTS, device=device)
        return _find_generator(trainable)(Model(trainable, settings, tensors))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no model here ({Path(str(error.filename)).name} is missing)") from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        # Settings that are no longer known, tensors of another shape: the program that saved it was another one.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{folder}: a model of another version of this program, or a broken one ({reason}); promote it again"
        ) from error


def _find_generator(trainable: str) -> type[Generator[Any]]:
    """The class that generates with the models of a trainable: that trainable's module `generator` registers it.

    Raises:
        KeyError: there is none.
    """
    if trainable not in GENERATORS and trainable.isidentifier():
        module = f"trainables.{trainable}.generator"
        if importlib.util.find_spec(module.rpartition(".")[0]) and importlib.util.find_spec(module):
            importlib.import_module(module)
    return GENERATORS[trainable]
