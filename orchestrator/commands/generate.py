"""`orchestrate generate dog.jpg`: generate sounds or images from images or sounds, with a trained trial."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.messages import suggest_file
from orchestrator.models.champion import Champion, export_trial, find_generating_sweep
from orchestrator.plugins import exported_models, loader

WITH_ARTICLE = {"image": "an image", "sound": "a sound"}


@dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        out: the folder of the generated files.
        sweep: the trial that generates, such as `vae/7`, or a sweep, for its best trial; None for the newest sweep that
            takes this kind of file.
        model: a model in MLflow instead, such as `models:/audiovision@champion`.
        count: the number of outputs for each input file; a reconstruction is always one.
        seed: the seed of the generated outputs.
        at_s: the start of the clip in a recording, in seconds.
    """

    out: Path
    sweep: str | None = None
    model: str | None = None
    count: int = 4
    seed: int = 0
    at_s: float = 0.0


def generate(home: Path, files: Sequence[Path], options: Options, say: Callable[[str], None]) -> list[Path]:
    """Write `out/<file>_<k>.wav` or `.png`, and print the class that the judge predicts for each.

    Args:
        home: the folder of all sweeps.
        files: the inputs, all images or all sounds.
        options: the options of the command.
        say: prints a line.

    Returns:
        The paths of the generated files.

    Raises:
        UserError: a file can't be used, or there is no model for it; the outputs of files before it are written.
    """
    for file in files:
        # Before a model is exported, which takes seconds.
        if file.is_dir():
            raise UserError(f"{file}: is a folder; give files in it")
        if not file.is_file():
            raise UserError(f"{file}: no such file{suggest_file(file)}")
    kinds = {exported_models.kind_of(path) for path in files}
    if len(kinds) > 1:
        one, other = (next(file for file in files if exported_models.kind_of(file) == kind) for kind in sorted(kinds))
        raise UserError(f"{one} is an image and {other} is a sound; give files of one kind")
    stems = Counter(file.stem for file in files)
    if twins := [str(file) for file in files if stems[file.stem] > 1]:
        raise UserError(f"{', '.join(twins)}: their results would have the same names; give each another -o")
    kind = kinds.pop()
    with _open_champion(home, options, kind, say) as champion:
        generator = exported_models.open_model(champion.folder)
        if generator.takes != kind:
            makes, takes = WITH_ARTICLE[generator.makes], WITH_ARTICLE[generator.takes]
            raise UserError(
                f"{files[0]}: is {WITH_ARTICLE[kind]}, and {champion.origin['sweep']} generates {makes} from {takes}; "
                "give it one, or name another --sweep or --model"
            )
        say(champion.description)
        # Inside the block: code of the user's in a downloaded model may import its other files late.
        return _write_all(generator, files, options, say)


@contextmanager
def _open_champion(home: Path, options: Options, kind: str, say: Callable[[str], None]) -> Iterator[Champion]:
    if options.model is None:
        yield export_trial(home, options.sweep or find_generating_sweep(home, kind), say)
        return
    if options.sweep is not None:
        raise UserError("--sweep and --model exclude each other; give one")
    from orchestrator.models.registry import download_model

    with download_model(home, options.model) as folder:
        content = json.loads((folder / exported_models.MODEL_SETTINGS).read_text(encoding="utf-8"))
        yield Champion(folder, content["origin"])


def _write_all(generator: Any, files: Sequence[Path], options: Options, say: Callable[[str], None]) -> list[Path]:
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        return [path for file in files for path in _generate_for_file(generator, file, options, say)]
    except OSError as error:
        raise UserError(f"--out {options.out}: can't be written ({error.strerror or error}); choose another") from error


def _generate_for_file(generator: Any, file: Path, options: Options, say: Callable[[str], None]) -> list[Path]:
    """Read an input, write its outputs, print the class that the judge predicts for each, and return their paths."""
    with loader.user_errors():
        source = generator.read(file, options.at_s)
    paths = []
    for number, generated in enumerate(generator.generate(source, count=options.count, seed=options.seed), start=1):
        path = options.out / f"{file.stem}_{number}.{'wav' if generator.makes == 'sound' else 'png'}"
        if generator.makes == "sound":
            import soundfile

            # Opened here, because soundfile's own error about a path is not an OSError.
            with path.open("wb") as opened:
                soundfile.write(opened, generated.content, generator.rate_hz, format="WAV", subtype="PCM_16")
        else:
            from PIL import Image

            Image.fromarray(generated.content).save(path)
        say(f"{path}: the judge predicts {generated.class_name} ({generated.probability:.2f})")
        paths.append(path)
    return paths
