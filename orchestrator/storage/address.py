"""The address of an object store: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`, or a folder."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

OPTIONS = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme"), "file": ()}
"""The schemes, and what may follow a question mark in an address of each."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")


@dataclass(frozen=True)
class Address:
    """The parts of an address.

    Attributes:
        scheme: `s3`, `gs` or `file`.
        root: the bucket with the prefix, or the absolute path of the folder; no slash at its end.
        options: how the store is reached, such as `endpoint_override`.
    """

    scheme: str
    root: str
    options: dict[str, Any] = field(default_factory=dict)


def parse_address(text: str) -> Address:
    """Return the parts of an address.

    Raises:
        ValueError: it is not the address of a store; the message says why, and repeats no secret.
    """
    if "://" not in text:
        if not text.startswith("/"):
            raise ValueError("needs s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or a folder")
        return Address("file", text.rstrip("/") or "/")
    parts = urlsplit(text)
    if parts.scheme not in OPTIONS:
        close = difflib.get_close_matches(parts.scheme, OPTIONS, n=1, cutoff=0.4)
        hint = f", did you mean {close[0]}://?" if close else ""
        raise ValueError(f"has the unknown scheme {parts.scheme}://{hint} Allowed: s3://, gs://, file:/// or a folder")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "has a user or a password, which would be stored with the sweep; take it out, and set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY (or GOOGLE_APPLICATION_CREDENTIALS) on every machine"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := options.keys() - set(OPTIONS[parts.scheme]):
        allowed = ", ".join(OPTIONS[parts.scheme]) or "none"
        raise ValueError(f"has the unknown option {', '.join(sorted(unknown))} after ?; allowed: {allowed}")
    path = unquote(parts.path).strip("/")
    if ".." in path.split("/") or parts.fragment:
        raise ValueError("has .. or # in it; name the place itself")
    if parts.scheme == "file":
        if parts.netloc:
            raise ValueError(f"names the machine {parts.netloc}; a folder has three slashes, file:///{parts.netloc}/…")
        return Address("file", f"/{path}")
    if not BUCKET.fullmatch(parts.netloc):
        raise ValueError(f"names no bucket ({parts.netloc!r}); write {parts.scheme}://BUCKET/PREFIX")
    return Address(parts.scheme, f"{parts.netloc}/{path}".rstrip("/"), options)


def make_absolute(text: str) -> str:
    """Return an address in which a folder has its absolute path; it is relative to the current one.

    An empty text stays as it is: it names no folder.
    """
    return text if "://" in text or not text else os.path.abspath(os.path.expanduser(text))
