"""The versions on a machine on which results depend; those of a worker must be those of the driver."""

from __future__ import annotations

import functools
import hashlib
import platform
import socket
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import orchestrator
from orchestrator.command_line import DISTRIBUTION, NAME, version
from orchestrator.plugins.loader import PACKAGE as TRAINABLES
from orchestrator.worker.failure import UnfitMachine

PACKAGES = ("ray", "torch")
"""The packages whose versions have to be equal beside Python's and our own."""
SOURCE = "source of orchestrate"
DIGITS = 8


@functools.cache
def read_versions() -> dict[str, str]:
    """Return the versions of Python, of `PACKAGES` and of this program, and a hash of our `source`.

    Two checkouts may have one version and differ. Python's patch version is left out: it changes no result.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "python": python,
        **{name: _installed(name) for name in PACKAGES},
        NAME: _own_version(),
        SOURCE: hash_source(),
    }


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _own_version() -> str:
    try:
        return version()
    except metadata.PackageNotFoundError:
        # A checkout on PYTHONPATH that nobody has installed; its source is compared.
        return DISTRIBUTION


@functools.cache
def hash_source() -> str:
    """Return eight hexadecimal digits of a hash over the source of `orchestrator` and `trainables`."""
    digest = hashlib.sha256()
    for folder in (Path(str(orchestrator.__file__)).parent, TRAINABLES):
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:DIGITS]


def describe_difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Return the differences between the versions of the driver and those of a machine; "" if there are none.

    Args:
        here: the versions of the driver.
        there: the versions on the machine.
    """
    pairs = ((name, wanted, there.get(name, "missing")) for name, wanted in here.items())
    return ", ".join(f"{name} {found} instead of {wanted}" for name, wanted, found in pairs if found != wanted)


def check_versions(wanted: Mapping[str, str], *, is_known: bool = True) -> None:
    """Check that this process has the driver's versions; our source on a machine that the driver does not know yet.

    Whoever edits a checkout that all machines share must not stop the sweeps that use it; `provenance` marks their
    trials.

    Args:
        wanted: the versions of the driver; empty for no check.
        is_known: whether the driver has compared the source of this machine.

    Raises:
        UnfitMachine: one of them is another.
    """
    installed = {name: wanted_version for name, wanted_version in wanted.items() if name != SOURCE or not is_known}
    if difference := describe_difference(installed, read_versions() if installed else {}):
        raise UnfitMachine(
            f"{socket.gethostname()}: it has other versions than the driver ({difference}); install the driver's "
            "there, or take that machine out of the cluster"
        )


def check_files(files: Sequence[str]) -> None:
    """Check that this machine sees files.

    Raises:
        UnfitMachine: it does not.
    """
    if missing := [file for file in files if not Path(file).exists()]:
        raise UnfitMachine(
            f"{socket.gethostname()}: it does not see {', '.join(missing)}; put that in the search space's folder, or "
            "take that machine out of the cluster"
        )
