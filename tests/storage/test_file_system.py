"""The file systems that a home may lie on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orchestrator.storage import file_system
from orchestrator.storage.file_system import is_shared, type_of
from orchestrator.tracking.database import prepare_database

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export {home}/on\\040nfs nfs4 rw 0 0
server:/deep {home}/on\\040nfs/local xfs rw 0 0
me@host: {home}/sshfs fuse.sshfs rw 0 0
/dev/sdb1 {home}/stick fuseblk rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(MOUNTS.format(home=tmp_path.resolve()))
    return path


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("on nfs/runs", "nfs4", True),
        ("on nfs/local/runs", "xfs", False),
        ("on nfs 2/runs", "ext4", False),
        ("sshfs", "fuse.sshfs", True),
        ("stick/runs", "fuseblk", False),
        (".", "ext4", False),
    ],
)
def test_the_innermost_mount_says_the_type(tmp_path: Path, mounts: Path, path: str, kind: str, shared: bool) -> None:
    assert (type_of(tmp_path / path, mounts), is_shared(tmp_path / path, mounts)) == (kind, shared)


def test_a_system_without_a_table_of_mounts_says_nothing(tmp_path: Path) -> None:
    assert (type_of(tmp_path, tmp_path / "none"), is_shared(tmp_path, tmp_path / "none")) == ("", False)


@pytest.mark.parametrize(("folder", "mode"), [("on nfs", "delete"), ("on nfs/local", "wal")])
def test_a_database_on_a_shared_disk_has_no_write_ahead_log(
    tmp_path: Path, mounts: Path, folder: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_system, "MOUNTS", mounts)
    path = tmp_path / folder / "mlflow.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        # As a version before left it.
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with prepare_database(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
    connection.close()
