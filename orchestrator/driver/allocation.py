"""The machines of a sweep, once Ray has started: each is looked at, and the requested resources are fitted to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import processor
from orchestrator.driver import grants
from orchestrator.machines.address import cluster_address

if TYPE_CHECKING:
    from orchestrator.driver.signals import SignalHandler
    from orchestrator.driver.tasks import Tasks
    from orchestrator.machines.watch import Machines
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep


def allocate(
    sweep: Sweep, home: Path, screen: Screen, signal_handler: SignalHandler, wait_for_ray: Callable[[], None]
) -> tuple[Tasks, Machines]:
    """Wait for Ray, look at its machines, and fit the requested resources to them.

    Args:
        sweep: the search space.
        home: the folder of all sweeps.
        screen: the display.
        signal_handler: remembers whether there was a signal.
        wait_for_ray: returns once Ray has started.

    Raises:
        UserError: no machine has what a trial requests, or one of them can't run trials.
    """
    # Imported here: they import Ray, which starts meanwhile.
    from orchestrator.driver.tasks import Tasks
    from orchestrator.machines.checks import Entry
    from orchestrator.machines.watch import Machines
    from orchestrator.worker.shared_home import write_token
    from orchestrator.worker.versions import read_versions

    screen.progress("starting Ray", 0, 1)
    wait_for_ray()
    # Ray has installed its own handlers.
    signal_handler.install()
    signal_handler.check()
    folder = home / sweep.name
    token = write_token(folder)
    versions = read_versions() if cluster_address() else {}
    machines = Machines(Entry(folder, token, versions) if versions else None, screen.say)
    screen.progress("starting Ray", 1, 1)
    capacity = machines.capacity
    tasks = Tasks(sweep, home, capacity, token, versions, machines)
    for line in (*tasks.notes, *(grants.find_busy_gpus() if capacity.gpus else ())):
        screen.say(line)
    has_own_code = sweep.components or not sweep.trainable.__module__.startswith("trainables.")
    if has_own_code and (problem := processor.known_problem()):
        screen.say(problem)
    return tasks, machines
