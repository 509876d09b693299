"""The layout of a trial's renderings as artifacts that MLflow's pages show.

Pictures and the table of clips have the layout that `MlflowClient.log_image` and `log_table` of MLflow 3.17 give them,
but names that follow from the content. Those functions make a new name or append at each call, so that everything would
be there twice after it was sent again.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.storage import json_lines
from reports import vocabulary as words

BEST = "best"
"""The name of the folder of the best epoch."""
HISTORY_PREFIX = "epoch_"
"""The prefix of the folders of other epochs."""
PICTURES = {words.CLIP_SPECTROGRAM: words.SPECTROGRAM_PREFIX, words.CLIP_IMAGE: words.IMAGE_PREFIX}
"""The columns of the table of clips that name pictures, and the prefixes of the pictures' keys."""
LEADING = (words.CLIP_NAME, *PICTURES)
"""The first columns of the table of clips."""
SINGLE = (words.ORIGINAL, words.RECONSTRUCTION)
"""The columns of a clip that name pictures of one sound each; they are in the table of pictures alone."""
PICTURE = "picture"
"""The column of the table of pictures that has them."""
DIGITS = 2
"""The significant digits of numbers in the table of clips."""
THUMBNAIL_PIXELS = 256
CELL_PIXELS = 512
"""The side of a square thumbnail of the table of pictures."""
IMAGES_TAG = {"mlflow.loggedImages": "true"}
"""The tag of a run with pictures, without which MLflow's pages do not show them."""


def lay_out(media: Path, target: Path, made_ms: int) -> dict[str, str]:
    """Fill a folder with the renderings of a trial in the layout of a run's artifacts.

    Args:
        media: a folder with sounds, pictures and `clips.json`: `media/epoch_05`, `media/best`, `renderings/phase=zero`.
        target: the folder to fill; sounds and pictures are linked, not copied.
        made_ms: a time that becomes a part of file names; it has to be the same at each call for a trial.

    Returns:
        The tags of the run that make MLflow's pages show the artifacts.
    """
    record = json.loads((media / words.ARTIFACT_CLIPS).read_text())
    clips: list[json_lines.Line] = record["clips"]
    is_history = media.name.startswith(HISTORY_PREFIX)
    step = record["epoch"] if is_history else 0
    sounds = target / words.ARTIFACT_AUDIO / media.name if is_history else target
    sounds.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    keys = make_picture_keys(media)
    for file in sorted(media.iterdir()):
        if file.suffix == ".png":
            if file.stem in keys:
                pictures[file.stem] = _lay_out_picture(file, keys[file.stem], target, step, made_ms)
        elif file.suffix == ".wav" or (not is_history and file.name != words.ARTIFACT_CLIPS):
            (sounds / file.name).symlink_to(file)
    tags = IMAGES_TAG if pictures else {}
    if not clips or is_history:
        return tags
    tables = {words.ARTIFACT_PICTURES: _lay_out_cells(clips, media, target)} if pictures else {}
    tables[words.ARTIFACT_CLIPS] = _table(clips, pictures)
    for name, table in tables.items():
        (target / name).write_text(json.dumps(table))
    # MLflow's table of artifacts opens the first one.
    return tags | {"mlflow.loggedArtifacts": json.dumps([{"path": name, "type": "table"} for name in tables])}


def make_picture_keys(media: Path) -> dict[str, str]:
    """Return MLflow's image key, such as `spectrogram/dog_1`, of each picture that an image chart shows.

    Pictures of one sound are left out: the table of pictures shows them.

    Args:
        media: a folder with `clips.json` and .png files.

    Returns:
        The keys by the stem of the picture's file.
    """
    clips = json.loads((media / words.ARTIFACT_CLIPS).read_text())["clips"]
    prefixes = {clip[column]: prefix for clip in clips for column, prefix in PICTURES.items() if column in clip}
    pictures_of_one_sound = {stem for clip in clips for stem in _single_stems(clip).values()} - set(prefixes)
    best_prefix = "" if media.name.startswith(HISTORY_PREFIX) else words.BEST_PICTURE_PREFIX
    keys = {}
    for stem in sorted(path.stem for path in media.glob("*.png")):
        if stem not in pictures_of_one_sound:
            # MLflow refuses other characters in keys.
            name = re.sub(r"[^\w\-. ]", "_", stem, flags=re.ASCII)
            keys[stem] = best_prefix + prefixes.get(stem, words.SPECTROGRAM_PREFIX) + name
    return keys


def _lay_out_picture(file: Path, key: str, target: Path, step: int, made_ms: int) -> str:
    """Put a picture and its thumbnail into `target` as a step of an image chart; return its path without suffix."""
    name = f"images/{key.replace('/', '~')}+step+{step}+timestamp+{made_ms}"
    name = f"{name}+{uuid.uuid5(uuid.NAMESPACE_OID, name)}"
    (target / "images").mkdir(exist_ok=True)
    (target / f"{name}.png").symlink_to(file)
    with Image.open(file) as picture:
        picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        picture.save(target / f"{name}+compressed.webp")
    return name


def _lay_out_cells(clips: list[json_lines.Line], media: Path, target: Path) -> dict[str, Any]:
    """Put pictures and square thumbnails into `target`, and return the table of pictures.

    MLflow compares runs by the first column after the clip's name that has text, or else by the first with pictures:
    so this table has no other column. Each clip has a row for the original and, below it, one for the reconstruction;
    a clip without such pictures has one row.

    Args:
        clips: the clips of the folder.
        media: the folder with the pictures.
        target: the folder to fill.
    """
    folder = target / Path(words.ARTIFACT_PICTURES).stem
    folder.mkdir(exist_ok=True)
    rows = []
    for clip in clips:
        name = clip.get(words.CLIP_NAME)
        stems = {f"{name}, {column}": stem for column, stem in _single_stems(clip).items()}
        if not stems:
            stems = {str(name): str(next((clip[column] for column in PICTURES if column in clip), ""))}
        for row_name, stem in stems.items():
            picture = folder / f"{stem}.png"
            if (media / picture.name).exists() and not picture.exists():
                thumbnail = picture.with_name(f"{stem}.webp")
                picture.symlink_to(media / picture.name)
                _draw_cell(picture).save(thumbnail, quality=90)
                rows.append(
                    [row_name, _picture_cell(*(str(path.relative_to(target)) for path in (picture, thumbnail)))]
                )
    return {"columns": [words.CLIP_NAME, PICTURE], "data": rows}


def _single_stems(clip: json_lines.Line) -> dict[str, str]:
    """Return the stems of a clip's pictures of one sound, by their columns."""
    return {column: clip[column] for column in SINGLE if isinstance(clip.get(column), str)}


def _draw_cell(file: Path) -> Image.Image:
    """Return a picture in the upper half of a transparent square.

    MLflow's table shows a thumbnail in a square as wide as the column, and cuts it below the half of its height.
    """
    square = Image.new("RGBA", (CELL_PIXELS, CELL_PIXELS))
    with Image.open(file) as picture:
        scale = min(CELL_PIXELS / picture.width, CELL_PIXELS / 2 / picture.height)
        width, height = round(picture.width * scale), round(picture.height * scale)
        resized = picture.convert("RGB").resize((width, height))
    square.paste(resized, ((CELL_PIXELS - width) // 2, 0))
    return square


def _table(clips: list[json_lines.Line], pictures: dict[str, str]) -> dict[str, Any]:
    """Return MLflow's form of a table with a row for each clip; cells that name a picture show it.

    The columns of `LEADING` come first, because MLflow's page of tables compares runs by the second column.
    """
    keys = dict.fromkeys(key for clip in clips for key in clip if key not in _single_stems(clip))
    columns = sorted(keys, key=lambda key: LEADING.index(key) if key in LEADING else len(LEADING))
    rows = []
    for clip in clips:
        rows.append([_cell(column, clip.get(column), pictures) for column in columns])
    return {"columns": columns, "data": rows}


def _cell(column: str, value: Any, pictures: dict[str, str]) -> Any:
    """Return MLflow's form of a cell; `pictures` has the path of each picture without suffix, by its stem."""
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    if column not in PICTURES or value not in pictures:
        return value
    return _picture_cell(f"{pictures[value]}.png", f"{pictures[value]}+compressed.webp")


def _picture_cell(path: str, thumbnail: str) -> dict[str, str]:
    """Return MLflow's form of a cell with a picture."""
    return {"type": "image", "filepath": path, "compressed_filepath": thumbnail}
