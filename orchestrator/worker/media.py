"""Folders of sounds, pictures and tables that a trial makes; a folder is complete once it exists."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import soundfile
from PIL import Image

from orchestrator.plugins import loader
from orchestrator.storage import copies, durable


def write(folder: Path, media: loader.Media, *, epoch: int, tables: Mapping[str, pd.DataFrame] | None = None) -> None:
    """Write sounds (16-bit wav), pictures (png), `clips.json` and tables; an existing folder is replaced.

    They survive a power cut when this returns, because what is recorded after it says that they are there.

    Args:
        folder: the new folder, such as `trials/0007/media/epoch_05`.
        media: the value that `render` returned.
        epoch: the epoch of the weights that made the media.
        tables: each table, by its file name, which ends in .csv.
    """
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    durable.make_folder(folder.parent)
    temporary.mkdir()
    for name, samples in media.audio.items():
        soundfile.write(temporary / f"{name}.wav", samples, media.rate_hz, subtype="PCM_16")
    for name, picture in media.images.items():
        Image.fromarray(picture).save(temporary / f"{name}.png")
    (temporary / "clips.json").write_text(json.dumps({"epoch": epoch, "clips": [dict(row) for row in media.clips]}))
    for name, table in (tables or {}).items():
        # Names are quoted: pandas leaves a carriage return bare, which would end the row.
        table.to_csv(temporary / name, index=False, quoting=csv.QUOTE_NONNUMERIC)
    copies.sync_tree(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    durable.sync_folder(folder.parent)
