"""The address of the Ray cluster that runs the trials: the option `--address`, or `RAY_ADDRESS`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from orchestrator.errors import UserError

VARIABLE = "RAY_ADDRESS"
"""The environment variable that Ray reads too; `use_address` sets it, so that a restarted driver has it."""
OWN = "local"
"""The address that stands for a Ray of this process's own."""
AUTO = "auto"
"""The address that stands for the Ray that runs on this machine."""
FORMS = "HOST:PORT (of `ray start --head`), auto (the Ray of this machine) or local (a Ray of its own)"
PATIENCE_S = 10.0
TOKEN_MODE = "RAY_AUTH_MODE"
"""The environment variable that says whether Ray's processes send a token, and demand it of each other."""
PROBE_S = 60.0


def use_address(address: str | None, *, detached: bool = False) -> None:
    """Let this process, and every driver that it becomes, use the Ray at an address.

    Args:
        address: the value of `--address`; None leaves `RAY_ADDRESS` as it is.
        detached: whether the driver is sent to the cluster, so that the URL of its dashboard is an address, too.

    Raises:
        UserError: the address has another form, or the driver can't work through it.
    """
    if address is not None:
        os.environ[VARIABLE] = address
    if (given := cluster_address()) is not None:
        check_form(given, detached=detached)
        use_token()


def cluster_address() -> str | None:
    """Return the address of the cluster that trials run on; None for a Ray of this process's own."""
    address = os.environ.get(VARIABLE, "").strip()
    return None if address in ("", OWN) else address


def require_cluster(address: str | None) -> str:
    """Return the address of the cluster to which drivers are sent.

    Raises:
        UserError: there is none, or it has another form.
    """
    use_address(address, detached=True)
    cluster = cluster_address()
    if cluster is None:
        raise UserError(f"--address: needs a cluster to which sweeps are sent; give {FORMS.partition(' or ')[0]}")
    return cluster


def default_dashboard() -> str | None:
    """Return `RAY_ADDRESS` if that is the URL of a dashboard, to which sweeps can only have been sent; else None."""
    address = cluster_address()
    return address if address is not None and is_dashboard(address) else None


def use_token() -> None:
    """Make Ray send this user's token, if there is one.

    A cluster started by `ray start` requires the token where the file exists, but `ray.init` with an address, and the
    client of jobs, send it only if `RAY_AUTH_MODE` is `token`.
    """
    token_file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if "RAY_AUTH_TOKEN" in os.environ or token_file.exists():
        set_token_mode(os.environ.get(TOKEN_MODE, "token"))


def set_token_mode(mode: str) -> None:
    """Set whether Ray's processes send a token: this one and those that it starts.

    If only those that it starts did, a local Ray would refuse this process.
    """
    os.environ[TOKEN_MODE] = mode
    # Ray reads its variables only once, when it is imported.
    if raylet := sys.modules.get("ray._raylet"):
        raylet.Config.initialize("")


def works_without_token(address: str) -> bool:
    """Return whether the Ray at an address demands no token, although this process would send one.

    Another process asks: Ray decides once for a process whether it sends one.
    """
    if os.environ.get(TOKEN_MODE) != "token":
        return False
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--skip-version-check", "--address", address]
    try:
        answer = subprocess.run(ask, env=os.environ | {TOKEN_MODE: "disabled"}, capture_output=True, timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def is_dashboard(address: str) -> bool:
    """Return whether an address is the URL of a Ray dashboard."""
    return address.startswith(("http://", "https://"))


def check_form(address: str, *, detached: bool) -> None:
    """Check the form of an address.

    Args:
        address: the address of a cluster.
        detached: whether the driver is sent there.

    Raises:
        UserError: it has another form, or the driver can't work through it.
    """
    if address.startswith("ray://"):
        host = address.removeprefix("ray://").partition(":")[0]
        raise UserError(
            f"--address {address}: through Ray's client the sweep would end with this connection; send the driver to "
            f"the cluster (--detach --address http://{host}:8265), or run this on one of its machines (--address auto)"
        )
    if is_dashboard(address):
        if not detached:
            raise UserError(
                f"--address {address}: this is the URL of a dashboard, which only accepts jobs; add --detach to run "
                "the driver on the cluster, or run this command on one of its machines with --address auto"
            )
        return
    host, _, port = address.rpartition(":")
    if address != AUTO and not (host and "/" not in host and port.isdecimal() and 0 < int(port) < 2**16):
        raise UserError(f"--address {address}: is not an address of a Ray cluster; give {FORMS}")


def check_answers(address: str) -> None:
    """Check that something listens at `HOST:PORT`; Ray itself would try to connect for many minutes.

    Raises:
        UserError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        raise UserError(
            f"{VARIABLE}: no Ray answers at {address} ({error.strerror or error}); start one there (ray start --head), "
            f"give another --address, or unset both, and a Ray of this machine's own is started"
        ) from None
