"""Reference lines: baselines without a trained model, measured once per corpus and judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.components.assessment.panel_metrics import describe_additions
from trainables.support.cache import write_once

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def measure_reference_line(
    corpus: Corpus, name: str, size: str, key: str, measure: Callable[[], Mapping[str, float]]
) -> dict[str, Any]:
    """Return one baseline as a row of a sweep's tables; it is cached in the corpus's folder.

    Args:
        corpus: the corpus that it is measured on.
        name: of the line, in tables.
        size: the label of its grid; empty if it has none.
        key: part of the cache file's name; identifies the judge and whatever else the values depend on.
        measure: returns its metrics without the prefix `val/`.
    """

    def make(path: Path) -> None:
        # The duration of an added judge is none of the line's values.
        durations = {f"{judge['name']}_s" for judge in corpus.additions.judges}
        metrics = {f"val/{metric}": value for metric, value in measure().items() if metric not in durations}
        path.write_text(json.dumps(metrics), encoding="utf-8")

    parts = "-".join(f"{name} {size}".replace(",", "").split())
    key = "-".join(filter(None, (key, describe_additions(corpus))))
    path = write_once(corpus.folder / f"reference-{parts}-{key}.json", make)
    return {"reference": name, "size": size or None, **json.loads(path.read_text("utf-8"))}
