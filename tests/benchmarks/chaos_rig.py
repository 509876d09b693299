"""A real sweep, an MLflow server, and everything that can happen to them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
from ruamel.yaml import YAML

HERE = Path(__file__).parent
KINDS = (
    "driver killed",
    "trial killed",
    "raylet killed",
    "killed in a checkpoint",
    "killed in an outbox line",
    "killed in the sweep log",
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "MLflow killed for 60 s",
    "disk full",
)
NAME = "chaos"
MLFLOW_DOWN_S = 60.0
PATIENCE_S = 240.0


def write_space(path: Path, corpus: Path, executed: Path, *, trials: int, epochs: int, at_once: int) -> None:
    """Two arms of the autoencoder on a tiny corpus."""
    space = {
        "name": NAME,
        "trainable": str(HERE / "counted.py"),
        "corpus": {"name": "folder", "root": str(corpus)},
        "objective": {"metric": "val/fvu", "mode": "min"},
        "compare": {"loss": ["l1", "vae"]},
        "params": {
            "spectrogram": "48x128",
            "sound_clips": 1,
            "width": 32,
            "latent_dim": 16,
            "batch_size": 2,
            "lr": {"loguniform": [1e-4, 1e-2]},
            "executed": str(executed),
        },
        "search": {"startup_trials": 2},
        "budget": {"trials_per_arm": trials, "max_epochs": epochs},
        "pruning": {"grace_epochs": 1, "reduction_factor": 3},
        "media": {"clips": 1, "epochs": ["best"]},
        "limits": {"max_machine_failures": 1000},
        "disk": {"min_free_gib": 0.02},
        "resources": {"cpu": (os.cpu_count() or 1) / at_once},
        "seed": 3,
    }
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(space, file)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """An MLflow server that can be killed and started again over the same database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "mlflow.db"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self._folder
            )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.2)
        raise RuntimeError("the MLflow server did not start")

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Rig:
    """One sweep in a home of its own, driven by the command line."""

    def __init__(self, home: Path, space: Path, server: Server, rng: random.Random) -> None:
        self.home = home
        self.folder = home / NAME
        self.space = space
        self.server = server
        self.rng = rng
        self.driver: subprocess.Popen[bytes] | None = None
        self.surprises: list[str] = []
        self._output = space.with_suffix(".out")
        self._server_back_s: float | None = None
        self._struck: tuple[str, int] | None = None

    def start(self) -> None:
        """Begin, or go on with whichever of the two commands can."""
        recorded = (self.folder / "sweep.jsonl").exists() and (self.folder / "sweep.jsonl").stat().st_size > 0
        what = ["resume", NAME] if recorded and self.rng.random() < 0.5 else ["sweep", str(self.space)]
        with self._output.open("ab") as output:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *what, "--home", str(self.home)],
                stdout=output,
                stderr=output,
                env=os.environ | {"MLFLOW_TRACKING_URI": self.server.uri},
                start_new_session=True,
            )

    def rows(self) -> int:
        """Epochs recorded so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("trials/*/outbox.jsonl"))

    def is_finished(self) -> bool:
        """Whether the driver has come to the end of the sweep; one that ended otherwise is started again."""
        assert self.driver is not None
        if self._server_back_s is not None and time.monotonic() > self._server_back_s:
            self._server_back_s = None
            self.server.start()
        code = self.driver.poll()
        if code == 0:
            return True
        if code is not None:
            self.surprises.append(f"exit code {code}: {self._last_line()}")
            self.start()
        return False

    def _last_line(self) -> str:
        return (self._output.read_text(errors="replace").strip().splitlines() or [""])[-1]

    def wait_for_rows(self, count: int) -> bool:
        """Wait until so many epochs are recorded; False if the sweep finished first."""
        deadline = time.monotonic() + PATIENCE_S
        while self.rows() < count:
            if self.is_finished():
                return False
            if time.monotonic() > deadline:
                raise RuntimeError(f"no epoch in {PATIENCE_S:.0f} s; {self._last_line()}")
            time.sleep(0.02)
        return True

    def workers(self) -> dict[Path, psutil.Process]:
        """Processes that have a trial in hand, by its folder."""
        assert self.driver is not None
        found = {}
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.driver.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    for file in each.open_files():
                        if file.path.endswith("outbox.jsonl"):
                            found[Path(file.path).parent] = each
        return found

    def wait_for_workers(self, *, saving: bool = False) -> dict[Path, psutil.Process]:
        """Wait until a trial is in hand, or is writing a checkpoint; empty if the sweep finished first."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not self.is_finished():
            found = self.workers()
            until = time.monotonic() + 0.5
            while found and time.monotonic() < until:
                if not saving:
                    return found
                here = {path: each for path, each in found.items() if (path / "checkpoint" / "saving.tmp").exists()}
                if here:
                    return here
            time.sleep(0.02)
        return {}

    def strike(self, kind: str) -> None:
        """Let one thing happen, at once."""
        assert self.driver is not None
        match kind:
            case "driver killed":
                self._kill_driver()
                self.start()
            case "trial killed" | "killed in a checkpoint":
                self._kill_trial(saving=kind == "killed in a checkpoint")
            case "raylet killed":
                self._kill_raylet()
            case "killed in an outbox line":
                self._tear_outboxes()
            case "killed in the sweep log":
                self._kill_driver()
                with (self.folder / "sweep.jsonl").open("a") as file:
                    file.write('{"event":"ended","ts":1795')
                self.start()
            case "SIGINT" | "SIGTERM" | "SIGHUP":
                self._signal(signal.Signals[kind])
            case "MLflow killed for 60 s":
                self.server.kill()
                self._server_back_s = time.monotonic() + MLFLOW_DOWN_S
            case "disk full":
                self._fill_disk()

    def _kill_driver(self) -> None:
        assert self.driver is not None
        self.driver.kill()
        self.driver.wait()

    def _tear_outboxes(self) -> None:
        workers = self.wait_for_workers()
        self._kill_driver()
        for path, each in workers.items():
            with contextlib.suppress(psutil.Error):
                each.kill()
                each.wait(10)
            with (path / "outbox.jsonl").open("a") as file:
                file.write('{"epoch":77,"ts":17954')
        self.start()

    def _kill_trial(self, *, saving: bool) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            workers = self.wait_for_workers(saving=saving)
            if not workers:
                return
            path = self.rng.choice(sorted(workers))
            state = (path.name, (path / "outbox.jsonl").read_bytes().count(b"\n"))
            # Twice without an epoch between would be the trial's own failure, as it should be.
            if state != self._struck:
                self._struck = state
                with contextlib.suppress(psutil.Error):
                    workers[path].kill()
                return
            time.sleep(0.05)

    def _kill_raylet(self) -> None:
        assert self.driver is not None
        self.wait_for_workers()
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.driver.pid).children():
                if each.name() == "raylet":
                    each.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self.driver is not None
        began = time.monotonic()
        self.driver.send_signal(number)
        code = self.driver.wait(PATIENCE_S)
        # Before Python has come to our first line, a signal does what it does to any process.
        if code not in (0, 130, -number):
            self.surprises.append(f"{number.name}: exit code {code} after {time.monotonic() - began:.0f} s")
        if code:
            self.start()

    def _fill_disk(self) -> None:
        assert self.driver is not None
        self.wait_for_workers()
        ballast = self.home / "ballast"
        fill(ballast)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.driver.poll() is None and not self._is_paused():
            time.sleep(0.1)
        time.sleep(1)
        ballast.unlink()

    def _is_paused(self) -> bool:
        try:
            return bool(json.loads((self.folder / "driver.lock").read_text()).get("paused"))
        except (OSError, ValueError):
            return False

    def finish_without_mlflow(self) -> None:
        """Let the sweep end while nobody answers for MLflow."""
        self._server_back_s = None
        self.server.kill()
        self._end()

    def finish(self) -> None:
        """The same command once more: MLflow gets what it has missed."""
        self.start()
        self._end()

    def _end(self) -> None:
        deadline = time.monotonic() + 4 * PATIENCE_S
        while not self.is_finished():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the sweep does not end; {self._last_line()}")
            time.sleep(0.1)

    def close(self) -> None:
        if self.driver is not None and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own at a folder, where that is allowed; whether it is."""
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], capture_output=True
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(path)], check=False)


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(2**16)):
            pass


def tell(file: IO[str], line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=file, flush=True)
