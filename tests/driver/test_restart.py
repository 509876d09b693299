"""A driver whose Ray has died becomes a fresh one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from orchestrator.state.home import driver_note

CODE = """
import resource, sys
from pathlib import Path
from orchestrator.overview.screen import Screen
from orchestrator.state.home import lock_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.driver.signals import SignalHandler
from orchestrator.driver.restart import Takeover

folder = Path(sys.argv[1])
with lock_sweep(folder) as note:
    ledger = Ledger(folder)
    {before}
    Takeover(ledger, Screen(), SignalHandler(), {again}, "go on", Path("/no/scratch"), note)()
"""
FULL_DISK = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))"
HOLDER = """
import sys
from pathlib import Path
from orchestrator.state.home import lock_sweep
with lock_sweep(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_it_becomes_a_fresh_driver_although_nothing_can_be_written(tmp_path: Path) -> None:
    code = CODE.format(before=FULL_DISK, again='["why", "nothing"]')
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "tiny")], capture_output=True, text=True)
    assert "Ray has died; continuing with a new one." in done.stdout
    assert done.returncode == 2 and "give a sweep and the number of a trial" in done.stderr, (
        "the command that it became"
    )


def test_restarts_end_although_a_full_disk_keeps_them_out_of_the_log(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    became = "sys.executable, [sys.executable, *sys.argv]"
    before = f"import os; {FULL_DISK}; execv = os.execv; os.execv = lambda *_: execv({became})"
    # Each driver has space until it has its lock, as on a disk that fills.
    has_space = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
    script.write_text(has_space + CODE.format(before=before, again="[]"))
    done = subprocess.run([sys.executable, script, tmp_path / "tiny"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("continuing with a new one") == 3
    assert "Ray has died 4 times without a report between" in done.stdout


def test_the_sweep_stays_locked_while_a_driver_becomes_a_fresh_one(tmp_path: Path) -> None:
    """`exec` closed the lock's file once, so that another driver could come between."""
    folder = tmp_path / "tiny"
    # What it becomes waits for a second before it asks for the lock, as one that imports torch does.
    waits = f"import time; time.sleep(2)\n{HOLDER}"
    became = f"sys.executable, [sys.executable, '-c', {waits!r}, {str(folder)!r}]"
    before = f"import os; execv = os.execv; os.execv = lambda *_: execv({became})"
    code = CODE.format(before=before, again="[]")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None and driver.stdin is not None
        assert "continuing" in driver.stdout.readline()
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            assert driver_note(folder) is not None
            time.sleep(0.02)
        assert driver.stdout.readline() == "locked\n"
        driver.stdin.close()
        driver.wait()
    assert driver_note(folder) is None
