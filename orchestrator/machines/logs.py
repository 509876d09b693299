"""The logs of trials on the machines on which they ran, for the case that a process dies before it sends its log."""

from __future__ import annotations

import contextlib

from orchestrator.exchange.writers import Writer
from orchestrator.machines.inventory import read_machines
from orchestrator.state.paths import TRIAL_LOG
from orchestrator.worker.remote_home import local_trial_folder

PATIENCE_S = 20.0
"""The longest time for all machines to answer; one that has died with the process does not."""


def read_logs(uri: str, sweep: str, number: int) -> str:
    """Return the newest log that any machine has of a trial; "" if none has one.

    Args:
        uri: the address of the sweep's store.
        sweep: the sweep.
        number: the number of the trial.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(read_own_log)
    answers = []
    for machine in read_machines():
        there = NodeAffinitySchedulingStrategy(machine.id, soft=False)
        answers.append(look.options(scheduling_strategy=there).remote(uri, sweep, number))
    ray.wait(answers, num_returns=len(answers), timeout=PATIENCE_S)
    logs: list[tuple[Writer, str]] = []
    for answer in answers:
        with contextlib.suppress(ray.exceptions.RayError):
            name, text = ray.get(answer, timeout=0)
            if (writer := Writer.parse(name)) is not None:
                logs.append((writer, text))
    return max(logs)[1] if logs else ""


def read_own_log(uri: str, sweep: str, number: int) -> tuple[str, str]:
    """Return the name of the last writer of a trial on this machine and its log; empty ones if there is none."""
    folder = local_trial_folder(uri, sweep, number)
    names = [path.parent.name for path in folder.glob(f"*/{TRIAL_LOG}")]
    writers = sorted(writer for name in names if (writer := Writer.parse(name)) is not None)
    return (
        (str(writers[-1]), (folder / str(writers[-1]) / TRIAL_LOG).read_text(errors="replace")) if writers else ("", "")
    )
