"""An object store: whole files by their keys, in S3, in Google's Cloud Storage, or in a folder that all machines see.

An object is written whole and never changed in parts or renamed. The program finds its own objects by their keys,
and lists only those of other machines, so that a list that lags behind does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from orchestrator.errors import UserError
from orchestrator.storage import durable
from orchestrator.storage.address import parse_address
from orchestrator.storage.connection import connect

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

PATIENCE_S = 600.0
"""How long a passing error of the store is waited for."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 15.0
"""The pauses between two tries; they double."""
CHUNK_BYTES = 4 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (
    "ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|MISSING_AUTHENTICATION|EXPIRED_TOKEN|PERMISSION"
    "|UNAUTHENTICATED|OAuth2"
)
ADVICE = {
    re.compile("NO_SUCH_BUCKET|NoSuchBucket|bucket.*(does not exist|not found)", re.I): "there is no such bucket; "
    "make it, or correct its name",
    re.compile(f"{DENIED}|Forbidden|HTTP status 40[13]|response code 40[13]|[Cc]redentials", re.I): "access is denied; "
    "the credentials of this machine (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, "
    "GOOGLE_APPLICATION_CREDENTIALS, or the machine's role) have to allow reading, writing, listing and deleting",
}
"""What to do about errors that do not pass by themselves, by their texts."""
LASTING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""The errors of folders that do not pass by themselves."""

Result = TypeVar("Result")


class StoreError(UserError):
    """The store can't be used, or has not answered in time; the message has its address."""


@dataclass(frozen=True)
class Content:
    """What identifies the content of an object: its size in bytes, and its SHA-256."""

    size: int
    sha256: str


class ObjectStore:
    """The objects below one address.

    Attributes:
        uri: the address.
        patience_s: how long a passing error is waited for.
    """

    def __init__(self, uri: str, say: Callable[[str], None], patience_s: float = PATIENCE_S) -> None:
        """Connect to nothing yet.

        Args:
            uri: the address (see `address`).
            say: is called with a line before an operation is tried again.
            patience_s: how long a passing error is waited for.

        Raises:
            ValueError: it is not the address of a store.
        """
        self.uri = uri
        self._address = parse_address(uri)
        self._say = say
        self.patience_s = patience_s
        self._connection: FileSystem | None = None

    @property
    def _is_folder(self) -> bool:
        return self._address.scheme == "file"

    @property
    def _files(self) -> FileSystem:
        if self._connection is None:
            self._connection = connect(self._address)
        return self._connection

    def _path(self, key: str) -> str:
        return f"{self._address.root}/{key}"

    def put(self, key: str, content: Path | bytes) -> Content:
        """Write an object, which replaces the one before as a whole.

        Args:
            key: its name.
            content: its bytes, or a file with them; only the present bytes of a file that grows.

        Returns:
            What was written.

        Raises:
            StoreError: it could not be written.
            OSError: the file can't be opened, or the disk of the store is full.
        """
        # The file is opened here, because only what the store does is tried again.
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
            size = len(content) if isinstance(content, bytes) else os.fstat(source.fileno()).st_size
            return self._try(f"write {key}", lambda: self._put(key, source, size))

    def _put(self, key: str, source: IO[bytes], size: int) -> Content:
        source.seek(0)
        hashed, left = hashlib.sha256(), size
        with self._write(key) as target:
            while left and (chunk := source.read(min(CHUNK_BYTES, left))):
                target.write(chunk)
                hashed.update(chunk)
                left -= len(chunk)
        return Content(size - left, hashed.hexdigest())

    @contextlib.contextmanager
    def _write(self, key: str) -> Iterator[Any]:
        """Yield a stream to an object that exists once the block has ended."""
        if not self._is_folder:
            # After an error in the block the stream may leave a part of the object. It is never read: the next try
            # replaces it, and every object but small ones, which are one write, is named by another one, with its hash.
            with self._files.open_output_stream(self._path(key)) as stream:
                yield stream
            return
        path = Path(self._path(key))
        durable.make_folder(path.parent)
        temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}.part")
        try:
            with temporary.open("wb") as file:
                yield file
            durable.sync_file(temporary)
            temporary.replace(path)
            durable.sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _require_folder(self) -> None:
        # It is never made: a machine that has not mounted it would write into a folder of its own, and read nothing.
        if self._is_folder and not Path(self._address.root).is_dir():
            raise StoreError(f"{self.uri}: there is no such folder on this machine; make it, or mount it there")

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a small object; None if there is none.

        Raises:
            StoreError: it could not be read.
        """

        def read() -> bytes:
            with self._files.open_input_stream(self._path(key)) as stream:
                return bytes(stream.read())

        return self._try(f"read {key}", lambda: self._or_none(read))

    def get(self, key: str, path: Path) -> Content | None:
        """Write an object into a file, which is replaced, and return what it has; None if there is no such object.

        Raises:
            StoreError: it could not be read.
            OSError: the file can't be written, or its disk is full.
        """
        with path.open("wb") as file:
            content = self._try(f"read {key}", lambda: self._or_none(lambda: self._get(key, file)))
        if content is None:
            path.unlink()
        return content

    def _get(self, key: str, file: IO[bytes]) -> Content:
        file.seek(0)
        file.truncate()
        hashed, size = hashlib.sha256(), 0
        with self._files.open_input_stream(self._path(key)) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                file.write(chunk)
                hashed.update(chunk)
                size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
        return Content(size, hashed.hexdigest())

    def list(self, prefix: str) -> dict[str, int]:
        """Return the sizes of the objects below a prefix, by their keys.

        Raises:
            StoreError: they could not be listed.
        """
        begin = len(self._address.root) + 1
        files = [info for info in self._look_below(prefix, recursive=True) if info.is_file]
        return {info.path[begin:]: info.size for info in files if not info.base_name.endswith(".part")}

    def list_prefixes(self) -> Sequence[str]:
        """Return the first parts of the keys that have several, without listing all objects.

        Raises:
            StoreError: they could not be listed.
        """
        return sorted(info.base_name for info in self._look_below("", recursive=False) if not info.is_file)

    def _look_below(self, prefix: str, *, recursive: bool) -> Sequence[FileInfo]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._path(prefix), allow_not_found=True, recursive=recursive)
        return self._try(f"list {prefix}", lambda: self._files.get_file_info(selector))

    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes; None if there is none.

        Raises:
            StoreError: the store did not say.
        """
        info = self._try(f"look at {key}", lambda: self._files.get_file_info(self._path(key)))
        return None if info.size is None else int(info.size)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there.

        Raises:
            StoreError: it could not be deleted.
        """
        self._try(f"delete {key}", lambda: self._or_none(lambda: self._files.delete_file(self._path(key))))

    def delete_below(self, prefix: str) -> None:
        """Delete all objects below a prefix.

        Raises:
            StoreError: one could not be deleted.
        """
        for key in self.list(prefix):
            self.delete(key)

    def check(self, key: str) -> None:
        """Check that an object can be written, read, listed and deleted.

        Args:
            key: the name of the object, which no other process uses.

        Raises:
            StoreError: it can't.
        """
        text = uuid.uuid4().hex.encode()
        try:
            self.put(key, text)
        except OSError as error:
            raise StoreError(f"{self.uri}: is full ({error.strerror}); free some space there") from None
        if self.read(key) != text or key not in self.list(key.rpartition("/")[0]):
            raise StoreError(f"{self.uri}: does not return what was just written to it")
        self.delete(key)

    @staticmethod
    def _or_none(work: Callable[[], Result]) -> Result | None:
        try:
            return work()
        except FileNotFoundError as error:
            if any(pattern.search(str(error)) for pattern in ADVICE):
                # A bucket that is missing is another thing than an object.
                raise OSError(str(error)) from error
            return None

    def _try(self, what: str, work: Callable[[], Result]) -> Result:
        """Do something, repeatedly as long as it fails for a reason that may pass."""
        began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                self._require_folder()
                return work()
            except (OSError, ValueError) as error:
                number = getattr(error, "errno", None)
                if number in FULL:
                    raise
                reason = " ".join(str(error).split())
                advice = next((text for pattern, text in ADVICE.items() if pattern.search(reason)), "")
                # A ValueError is Arrow's, about an option such as the region.
                is_lasting = bool(advice) or number in LASTING or isinstance(error, ValueError)
                if is_lasting or time.monotonic() + pause_s > began_s + self.patience_s:
                    raise StoreError(f"{self.uri}: can't {what}: {advice or reason}") from error
                self._say(f"{self.uri}: can't {what} ({reason}); it is tried again in {pause_s:g} s")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
