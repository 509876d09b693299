"""One reference line: what is reached without a model, measured once a corpus and judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.support.cache import made_once

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def measure_reference_line(
    corpus: Corpus, name: str, size: str, key: str, measure: Callable[[], Mapping[str, float]]
) -> dict[str, Any]:
    """A row of a sweep's tables; read from the corpus's folder where it was measured before.

    Args:
        size: of the grid that it is about; empty where it is about none.
        key: tells the judge, and what else it depends on, from others.
        measure: its metrics without the prefix `val/`.
    """

    def make(path: Path) -> None:
        path.write_text(json.dumps({f"val/{key}": value for key, value in measure().items()}), encoding="utf-8")

    parts = "-".join(f"{name} {size}".replace(",", "").split())
    path = made_once(corpus.folder / f"reference-{parts}-{key}.json", make)
    return {"reference": name, "size": size or None, **json.loads(path.read_text("utf-8"))}
