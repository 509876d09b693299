"""A look at machines of the cluster before trials run there: do they see the home, and have the driver's versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.exchange.opening import describe_access
from orchestrator.machines.inventory import Machine
from orchestrator.worker.home_check import TOKEN, read_token
from orchestrator.worker.versions import describe_difference, read_versions

PATIENCE_S = 120.0
"""The longest time for all machines to answer; a machine's first process imports this program from a cold disk."""


@dataclass(frozen=True)
class Entry:
    """The requirements for every machine.

    Attributes:
        folder: the sweep's folder.
        token: the token in it.
        versions: the versions of the driver.
        files: the sweep's own code.
        storage: the store through which machines that do not share the home exchange files; empty if they share it.
    """

    folder: Path
    token: str
    versions: Mapping[str, str]
    files: tuple[str, ...] = ()
    storage: str = ""

    def find_problems(self, machines: Sequence[Machine]) -> dict[str, str]:
        """Return why machines can't run trials, as a sentence by the machine's id; those that can are left out."""
        return {key: problem for key, problem in self._ask(machines).items() if problem}

    def find_blind(self, machines: Sequence[Machine], files: Sequence[str]) -> list[Machine]:
        """Return the machines that do not see all files."""
        problems = replace(self, files=tuple(files)).find_problems(machines)
        return [machine for machine in machines if machine.id in problems]

    def _ask(self, machines: Sequence[Machine]) -> dict[str, str]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = ray.remote(num_cpus=0, max_retries=0)(look_around)
        pending = {}
        for machine in machines:
            there = NodeAffinitySchedulingStrategy(machine.id, soft=False)
            question = (str(self.folder / TOKEN), self.files, self.storage, self.token)
            pending[look.options(scheduling_strategy=there).remote(*question)] = machine
        ray.wait(list(pending), num_returns=len(pending), timeout=PATIENCE_S)
        problems: dict[str, str] = {}
        for answer, machine in pending.items():
            try:
                problem = self._describe_problem(*ray.get(answer, timeout=0))
            except ray.exceptions.RayError as error:
                reason = (str(error).strip() or f"no answer within {PATIENCE_S:g} s").splitlines()[-1]
                problem = f"it can't run orchestrate ({reason}); install the same version there"
            problems[machine.id] = f"{problem}, or take that machine out of the cluster" if problem else ""
        return problems

    def check(self, machines: Sequence[Machine]) -> None:
        """Check machines before a sweep starts.

        Raises:
            UserError: a machine can't run trials; each one has a line.
        """
        if problems := self.find_problems(machines):
            names = {machine.id: machine.name for machine in machines}
            raise UserError("\n".join(f"{names[key]}: {problem}" for key, problem in problems.items()))

    def _describe_problem(self, home_problem: str, versions: Mapping[str, str], missing: Sequence[str]) -> str:
        if difference := describe_difference(self.versions, versions):
            return f"it has other versions than the driver ({difference}); install the driver's there"
        if home_problem:
            return home_problem
        return f"it does not see {', '.join(missing)}; put that in the search space's folder" if missing else ""


def look_around(path: str, files: Sequence[str], storage: str, token: str) -> tuple[str, dict[str, str], list[str]]:
    """Return why this machine can't exchange files with the driver, its versions, and the files that it does not see.

    Args:
        path: the file with the token in the sweep's folder.
        files: files that it should see.
        storage: the store through which files are exchanged; empty if this machine should see the home.
        token: what the driver has written into that file, and into the store.
    """
    if storage:
        problem = describe_access(storage, Path(path).parent.name, token)
    elif read_token(path) != token:
        problem = (
            f"the home {Path(path).parents[1]} is not shared with it, so that trials there would be recorded on "
            "another disk; mount it there under the same path, choose a shared one with --home, exchange files through "
            "an object store with --storage"
        )
    else:
        problem = ""
    return problem, read_versions(), [file for file in files if not Path(file).exists()]
