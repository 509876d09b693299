"""Writes that survive a power cut: they are on the disk when the function returns.

The syncs are those of `trainables`, which run where nothing of `orchestrator` is and so can't import them from here.
"""

from __future__ import annotations

from pathlib import Path

from trainables.support.durable import make_folder, sync_file, sync_folder

__all__ = ["make_folder", "sync_file", "sync_folder", "write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Replace a file's text by one rename, so that at any time the file has the old text or the new one."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text)
    sync_file(temporary)
    temporary.replace(path)
    sync_folder(path.parent)
