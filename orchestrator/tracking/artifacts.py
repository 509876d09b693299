"""The layout of a trial's renderings as artifacts that MLflow's pages show.

Pictures and the table of clips have the layout that `MlflowClient.log_image` and `log_table` of MLflow 3.17 give them,
but names that follow from the content. Those functions make a new name or append at each call, so that everything would
be there twice after it was sent again.
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
"""The name of the folder of the best epoch."""
HISTORY_PREFIX = "epoch_"
"""The prefix of the folders of other epochs."""
PICTURES = {words.CLIP_SPECTROGRAM: words.SPECTROGRAM_PREFIX, words.CLIP_IMAGE: words.IMAGE_PREFIX}
"""The columns of the table of clips that name pictures, and the prefixes of the pictures' keys."""
LEADING = (words.CLIP_NAME, *PICTURES)
"""The first columns of the table of clips."""
THUMBNAIL_PIXELS = 256
IMAGES_TAG = {"mlflow.loggedImages": "true"}
"""The tag of a run with pictures, without which MLflow's pages do not show them."""
TABLE_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": words.ARTIFACT_CLIPS, "type": "table"}])}
"""The tag of a run with a table of clips, without which MLflow's pages do not show it."""


def lay_out(media: Path, target: Path, made_ms: int) -> dict[str, str]:
    """Fill a folder with the renderings of a trial in the layout of a run's artifacts.

    Args:
        media: a folder with sounds, pictures and `clips.json`: `media/epoch_05`, `media/best`, `renderings/phase=zero`.
        target: the folder to fill; sounds and pictures are linked, not copied.
        made_ms: a time that becomes a part of file names; it has to be the same at each call for a trial.

    Returns:
        The tags of the run that make MLflow's pages show the artifacts.
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
    """Return the key of each picture in a folder of renderings, such as `spectrogram/dog_1`, by its stem."""
    clips = json.loads((media / words.ARTIFACT_CLIPS).read_text())["clips"]
    prefixes = {clip[column]: prefix for clip in clips for column, prefix in PICTURES.items() if column in clip}
    keys = {}
    for stem in sorted(path.stem for path in media.glob("*.png")):
        # MLflow refuses other characters in keys.
        name = re.sub(r"[^\w\-. ]", "_", stem, flags=re.ASCII)
        keys[stem] = prefixes.get(stem, words.SPECTROGRAM_PREFIX) + name
    return keys


def _lay_out_picture(file: Path, key: str, target: Path, epoch: int, made_ms: int) -> str:
    """Put a picture and its thumbnail into `target` as a step of an image chart; return its path without suffix."""
    name = f"images/{key.replace('/', '~')}+step+{epoch}+timestamp+{made_ms}"
    name = f"{name}+{uuid.uuid5(uuid.NAMESPACE_OID, name)}"
    if (target / f"{name}.png").exists():
        # The best epoch may also be in the history, with the same picture.
        return name
    (target / "images").mkdir(exist_ok=True)
    (target / f"{name}.png").symlink_to(file)
    with Image.open(file) as picture:
        picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        picture.save(target / f"{name}+compressed.webp")
    return name


def _table(clips: list[json_lines.Line], pictures: dict[str, str]) -> dict[str, Any]:
    """Return MLflow's form of a table with a row for each clip; cells that name a picture show it.

    The columns of `LEADING` come first, because MLflow's page of tables compares runs by the second column.
    """
    keys = dict.fromkeys(key for clip in clips for key in clip)
    columns = sorted(keys, key=lambda key: LEADING.index(key) if key in LEADING else len(LEADING))
    rows = []
    for clip in clips:
        rows.append([_cell(column, clip.get(column), pictures) for column in columns])
    return {"columns": columns, "data": rows}


def _cell(column: str, value: Any, pictures: dict[str, str]) -> Any:
    """Return MLflow's form of a cell; `pictures` has the path of each picture without suffix, by its stem."""
    if column not in PICTURES or value not in pictures:
        return value
    path = pictures[value]
    return {"type": "image", "filepath": f"{path}.png", "compressed_filepath": f"{path}+compressed.webp"}
