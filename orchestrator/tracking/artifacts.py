"""A trial's renderings as the artifacts that MLflow's pages know how to show.

Pictures and the table of clips are laid out as `MlflowClient.log_image` and `log_table` of MLflow 3.17 would, but under
names that follow from the content: those calls invent a name or append at each call, so that sending again would
double everything.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.storage import json_lines
from reports import vocabulary as words

BEST = "best"
"""The folder of the best epoch."""
HISTORY_PREFIX = "epoch_"
"""With which the folders of other epochs begin."""
PICTURES = {words.CLIP_SPECTROGRAM: words.SPECTROGRAM_PREFIX, words.CLIP_IMAGE: words.IMAGE_PREFIX}
"""Columns that name pictures, and how the keys of those begin."""
LEADING = (words.CLIP_NAME, *PICTURES)
"""The first columns of the table of clips."""
THUMBNAIL_PIXELS = 256
IMAGES_TAG = {"mlflow.loggedImages": "true"}
TABLE_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": words.ARTIFACT_CLIPS, "type": "table"}])}
"""What tells MLflow's pages to look for pictures and for the table."""


def lay_out(media: Path, target: Path, made_ms: int) -> dict[str, str]:
    """Put a folder of renderings into `target` as it is to lie below the run's root.

    Args:
        media: such as `media/epoch_05`, `media/best` or `renderings/phase=zero`: sounds, pictures and `clips.json`.
        target: an empty folder; large files are linked, not copied.
        made_ms: a time that is the same whenever this is done again.

    Returns:
        Tags that tell MLflow's pages what is there.
    """
    clips = json.loads((media / words.ARTIFACT_CLIPS).read_text())
    is_history = media.name.startswith(HISTORY_PREFIX)
    sounds = target / words.ARTIFACT_AUDIO / media.name if is_history else target
    sounds.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    keys = picture_keys(media)
    for file in sorted(media.iterdir()):
        if file.suffix == ".png":
            pictures[file.stem] = _lay_out_picture(file, keys[file.stem], target, clips["epoch"], made_ms)
        elif file.suffix == ".wav" or (not is_history and file.name != words.ARTIFACT_CLIPS):
            (sounds / file.name).symlink_to(file)
    if clips["clips"] and not is_history:
        (target / words.ARTIFACT_CLIPS).write_text(json.dumps(_table(clips["clips"], pictures)))
        return (IMAGES_TAG if pictures else {}) | TABLE_TAG
    return IMAGES_TAG if pictures else {}


def picture_keys(media: Path) -> dict[str, str]:
    """The key of each picture of a folder of renderings, such as `spectrogram/dog_1`, by its stem."""
    clips = json.loads((media / words.ARTIFACT_CLIPS).read_text())["clips"]
    prefixes = {clip[column]: prefix for clip in clips for column, prefix in PICTURES.items() if column in clip}
    stems = sorted(path.stem for path in media.glob("*.png"))
    return {
        stem: prefixes.get(stem, words.SPECTROGRAM_PREFIX) + re.sub(r"[^\w\-. ]", "_", stem, flags=re.ASCII)
        for stem in stems
    }


def _lay_out_picture(file: Path, key: str, target: Path, epoch: int, made_ms: int) -> str:
    """The picture and its thumbnail as a step of an image chart; its path without suffix."""
    name = f"images/{key.replace('/', '~')}+step+{epoch}+timestamp+{made_ms}"
    name = f"{name}+{uuid.uuid5(uuid.NAMESPACE_OID, name)}"
    if (target / f"{name}.png").exists():
        # The best epoch may be one that is kept for the history too: the same picture.
        return name
    (target / "images").mkdir(exist_ok=True)
    (target / f"{name}.png").symlink_to(file)
    with Image.open(file) as picture:
        picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        picture.save(target / f"{name}+compressed.webp")
    return name


def _table(clips: list[json_lines.Line], pictures: dict[str, str]) -> dict[str, Any]:
    """A row a clip; a cell that names a picture shows it. The page of tables compares runs by the second column."""
    keys = [key for clip in clips for key in clip]
    columns = sorted(dict.fromkeys(keys), key=lambda key: LEADING.index(key) if key in LEADING else len(LEADING))
    return {"columns": columns, "data": [[_cell(key, clip.get(key), pictures) for key in columns] for clip in clips]}


def _cell(column: str, value: Any, pictures: dict[str, str]) -> Any:
    if column not in PICTURES or value not in pictures:
        return value
    path = pictures[value]
    return {"type": "image", "filepath": f"{path}.png", "compressed_filepath": f"{path}+compressed.webp"}
