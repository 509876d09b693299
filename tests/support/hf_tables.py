"""Tables as the library `datasets` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

FEATURES: dict[str, dict[str, Any]] = {
    "audio": {"_type": "Audio"},
    "image": {"_type": "Image"},
    "label": {"_type": "ClassLabel", "names": ["dog", "drum"]},
}


def embed(path: Path) -> dict[str, Any]:
    """A file as it is in a column of sounds or pictures."""
    return {"bytes": path.read_bytes(), "path": path.name}


def write_hf_table(path: Path, rows: Sequence[dict[str, Any]], features: dict[str, dict[str, Any]] = FEATURES) -> None:
    """Write rows as Parquet or Arrow, by the suffix; without features, the types of columns are all there is."""
    table = pa.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
