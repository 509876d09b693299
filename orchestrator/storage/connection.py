"""The connection to an object store, by Arrow's file systems."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.storage.address import Address

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CONNECT_TIMEOUT_S = 10.0
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def connect(address: Address) -> FileSystem:
    """Return the file system of an address; of all stores but S3 without a region, nothing is asked yet.

    Raises:
        OSError: the region of the bucket could not be found.
        ValueError: an option is wrong.
    """
    from pyarrow import fs

    options = address.options
    if address.scheme == "file":
        return fs.LocalFileSystem()
    if address.scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=CONNECT_TIMEOUT_S), **options)
    region: dict[str, str] = {}
    if "endpoint_override" in options:
        region = {"region": "us-east-1"}
        # By default Amazon's library sends checksums in a way that most other stores refuse.
        os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    elif "region" not in options and not any(os.environ.get(name) for name in REGION_VARIABLES):
        region = {"region": fs.resolve_s3_region(address.root.partition("/")[0])}
    return fs.S3FileSystem(connect_timeout=CONNECT_TIMEOUT_S, allow_delayed_open=True, **(region | options))
