"""Trained generators in folders of their own, which need no corpus: `model.json` and `weights.safetensors`.

A model whose sweep used files of the user's has them in `code/`; opening it runs them.

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

from trainables.components.audio.clip import ClipFormat
from trainables.corpora.files import MEDIA_SUFFIXES, PICTURE_SUFFIXES
from trainables.errors import InputError
from trainables.support.cache import write_whole
from trainables.support.carried_code import CodeFile, import_code, save_code

VERSION = 1
"""The version of the folder's format; `open_model` rejects others."""
SETTINGS, WEIGHTS = "model.json", "weights.safetensors"
CODE = "code"
"""The entry of the settings with the files of the user's that are imported before the model is opened."""

Kind = Literal["sound", "image"]
Source = TypeVar("Source")


@dataclass(frozen=True)
class Model:
    """The saved form of a trained generator.

    Attributes:
        trainable: the name of the trainable that trained it.
        settings: everything beside the tensors that the generator needs, as JSON values; `classes` among it.
        tensors: the weights by name.
    """

    trainable: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with a prefix, by the rest of their names."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class Generated:
    """One generated sound or picture, with the judge's classification.

    Attributes:
        content: samples within ±1 of shape (samples,), at the generator's rate, or pixels of shape (height, width, 3).
        class_name: the most probable class.
        probability: its probability.
    """

    content: Float[np.ndarray, " samples"] | UInt8[np.ndarray, "height width 3"]
    class_name: str
    probability: float


class Generator(ABC, Generic[Source]):
    """A trained model that generates sounds from pictures, pictures from sounds, or sounds from sounds.

    Args:
        model: the saved form.

    Attributes:
        classes: the names of the corpus's classes.
        clip_format: the format of the sounds that it reads or makes.
    """

    takes: ClassVar[Kind]
    """The kind of file that `read` takes."""
    makes: ClassVar[Kind]
    """The kind of content that `generate` returns."""

    def __init__(self, model: Model) -> None:
        self.classes: list[str] = list(model.settings["classes"])
        self.clip_format = ClipFormat.from_settings(model.settings)

    @property
    def rate_hz(self) -> int:
        """The sampling rate of the sounds that it reads or makes."""
        return self.clip_format.rate_hz

    @abstractmethod
    def read(self, path: Path, at_s: float = 0.0) -> Source:
        """Read a file as the model's input.

        Args:
            path: a picture or a recording, as `takes` says.
            at_s: the start of the clip to read from a recording.

        Raises:
            InputError: the file can't be used.
        """

    @abstractmethod
    def generate(self, source: Source, *, count: int, seed: int) -> list[Generated]:
        """Generate `count` sounds or pictures from one input; the same seed gives the same ones.

        A generator without chance, such as a reconstruction, returns one, whatever `count` is.
        """

    def _label(self, contents: Sequence[NDArray[Any]], probabilities: Float[Tensor, "made classes"]) -> list[Generated]:
        """Return contents with the most probable class of each."""
        best = probabilities.max(dim=1)
        return [
            Generated(content, self.classes[int(index)], float(chance))
            for content, index, chance in zip(contents, best.indices, best.values, strict=True)
        ]


GENERATORS: dict[str, type[Generator[Any]]] = {}
"""The generator classes, by the name of the trainable whose models they use."""
Registered = TypeVar("Registered", bound=type[Generator[Any]])


def register_generator(trainable: str) -> Callable[[Registered], Registered]:
    """Return a decorator that registers a class as the generator of a trainable's models."""

    def register(generator: Registered) -> Registered:
        GENERATORS[trainable] = generator
        return generator

    return register


def detect_kind(path: Path) -> Kind:
    """Return the kind of a file by its suffix; a video counts as a sound.

    Raises:
        InputError: the suffix is neither of pictures nor of recordings.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "image"
    if suffix in MEDIA_SUFFIXES:
        return "sound"
    pictures, sounds = (" ".join(sorted(suffixes)) for suffixes in (PICTURE_SUFFIXES, MEDIA_SUFFIXES))
    raise InputError(f"{path}: neither a picture ({pictures}) nor a sound ({sounds})")


def save_model(folder: Path, model: Model, code: Sequence[CodeFile] = ()) -> None:
    """Write a model into a folder. The settings come last: a folder with settings is complete.

    Args:
        folder: the folder.
        model: the model.
        code: files of the user's that register what the model is made of, in the order in which they are imported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in model.tensors.items()}, folder / WEIGHTS)
    content = {"version": VERSION, "trainable": model.trainable, **model.settings}
    if names := save_code(folder, code):
        content[CODE] = names
    write_whole(folder / SETTINGS, json.dumps(content, indent=1).encode())


def open_model(folder: Path, device: str = "cpu") -> Generator[Any]:
    """Open the generator in a folder that `save_model` wrote.

    Args:
        folder: the folder.
        device: the torch device to generate on.

    Raises:
        InputError: there is no model in the folder, or one of another version, or its code can't be imported here.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        version, trainable = settings.pop("version"), settings.pop("trainable")
        if version != VERSION:
            raise InputError(
                f"{folder}: this model has format {version}, and this version of orchestrate reads {VERSION}; promote "
                "it again"
            )
        import_code(folder, settings.pop(CODE, []))
        tensors = load_file(folder / WEIGHTS, device=device)
        return _find_generator(trainable)(Model(trainable, settings, tensors))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no model here ({Path(str(error.filename)).name} is missing)") from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        # Unknown settings or tensors of another shape come from another version of this program.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{folder}: a model of another version of this program, or a broken one ({reason}); promote it again"
        ) from error


def _find_generator(trainable: str) -> type[Generator[Any]]:
    """Return the generator class of a trainable, which its module `generator` registers.

    Raises:
        KeyError: there is none.
    """
    if trainable not in GENERATORS and trainable.isidentifier():
        module = f"trainables.{trainable}.generator"
        if importlib.util.find_spec(module.rpartition(".")[0]) and importlib.util.find_spec(module):
            importlib.import_module(module)
    return GENERATORS[trainable]
