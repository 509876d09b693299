"""Once a trial has ended: what its best checkpoint sounds like and, for confirmed trials, the test split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from orchestrator import checkpoint, loader, media
from orchestrator.trial import BEST, CHECKPOINT
from orchestrator.trial_run import build, device_of, render
from orchestrator.trial_spec import TrialSpec
from reports import vocabulary as words


def evaluate(spec: TrialSpec) -> dict[str, float]:
    """Render the best checkpoint into `media/best` and judge the splits that the trial asks for.

    Returns:
        `test/<name>`: the mean over recordings of each column of `per_recording.csv`.
    """
    folder = Path(spec.folder)
    best = folder / CHECKPOINT / BEST
    if not best.exists():
        raise FileNotFoundError(f"{best}: its best checkpoint has been deleted")
    device = device_of(spec)
    trainable = build(spec, device)
    saved = checkpoint.load(best, device)
    trainable.load_state_dict(saved["state"])
    metrics: dict[str, float] = {}
    tables: dict[str, pd.DataFrame] = {}
    for split in spec.splits:
        table = trainable.evaluate(split)
        if table is not None:
            tables[words.ARTIFACT_PER_RECORDING] = table
            numbers = table.select_dtypes("number").mean()
            metrics |= {f"{split}/{name}": float(value) for name, value in numbers.items()}
    made = render(trainable, spec)
    if made is not None or tables:
        media.write(folder / "media" / "best", made or loader.Media(), epoch=saved["row"]["epoch"], tables=tables)
    return metrics
