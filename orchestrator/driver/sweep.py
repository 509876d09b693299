"""Run a sweep: check its home, lock its folder, open its ledger, and run what is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.driver.signals import handle_signals
from orchestrator.driver.sweep_run import SweepRun
from orchestrator.exchange.opening import open_exchange
from orchestrator.notices.addresses import check_addresses
from orchestrator.notices.sender import send_notices
from orchestrator.policy.ranges import describe_changes
from orchestrator.state import requests
from orchestrator.state.curve import Objective
from orchestrator.state.disk import check_free
from orchestrator.state.home import keep_search_space, lock_sweep, open_home
from orchestrator.state.ledger import Ledger
from orchestrator.tracking import sender
from orchestrator.tracking.moved_homes import check_place

if TYPE_CHECKING:
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep


def run_sweep(
    sweep: Sweep,
    home: Path,
    screen: Screen,
    *,
    resume_arguments: Sequence[str] | None = None,
    before: Callable[[Ledger], None] | None = None,
) -> Ledger:
    """Run a sweep to its end, or resume it; a finished sweep stays as it is.

    Args:
        sweep: the search space.
        home: the folder of all sweeps.
        screen: the display.
        resume_arguments: the arguments of `orchestrate` that resume the sweep if Ray dies; by default `resume NAME`,
            which does not read the original file, since it may have been edited.
        before: a function that changes the ledger after the sweep is locked, such as to retry trials.

    Returns:
        The state of the sweep at the end.

    Raises:
        UserError: the home, the corpus, the resources or the name can't be used.
        SweepStopped: the sweep was interrupted, its disk is full, or Ray died; the same command resumes it.
    """
    sender.check_tracking_uri(home)
    open_home(home)
    check_place(home)
    folder = home / sweep.name
    with lock_sweep(folder) as note:
        keep_search_space(folder, sweep)
        ledger = Ledger(folder, Objective.of(sweep.space))
        for remark in (*ledger.remarks, *describe_changes(sweep, ledger)):
            screen.say(remark)
        if not ledger.is_restart:
            check_free(home, sweep.space.disk.min_free_gib)
            requests.forget(folder)
        # New events are written only when the sweep really starts: a request that is refused leaves no trace.
        ledger.hold()
        if before:
            before(ledger)
        resume_arguments = resume_arguments or ["resume", sweep.name, "--home", str(home)]
        check_addresses(sweep.space.notify, sweep.path)
        exchange = None
        if sweep.space.storage is not None:
            from orchestrator.machines.logs import read_logs

            exchange = open_exchange(ledger, sweep.space.storage, screen.say, read_logs)
        with handle_signals() as signal_handler, send_notices(folder, sweep.space.notify):
            SweepRun(sweep, home, ledger, screen, note, signal_handler, resume_arguments, exchange).run()
    return ledger
