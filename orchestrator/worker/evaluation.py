"""The evaluation of an ended trial's best checkpoint: its renderings, and for confirm trials the test split."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.plugins import loader
from orchestrator.search_space.combinations import rendering_name
from orchestrator.state.paths import BEST, CHECKPOINT
from orchestrator.worker import checkpoint, media, outbox
from orchestrator.worker.attempt import build, device_of, render
from orchestrator.worker.spec import TrialSpec
from reports import vocabulary as words

RENDERINGS = "renderings"
"""In a trial's folder: the folder of the renderings, with a folder for each."""
TABLES = {"test": words.ARTIFACT_PER_RECORDING, "validation": words.ARTIFACT_PER_RECORDING_VALIDATION}
PREFIXES = {"test": words.TEST_PREFIX, "validation": words.SOUND_PREFIX}


def evaluate(spec: TrialSpec) -> dict[str, Any]:
    """Evaluate a trial's best checkpoint.

    It is rendered into `media/best` and evaluated on the splits of `spec`. The same is done with the settings of each
    rendering, and there always on the validation split too.

    Returns:
        The `metrics` (`test/<name>`: the mean over recordings of each column of `per_recording.csv`, and metrics of the
        whole split), and a list of `renderings`, each with its name, settings, folder and metrics.

    Raises:
        InUse: another process still evaluates the trial, such as one that has outlived its driver.
        FileNotFoundError: the best checkpoint was deleted.
    """
    # Without the lock two processes could write the same media at once.
    with outbox.lock_trial(Path(spec.folder), spec.number, outbox.EVALUATION_LOCK):
        return _evaluate(spec, Path(spec.folder))


def _evaluate(spec: TrialSpec, folder: Path) -> dict[str, Any]:
    best = folder / CHECKPOINT / BEST
    if not best.exists():
        raise FileNotFoundError(f"{best}: its best checkpoint has been deleted")
    device = device_of(spec)
    with contextlib.closing(build(spec, device)) as trainable:
        saved = checkpoint.load(best, device)
        trainable.load_state_dict(saved["state"])
        epoch = saved["row"]["epoch"]
        metrics = _judge(trainable, spec, folder / "media" / "best", epoch, spec.splits)
        renderings = []
        for settings in spec.renderings:
            trainable.config = trainable.Config(**{**spec.config, **settings})
            name = rendering_name(settings)
            target = f"{RENDERINGS}/{re.sub(r'[^A-Za-z0-9_=,-]+', '_', name)}"
            values = _judge(trainable, spec, folder / target, epoch, ("validation", *spec.splits))
            renderings.append({"name": name, "settings": dict(settings), "folder": target, "metrics": values})
    return {"metrics": metrics, "renderings": renderings}


def _judge(
    trainable: loader.Trainable, spec: TrialSpec, target: Path, epoch: int, splits: Sequence[loader.Split]
) -> dict[str, float]:
    """Write sounds, pictures and tables of a trainable into a folder.

    Returns:
        The mean over recordings of each column of numbers in the tables, and their `split_metrics`.
    """
    metrics: dict[str, float] = {}
    tables: dict[str, pd.DataFrame] = {}
    for split in splits:
        table = trainable.evaluate(split)
        if table is not None:
            tables[TABLES[split]] = table
            numbers = table.select_dtypes("number").mean().to_dict() | table.attrs.get(loader.SPLIT_METRICS, {})
            metrics |= {f"{PREFIXES[split]}{name}": float(value) for name, value in numbers.items()}
    rendered_media = render(trainable, spec)
    if rendered_media is not None or tables:
        media.write(target, rendered_media or loader.Media(), epoch=epoch, tables=tables)
    return metrics
