"""`orchestrate generate dog.jpg`: sounds for pictures and pictures for sounds, by the best trial of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.models.champion import Champion, export_best, find_generating_sweep
from orchestrator.plugins import loader

RATE_HZ = 22050
A = {"image": "an image", "sound": "a sound"}


@dataclass(frozen=True)
class Options:
    """What is made and where it goes.

    Attributes:
        sweep: whose best trial makes it; None for the newest that can.
        model: a model in MLflow instead, such as `models:/audiovision@champion`.
        count: of each file so many.
        at_s: where in a recording the two seconds begin.
    """

    out: Path
    sweep: str | None = None
    model: str | None = None
    count: int = 4
    seed: int = 0
    at_s: float = 0.0


def generate(home: Path, files: Sequence[Path], options: Options, say: Callable[[str], None]) -> list[Path]:
    """Write `out/<file>_<k>.wav` or `.png`, and say what the judge takes each for.

    Raises:
        UserError: a file can't be used, or there is no model for it; files before it are written.
    """
    kinds = {loader.kind_of(path) for path in files}
    if len(kinds) > 1:
        raise UserError("images and sounds together; give one kind at a time")
    wanted = kinds.pop()
    with _champion(home, options, wanted, say) as champion:
        generator = loader.open_model(champion.folder)
    if generator.takes != wanted:
        raise UserError(
            f"{files[0]}: is {A[wanted]}, and {champion.origin['sweep']} makes {A[generator.makes]} of"
            f" {A[generator.takes]}; give it one, or name another --sweep or --model"
        )
    say(champion.description)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        return [path for file in files for path in _write(generator, file, options, say)]
    except OSError as error:
        raise UserError(f"--out {options.out}: can't be written ({error.strerror or error}); choose another") from error


@contextmanager
def _champion(home: Path, options: Options, kind: str, say: Callable[[str], None]) -> Iterator[Champion]:
    if options.model is None:
        yield export_best(home, options.sweep or find_generating_sweep(home, kind), say)
        return
    if options.sweep is not None:
        raise UserError("--sweep and --model: give one of them")
    from orchestrator.models.registry import download_model

    with download_model(home, options.model) as folder:
        content = json.loads((folder / loader.MODEL_SETTINGS).read_text(encoding="utf-8"))
        yield Champion(folder, content["origin"])


def _write(generator: Any, file: Path, options: Options, say: Callable[[str], None]) -> list[Path]:
    with loader.user_errors():
        source = generator.read(file, options.at_s)
    written = []
    for number, generated in enumerate(generator.generate(source, count=options.count, seed=options.seed), start=1):
        path = options.out / f"{file.stem}_{number}.{'wav' if generator.makes == 'sound' else 'png'}"
        if generator.makes == "sound":
            import soundfile

            soundfile.write(path, generated.content, RATE_HZ, subtype="PCM_16")
        else:
            from PIL import Image

            Image.fromarray(generated.content).save(path)
        verb = "hears" if generator.makes == "sound" else "sees"
        say(f"{path}: the judge {verb} {generated.class_name} ({generated.probability:.2f})")
        written.append(path)
    return written
