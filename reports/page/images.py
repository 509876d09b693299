"""The images of a report: for each probe clip, the input or generated images of each arm's best trial."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from reports import vocabulary as words
from reports.page.data_uris import encode
from reports.runs.artifacts import ArtifactError, download, list_files
from reports.runs.frames import SweepRuns

MAX_BYTES = 1_500_000
"""Maximum size of the images in one page; images beyond it are left out."""

Images = dict[str, dict[str, str]]
"""Images as data URIs, by clip and then by arm."""


def read_images(runs: SweepRuns, max_bytes: int = MAX_BYTES) -> Images:
    """Return the images of each arm's best trial at its best epoch.

    Args:
        runs: the sweep; trials whose images can't be read are added to its notes.
        max_bytes: size of all images together.
    """
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
                        images.setdefault(clip, {})[str(row["arm"])] = encode(f"image/{path.suffix[1:]}", content)
            # A table of another form than MLflow's lacks these keys.
            except (ArtifactError, ValueError, KeyError, TypeError) as error:
                runs.notes.append(f"{target.name}: its images can't be read ({error})")
    return images


def _images(runs: SweepRuns, run_id: str, folder: Path) -> dict[str, Path]:
    """Download the thumbnails in a trial's table of clips and return their paths by clip; empty if it has no images."""
    if words.ARTIFACT_CLIPS not in list_files(runs.client, run_id):
        return {}
    table = json.loads(download(runs.client, run_id, words.ARTIFACT_CLIPS, folder).read_text())
    if words.CLIP_IMAGE not in table["columns"]:
        return {}
    rows: list[dict[str, Any]] = [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]
    cells = {str(row[words.CLIP_NAME]): row[words.CLIP_IMAGE] for row in rows if row[words.CLIP_IMAGE]}
    # MLflow stores each image of a table in full and as a compressed thumbnail.
    paths = {clip: cell["compressed_filepath"] for clip, cell in cells.items()}
    return {clip: download(runs.client, run_id, path, folder) for clip, path in paths.items()}
