"""An object store in a folder: what it keeps, what it waits for, and what it says of an address that can't be used."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from orchestrator.storage.address import make_absolute, parse_address
from orchestrator.storage.objects import Content, ObjectStore, StoreError
from tests.support.mounts import read_only, tmpfs


@pytest.fixture
def said() -> list[str]:
    """What a store says."""
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> ObjectStore:
    """A store in a folder."""
    (tmp_path / "store").mkdir()
    return ObjectStore(f"file://{tmp_path}/store", said.append, patience_s=20)


def test_an_object_is_read_as_it_was_written_and_deleted_by_its_prefix(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5_000_000)
    content = store.put("a/b/file", tmp_path / "file")
    assert store.put("a/c", b"text") == Content(4, "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")
    assert store.get("a/b/file", tmp_path / "copy") == content and content.size == 5_000_000
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()
    assert store.read("a/c") == b"text" and store.size("a/c") == 4
    assert store.list("a") == {"a/b/file": 5_000_000, "a/c": 4}
    assert store.read("a/d") is None and store.size("a/d") is None and store.get("a/d", tmp_path / "copy") is None
    assert store.list("b") == {}
    store.put("root", b"text")
    assert store.list_prefixes() == ["a"]
    store.delete("root")
    store.delete("a/d")
    store.delete_below("a/b")
    assert store.list("") == {"a/c": 4}
    store.check("checks/mine")
    assert store.list("checks") == {}


def test_a_file_that_grows_is_written_as_it_was_at_the_beginning(store: ObjectStore, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"line\n")
    with log.open("ab") as file:
        reading = threading.Thread(target=lambda: [file.write(b"more\n") for _ in range(1000)])
        reading.start()
        content = store.put("log", log)
        reading.join()
    assert store.size("log") == content.size and content.size % 5 == 0


def test_a_file_that_is_gone_is_no_fault_of_the_store(store: ObjectStore, said: list[str], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="deleted meanwhile"):
        store.put("a", tmp_path / "deleted meanwhile")
    assert store.list("") == {} and not said


def test_a_target_without_a_folder_is_no_missing_object(store: ObjectStore, said: list[str], tmp_path: Path) -> None:
    store.put("a", b"text")
    with pytest.raises(FileNotFoundError, match="absent"):
        store.get("a", tmp_path / "absent" / "copy")
    assert store.get("b", tmp_path / "copy") is None and not (tmp_path / "copy").exists() and not said


def test_an_error_that_passes_is_waited_for_and_said(store: ObjectStore, said: list[str], tmp_path: Path) -> None:
    # A loop of links, as a network file system may show one for a while.
    loop = tmp_path / "store" / "a"
    loop.symlink_to(loop)

    def end() -> None:
        time.sleep(1.2)
        loop.unlink()

    thread = threading.Thread(target=end)
    thread.start()
    store.put("a/b", b"text")
    thread.join()
    assert store.read("a/b") == b"text"
    assert said and all("can't write a/b" in line and "it is tried again in" in line for line in said)


def test_an_error_that_does_not_pass_ends_with_the_address(said: list[str]) -> None:
    # Nothing listens there.
    store = ObjectStore("s3://bucket/runs?endpoint_override=127.0.0.1:9&scheme=http", said.append, patience_s=5)
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"s3://bucket/runs.*: can't write a: .*NETWORK_CONNECTION"):
        store.put("a", b"text")
    assert said and time.monotonic() - began < 60


def test_a_folder_that_is_not_mounted_is_never_made(tmp_path: Path, said: list[str]) -> None:
    store = ObjectStore(str(tmp_path / "absent"), said.append)
    with pytest.raises(StoreError, match="there is no such folder on this machine; make it, or mount it there"):
        store.check("checks/mine")
    assert not (tmp_path / "absent").exists() and not said


@pytest.mark.root
def test_a_folder_that_can_only_be_read_is_said_at_once(store: ObjectStore, said: list[str], tmp_path: Path) -> None:
    with read_only(tmp_path / "store"), pytest.raises(StoreError, match=r"can't write checks/mine: .*Read-only"):
        store.check("checks/mine")
    assert not said


@pytest.mark.root
def test_a_full_disk_is_said_as_such_and_leaves_what_was_there(store: ObjectStore, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "store", "64k"):
        store.put("a", b"x" * 100)
        with pytest.raises(OSError, match="No space left") as error:
            store.put("a", b"x" * 100_000)
        assert error.value.errno == errno.ENOSPC
        assert store.list("") == {"a": 100} and len(list((tmp_path / "store").iterdir())) == 1
        # Almost nothing is left for a check.
        (tmp_path / "store" / "rest").write_bytes(b"x" * 40_000)
        with contextlib.suppress(OSError):
            (tmp_path / "store" / "rest").open("ab").write(b"x" * 40_000)
        with pytest.raises(StoreError, match=r"is full .*; free some space there"):
            store.check("checks/mine")


@pytest.mark.parametrize(
    ("address", "said_of_it"),
    [
        ("s4://bucket/runs", r"has the unknown scheme s4://, did you mean s3://\?"),
        ("https://bucket/runs", r"has the unknown scheme https://"),
        ("s3:///runs", r"names no bucket \(''\); write s3://BUCKET/PREFIX"),
        ("s3://key:secret@bucket/runs", r"has a user or a password, which would be stored"),
        ("s3://bucket/runs?regio=eu", r"has the unknown option regio after \?; allowed: endpoint_override, region"),
        ("file://nfs/runs", r"names the machine nfs; a folder has three slashes"),
        ("s3://bucket/../other", r"has \.\. or # in it"),
        (make_absolute(""), r"needs s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or a folder"),
        ("runs", r"needs s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or a folder"),
    ],
)
def test_a_wrong_address_is_explained_without_its_secret(address: str, said_of_it: str) -> None:
    with pytest.raises(ValueError, match=said_of_it) as error:
        parse_address(address)
    assert "secret" not in str(error.value)


def test_addresses_keep_bucket_prefix_and_options() -> None:
    address = parse_address("s3://bucket/some/prefix/?region=eu-west-1&endpoint_override=minio:9000&scheme=http")
    assert (address.scheme, address.root) == ("s3", "bucket/some/prefix")
    assert address.options == {"region": "eu-west-1", "endpoint_override": "minio:9000", "scheme": "http"}
    assert parse_address("gs://bucket").root == "bucket"
    assert parse_address(f"file://{os.sep}shared/my%20runs").root == "/shared/my runs"
