"""The images of a report: for each probe clip, what the best trial of each arm saw or made."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from reports import vocabulary as words
from reports.runs.frames import SweepRuns

MAX_BYTES = 4_000_000
"""In one page; further clips are left out."""

Images = dict[str, dict[str, str]]
"""By clip, then by arm: a data URI."""


def read_images(runs: SweepRuns, max_bytes: int = MAX_BYTES) -> Images:
    """The images at the best epochs; none of trials whose tables of clips have no column of images."""
    images: Images = {}
    num_bytes = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in runs.best_trials().to_dict("records"):
            target = Path(folder) / f"trial {row['trial']}"
            target.mkdir()
            try:
                for clip, path in _images(runs, str(row["run_id"]), target).items():
                    content = path.read_bytes()
                    num_bytes += len(content)
                    if num_bytes <= max_bytes:
                        uri = f"data:image/{path.suffix[1:]};base64,{base64.b64encode(content).decode()}"
                        images.setdefault(clip, {})[str(row["arm"])] = uri
            except Exception as error:
                runs.notes.append(f"{target.name}: its images can't be read ({error})")
    return images


def _images(runs: SweepRuns, run_id: str, folder: Path) -> dict[str, Path]:
    """The small pictures that a trial's table of clips names as images, by clip."""
    names = [file.path for file in runs.client.list_artifacts(run_id)]
    if words.ARTIFACT_CLIPS not in names:
        return {}
    table = json.loads(Path(runs.client.download_artifacts(run_id, words.ARTIFACT_CLIPS, str(folder))).read_text())
    if words.CLIP_IMAGE not in table["columns"]:
        return {}
    rows: list[dict[str, Any]] = [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]
    cells = {str(row[words.CLIP_NAME]): row[words.CLIP_IMAGE] for row in rows if row[words.CLIP_IMAGE]}
    paths = {clip: cell["compressed_filepath"] for clip, cell in cells.items()}
    return {clip: Path(runs.client.download_artifacts(run_id, path, str(folder))) for clip, path in paths.items()}
