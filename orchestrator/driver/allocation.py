"""The machines of a sweep, once Ray has started: each is looked at, and the requested resources are fitted to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import processor
from orchestrator.driver import grants
from orchestrator.driver.callbacks import Callbacks
from orchestrator.exchange.no_exchange import SharedHome
from orchestrator.machines.address import cluster_address

if TYPE_CHECKING:
    from orchestrator.driver.ray_watch import RayDaemons
    from orchestrator.driver.signals import SignalHandler
    from orchestrator.driver.tasks import Tasks
    from orchestrator.exchange.driver_side import Exchange
    from orchestrator.machines.code_copy import CodeCopy
    from orchestrator.machines.watch import Machines
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.lock_note import LockNote
    from trainables.corpora.corpus import Corpus


def share_code(
    sweep: Sweep, home: Path, machines: Machines, say: Callable[[str], None], exchange: Exchange | None
) -> CodeCopy | None:
    """Copy the sweep's own code, and the files of its judges, into the home if a machine does not see them.

    Args:
        sweep: the search space.
        home: the folder of all sweeps.
        machines: the machines of the cluster.
        say: prints a line.
        exchange: brings the copy to machines that do not share the home; None if all do.

    Returns:
        The copy; None if every machine sees the code itself, or there is none.

    Raises:
        UserError: some of the code is not in the folder of the search space, and a machine does not see it there.
    """
    from orchestrator.machines.code_copy import CODE, copy_code, judge_files, user_code_paths

    paths = [*judge_files(sweep), *user_code_paths(sweep)]
    files = [str(path) for path in paths]
    if blind := machines.find_blind(files):
        source = sweep.path.resolve().parent
        if home / sweep.name == source:
            # A copy of the search space is resumed; its code is where it was.
            source = paths[-1] if paths[-1].is_dir() else paths[-1].parent
        code = copy_code(source, home / CODE / sweep.name)
        files = [code.move(file) for file in files]
        say(f"{', '.join(blind)} can't see {source}: trials run its copy {code.copy}.")
        if exchange is None:
            machines.require(files)
        return code
    machines.require(files)
    return None


def make_callbacks(
    tasks: Tasks,
    machines: Machines,
    daemons: RayDaemons,
    environment: str,
    say: Callable[[str], None],
    note: LockNote,
    exchange: Exchange | None,
) -> Callbacks:
    """Return what the driver's decisions need of Ray and of the machines.

    Args:
        tasks: turns tasks into plain values for workers.
        machines: the machines of the cluster.
        daemons: Ray's processes on this machine.
        environment: a hash of what the trials have in common.
        say: prints a line.
        note: the note of the sweep's lock.
        exchange: brings files to machines that do not share the home; None if all do.
    """
    return Callbacks(
        tasks.make_config,
        lambda task: tasks.make_key(task, environment),
        tasks.can_grow,
        daemons.are_alive,
        daemons.end_workers,
        say,
        note.update,
        tasks.share_files,
        machines.explain_loss,
        machines.leave_out,
        machines.name,
        machines.is_leaving,
        exchange or SharedHome(),
    )


def allocate(
    sweep: Sweep,
    home: Path,
    screen: Screen,
    signal_handler: SignalHandler,
    wait_for_ray: Callable[[], None],
    exchange: Exchange | None,
    corpus: Corpus | None,
) -> tuple[Tasks, Machines]:
    """Wait for Ray, look at its machines, and fit the requested resources to them.

    Args:
        sweep: the search space.
        home: the folder of all sweeps.
        screen: the display.
        signal_handler: remembers whether there was a signal.
        wait_for_ray: returns once Ray has started.
        exchange: brings files to machines that do not share the home; None if all do.
        corpus: the corpus, which trials get through the exchange.

    Raises:
        UserError: no machine has what a trial requests, or one of them can't run trials.
    """
    # Imported here: they import Ray, which starts meanwhile.
    from orchestrator.driver.tasks import Tasks
    from orchestrator.machines.checks import Entry
    from orchestrator.machines.watch import Machines
    from orchestrator.worker.home_check import write_token
    from orchestrator.worker.versions import read_versions

    screen.progress("starting Ray", 0, 1)
    wait_for_ray()
    # Ray has installed its own handlers.
    signal_handler.install()
    signal_handler.check()
    folder = home / sweep.name
    token = write_token(folder)
    versions = read_versions() if cluster_address() else {}
    if exchange is not None:
        exchange.write_token(token)
    entry = Entry(folder, token, versions, storage=sweep.space.storage or "") if versions else None
    machines = Machines(entry, screen.say)
    screen.progress("starting Ray", 1, 1)
    capacity = machines.capacity
    code = share_code(sweep, home, machines, screen.say, exchange)
    if exchange is not None:
        exchange.share(corpus, code.copy if code else None, screen.progress)
    tasks = Tasks(sweep, home, capacity, token, versions, machines, code, exchange)
    for line in (*tasks.notes, *(grants.find_busy_gpus() if capacity.gpus else ())):
        screen.say(line)
    has_own_code = sweep.components or not sweep.trainable.__module__.startswith("trainables.")
    if has_own_code and (problem := processor.known_problem()):
        screen.say(problem)
    return tasks, machines
