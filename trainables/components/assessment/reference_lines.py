"""One reference line: what is reached without a model, measured once a corpus and judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.support.cache import write_once

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def reference_line(
    corpus: Corpus, name: str, size: str, told_by: str, measure: Callable[[], Mapping[str, float]]
) -> dict[str, Any]:
    """A row of a sweep's tables; read from the corpus's folder where it was measured before.

    Args:
        size: of the grid that it is about; empty where it is about none.
        told_by: tells the judge, and what else it depends on, from others.
        measure: its metrics without the prefix `val/`.
    """

    def make(path: Path) -> None:
        path.write_text(json.dumps({f"val/{key}": value for key, value in measure().items()}), encoding="utf-8")

    parts = "-".join(f"{name} {size}".replace(",", "").split())
    path = write_once(corpus.folder / f"reference-{parts}-{told_by}.json", make)
    return {"reference": name, "size": size or None, **json.loads(path.read_text("utf-8"))}
