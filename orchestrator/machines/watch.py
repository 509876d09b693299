"""The machines that run the trials of a sweep, while they come and go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from orchestrator.machines.checks import Entry
from orchestrator.machines.inventory import Capacity, read_machines

EVERY_S = 5.0
"""The time between two looks at the cluster."""
NODE_LABEL = "ray.io/node-id"
"""Ray's own label of each machine, by which a request leaves machines out."""


class Machines:
    """The machines that may run trials.

    A thread looks at the cluster every few seconds; everything else may be called from any thread.
    """

    def __init__(self, entry: Entry | None, say: Callable[[str], None]) -> None:
        """Read the machines of the cluster.

        Args:
            entry: what a machine has to have; None for a Ray of this process's own, which is one machine.
            say: prints a line.

        Raises:
            UserError: a machine can't run trials.
        """
        self._entry = entry
        self._say = say
        self._lock = threading.Lock()
        self._all = {machine.id: machine for machine in read_machines()}
        self._left_out: set[str] = set()
        self._leaving: frozenset[str] = frozenset()
        if entry is not None:
            entry.check(tuple(self._all.values()))

    def find_blind(self, files: Sequence[str]) -> list[str]:
        """Return the names of the machines that do not see all files; none for a Ray of this process's own."""
        if self._entry is None or not files:
            return []
        return [machine.name for machine in self._entry.find_blind(self.capacity.machines, files)]

    def require(self, files: Sequence[str]) -> None:
        """Demand of all machines, and of those that join later, that they see files.

        Raises:
            UserError: a machine does not.
        """
        if self._entry is not None and files:
            self._entry = replace(self._entry, files=tuple(files))
            self._entry.check(self.capacity.machines)

    @property
    def capacity(self) -> Capacity:
        """The machines that get trials now."""
        with self._lock:
            out = self._left_out | self._leaving
            return Capacity(tuple(machine for key, machine in self._all.items() if key not in out))

    def name(self, machine_id: str) -> str:
        """Return the name of a machine for messages."""
        with self._lock:
            return self._all[machine_id].name if machine_id in self._all else f"machine {machine_id[:8]}"

    def leave_out(self, machine_id: str, reason: str) -> bool:
        """Give a machine no more trials, and say so once.

        Returns:
            Whether other machines are left.
        """
        with self._lock:
            is_new = machine_id not in self._left_out
            self._left_out.add(machine_id)
        if is_new:
            self._say(f"No more trials of this sweep run on {self.name(machine_id)}: {reason}.")
        return bool(self.capacity.machines)

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Ray's ids of the machines that have what trials need; on any other one, a worker looks for itself."""
        with self._lock:
            return tuple(sorted(self._all.keys() - self._left_out))

    @property
    def required_files(self) -> tuple[str, ...]:
        """The files that every machine has to see."""
        return self._entry.files if self._entry else ()

    def selector(self) -> dict[str, str]:
        """Return the labels by which Ray leaves out the machines that get no trials."""
        with self._lock:
            out = sorted(self._left_out & self._all.keys())
        return {NODE_LABEL: f"!in({','.join(out)})"} if out else {}

    def is_leaving(self, machine_id: str) -> bool:
        """Return whether a machine was told to leave the cluster, or gets no more trials."""
        with self._lock:
            return machine_id in self._leaving or machine_id in self._left_out

    def explain_loss(self, machine_id: str) -> str:
        """Return a sentence if a machine is gone; "" if it still answers, or is not known."""
        if self._entry is None or not machine_id:
            return ""
        machine = next((machine for machine in read_machines() if machine.id == machine_id), None)
        if machine is not None and machine.answers():
            return ""
        with self._lock:
            known = self._all.get(machine_id)
        return f"its machine {known.name if known else machine_id[:8]} is gone"

    def look(self) -> None:
        """Note which machines have joined, are about to leave, or are gone."""
        from ray._private.state import state

        now = {machine.id: machine for machine in read_machines()}
        leaving = frozenset(state.get_draining_nodes()) & now.keys()
        joined = [machine for key, machine in now.items() if key not in self._all]
        problems = self._entry.find_problems(joined) if self._entry and joined else {}
        with self._lock:
            gone = [machine for key, machine in self._all.items() if key not in now]
            newly_leaving = [now[key].name for key in leaving - self._leaving]
            unfit = problems.keys() - self._left_out
            # Together with the machines: one that is unfit is never among those that get trials.
            self._all, self._leaving, self._left_out = now, leaving, self._left_out | unfit
        for machine in joined:
            if machine.id not in problems:
                self._say(f"{machine.name} has joined the cluster ({machine.possessions}).")
        for machine_id in unfit:
            self._say(f"No more trials of this sweep run on {now[machine_id].name}: {problems[machine_id]}.")
        for name in newly_leaving:
            self._say(f"{name} is about to leave the cluster: its trials move on at the end of their epochs.")
        for machine in gone:
            self._say(f"{machine.name} has left the cluster.")

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Look at the cluster every few seconds during the block; not at a Ray of this process's own."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(EVERY_S):
                # Ray may be dying, which `ray_watch` acts on.
                with contextlib.suppress(Exception):
                    self.look()

        thread = threading.Thread(target=run, daemon=True, name="watch over machines")
        if self._entry is not None:
            thread.start()
        try:
            yield
        finally:
            ended.set()
