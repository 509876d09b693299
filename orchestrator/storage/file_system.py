"""Properties of the file system that holds a path: its type, and whether it has locks and shared memory."""

from __future__ import annotations

import errno
import fcntl
import io
import re
from pathlib import Path

from orchestrator.errors import UserError

MOUNTS = Path("/proc/mounts")
SHARED = (
    "9p afs beegfs ceph cifs coda davfs fhgfs fuse glusterfs gfs2 gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs panfs "
    "prl_fs pvfs2 smb smb2 smb3 smbfs vboxsf virtiofs wekafs"
).split()
"""Types of file systems that several machines may mount at once, or that have no memory shared between processes."""


def type_of(path: Path, mounts: Path | None = None) -> str:
    """Return the type of the file system that holds a path, such as `ext4`; "" if the system does not say.

    Args:
        path: a path, which need not exist yet.
        mounts: a table of mounts in the form of `/proc/mounts`, which is the default.
    """
    try:
        lines = (mounts or MOUNTS).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    place = path.resolve()
    kind, depth = "", -1
    for line in lines:
        _, mount, mount_kind, *_ = (*line.split(" "), "", "", "")
        # Spaces and backslashes are written as octal numbers: `\040`.
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mount))
        # Of several mounts at one point the last one hides the others.
        if place.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = mount_kind, len(point.parts)
    return kind


def is_shared(path: Path, mounts: Path | None = None) -> bool:
    """Return whether other machines may mount the file system of a path; SQLite's write-ahead log fails on such a one.

    Args:
        path: a path, which need not exist yet.
        mounts: a table of mounts in the form of `/proc/mounts`, which is the default.
    """
    kind = type_of(path, mounts)
    return kind in SHARED or kind.startswith("fuse.")


def try_lock(file: io.TextIOWrapper, operation: int) -> bool:
    """Try to lock a file, and return whether that succeeded; False if another process holds a lock.

    Args:
        file: an open file.
        operation: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

    Raises:
        UserError: the file system has no locks.
    """
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        raise UserError(
            f"{file.name}: its file system ({type_of(Path(file.name)) or 'of unknown type'}) can't lock files "
            f"({error.strerror}), so that two drivers could write one sweep; name a folder of another disk with --home"
        ) from None
    return True
