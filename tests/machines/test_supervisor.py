"""A driver that is killed is started again, as long as trials report something between its deaths."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from orchestrator.machines import supervisor
from orchestrator.machines.supervisor import MAX_RESTARTS, supervise
from orchestrator.state.ledger import Ledger

DYING = """
import os, signal, sys
from pathlib import Path
from orchestrator.state.events.drivers import Started
from orchestrator.state.events.sweep import Granted
from orchestrator.state.ledger import Ledger
ledger = Ledger(Path(sys.argv[sys.argv.index("--home") + 1]) / "tiny")
if "--trials" in sys.argv:
    before = ledger.granted["all"].trials if "all" in ledger.granted else 6
    ledger.write(Granted(arm="all", trials=before + 4))
ledger.write(Started())
trial = ledger.ask(
    arm="all", index=0, stage="search", source="", of=None, seed=0, compared={}, searched={}, params={}
)
ledger.attempt(trial, "code")
if str(len(ledger.starts)) in os.environ["REPORTING"].split():
    ledger.decide(trial, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""It writes what a real driver does, and is killed; in the starts that REPORTING names, after a first epoch."""


@pytest.mark.parametrize(("reporting", "starts"), [([], MAX_RESTARTS + 1), (["3", "7"], 7 + MAX_RESTARTS)])
def test_a_driver_that_dies_again_and_again_after_its_start_is_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    reporting: list[str],
    starts: int,
) -> None:
    (tmp_path / "avsweep").mkdir()
    (tmp_path / "avsweep" / "__init__.py").touch()
    (tmp_path / "avsweep" / "__main__.py").write_text(DYING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    # They are set for the driver, and have to be as before after this test.
    monkeypatch.setenv("REPORTING", " ".join(reporting))
    for name in (supervisor.VARIABLE, "RAY_OVERRIDE_JOB_RUNTIME_ENV"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(supervisor, "PAUSE_S", 0.0)
    assert supervise(tmp_path / "home", "tiny", ["resume", "tiny", "--trials", "+4"]) == -signal.SIGKILL
    ledger = Ledger(tmp_path / "home" / "tiny", read_only=True)
    assert len(ledger.starts) == starts
    assert ledger.granted["all"].trials == 10, "granted once, however often the driver was started"
    said = capfd.readouterr().out.splitlines()[-1]
    assert said == "The driver ended 6 times without a report of a trial between (the last time: -9); given up."
