"""`orchestrate ui`: an MLflow server for a home, with links to the pages of a sweep, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, UserError
from orchestrator.state.home import find_sweep
from orchestrator.tracking import sender
from orchestrator.tracking.database import sqlite_path
from orchestrator.tracking.links import tunnel
from orchestrator.tracking.moved_homes import check_place, check_sweep_place

HOST = "127.0.0.1"
LOG = "ui.log"
START_S = 120.0
"""How long to wait for the first answer of a server."""
BLOCKED_PORTS = {5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
"""Ports above 5000 that browsers refuse to open, because other protocols use them."""
TITLES = {
    "listen": "Hear the arms side by side",
    "report": "What the sweep found",
    "trials": "Trials, best first",
    "curves": "Curves",
    "by-arm": "Means by arm",
    "parameters": "Parameters",
    "top": "The best trial of each arm",
    "renderings": "Renderings of the trained models",
    "spectrograms": "Spectrograms of the probe clips",
    "compare": "The best trial of each arm, side by side",
}


def serve(home: Path, name: str | None, port: int) -> None:
    """Print links to a sweep's pages; if its MLflow is a file, run a server for it until Ctrl-C.

    Args:
        home: the folder of all sweeps.
        name: the name of the sweep; None for the newest one.
        port: the port of the server, which only this machine can reach.

    Raises:
        UserError: there is no such sweep, it was moved, its database is gone, or the port is taken.
        OrchestratorError: the server did not start, or has ended.
    """
    folder = find_sweep(home, name)
    status = sender.status(folder)
    uri = str(status.get("tracking_uri") or sender.tracking_uri(home, folder.name))
    if uri.startswith(("http://", "https://")):
        print(_links(uri.rstrip("/"), folder, status))
        return
    check_place(home)
    check_sweep_place(folder)
    check_port(port)
    check_database(uri, folder)
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)
    try:
        print(f"Starting MLflow on port {port} …", flush=True)
        with run_server(home, uri, port) as server:
            print(_links(f"http://{HOST}:{port}", folder, status))
            if command := tunnel(port):
                print(f"\nFrom the machine that you sit at, first:  {command}")
            print("\nCtrl-C stops the server.", flush=True)
            server.wait()
            raise OrchestratorError(f"the MLflow server has ended by itself; see {home / LOG}")
    except KeyboardInterrupt:
        print("\nThe server is stopped.")


def _links(base: str, folder: Path, status: dict[str, Any]) -> str:
    if not status.get("links"):
        return f"{folder.name}: nothing of it is in MLflow yet ({status.get('error') or 'it has just begun'})"
    lines = (f"  {TITLES[name]}:\n    {base}/{link}" for name, link in status["links"].items())
    return "\n".join([folder.name, *lines])


def check_database(uri: str, folder: Path) -> None:
    """Check that an SQLite file exists, because MLflow would make an empty one.

    Raises:
        UserError: it does not exist.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise UserError(
            f"{path}: there is no such database, so that nothing of {folder.name} can be shown; run the sweep again, "
            "which sends it, or check MLFLOW_TRACKING_URI"
        )


def check_port(port: int) -> None:
    """Check that a server can use a port and browsers open it.

    Raises:
        UserError: the port is taken, or browsers refuse it; the message has a free one.
    """
    if port in BLOCKED_PORTS or not _is_free(port):
        others = (other for other in range(port + 1, 65536) if other not in BLOCKED_PORTS and _is_free(other))
        free = next(others, 0)
        why = "is one that browsers refuse to open" if port in BLOCKED_PORTS else "is taken by another program"
        raise UserError(f"port {port} on {HOST} {why}; port {free} is free: --port {free}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def run_server(home: Path, uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run an MLflow server while the block runs, and yield it once it answers.

    Raises:
        OrchestratorError: it did not answer in time, or has ended.
    """
    log = home / LOG
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(home / "artifacts")]
    # MLflow's job runner would start eight processes with more than a gigabyte.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env=os.environ | environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # The server is several processes, which are ended together as one process group.
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, port, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the MLflow server answers.

    Raises:
        OrchestratorError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_S
    # Ignore HTTP proxies: a proxy would look for localhost on its own machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), direct.open(f"http://{HOST}:{port}/health", timeout=5):
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    why = f"did not answer within {START_S:.0f} s" if server.poll() is None else f"ended with code {server.poll()}"
    raise OrchestratorError(f"the MLflow server {why} (its last line: {lines[-1]}); see {log}")
