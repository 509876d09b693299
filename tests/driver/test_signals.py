"""The first signal is kept in mind, the second ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from orchestrator.driver.signals import SIGNALS, Interrupted, handle_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_where_somebody_checks_and_nowhere_else(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with handle_signals() as on_signal:
        on_signal.check()
        signal.raise_signal(number)
        with pytest.raises(Interrupted, match=rf"Stopped by {number.name}\. What is finished is kept"):
            on_signal.check()
    assert signal.getsignal(number) is before


def test_whoever_is_told_hears_of_one_that_came_before() -> None:
    told: list[str] = []
    with handle_signals() as on_signal:
        with on_signal.forward_to(told.append):
            assert not told
        signal.raise_signal(signal.SIGTERM)
        assert not told
        with on_signal.forward_to(told.append):
            assert told == ["Stopped by SIGTERM."]


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import signal\nfrom orchestrator.driver.signals import handle_signals\n"
        "with handle_signals():\n"
        "    signal.raise_signal(signal.SIGTERM); print('once', flush=True); signal.raise_signal(signal.SIGINT)\n"
        "    print('twice', flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "once\n")


def test_a_hangup_that_nohup_keeps_away_stays_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals() as on_signal:
            signal.raise_signal(signal.SIGHUP)
            assert not on_signal.reason
    finally:
        signal.signal(signal.SIGHUP, before)
