"""Drivers as jobs of a Ray cluster: sent there, followed, and asked, from any machine that reaches its dashboard."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.command_line import format_command
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.machines.address import check_answers, is_dashboard, use_token
from orchestrator.machines.code_copy import IGNORED
from orchestrator.tracking import sender

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

SWEEP, HOME = "orchestrate_sweep", "orchestrate_home"
"""Keys of a job's metadata: the name of its sweep, and the home as the cluster sees it."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
STOP_S = 120
"""The time that Ray gives a job to stop: the driver sends the rest to MLflow."""
START_S = 90.0
"""The longest wait for a driver to start; one that prepares a corpus takes longer, and is not waited for."""
STARTED = "starting Ray: done"
"""What a driver prints once it has looked at the machines; what it refuses then, it refuses at once."""
SETTLED_S = 10.0
"""A driver that still runs this long after that has accepted its arguments."""
ANSWER_S = 300.0
"""The longest wait for a command on the cluster, such as `stop`."""
POLL_S = 0.5
ENTRY = "python -m"
FIRST_LINE = "Running entrypoint for job"


@dataclass(frozen=True)
class Job:
    """A driver on a cluster.

    Attributes:
        id: Ray's id of the job.
        name: the sweep.
        home: the home, as the cluster sees it.
        status: Ray's word for its state.
    """

    id: str
    name: str
    home: str
    status: str


class Jobs:
    """The drivers on one cluster."""

    def __init__(self, address: str) -> None:
        """Connect to the cluster's dashboard.

        Args:
            address: `HOST:PORT`, `auto`, or the URL of the dashboard.

        Raises:
            UserError: no dashboard answers there.
        """
        if not is_dashboard(address):
            check_answers(address)
        use_token()
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        self._address = address
        try:
            self._client: JobSubmissionClient = JobSubmissionClient(address)
        except AuthenticationError:
            raise UserError(
                f"--address {address}: the cluster demands its token; copy ~/.ray/auth_token of its head to the same "
                "place here, or let RAY_AUTH_TOKEN_PATH name a copy, with RAY_AUTH_MODE=token"
            ) from None
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
            raise UserError(
                f"--address {address}: no dashboard answers there ({reason}); on the cluster's head run "
                "pip install 'avsweep[cluster]' and ray start --head, and let this machine reach its port 8265"
            ) from None

    def send(self, name: str, home: str, arguments: Sequence[str], folder: Path | None) -> Job:
        """Let the cluster run a driver, and wait until it has accepted its arguments.

        Args:
            name: the sweep.
            home: the home, as the cluster sees it.
            arguments: those of `orchestrate`, with paths relative to `folder`, and without the home.
            folder: the folder that is sent along; None for none.

        Raises:
            UserError: the sweep runs there already, or the folder can't be sent.
            OrchestratorError: the driver ended at once; the message is what it printed.
        """
        if running := [job for job in self._list(name) if job.status not in ENDED and job.home == home]:
            raise UserError(
                f"{name}: this sweep is already running on the cluster, as {running[-1].id}; follow it "
                f"({self._command('attach', name)}), stop it, or start another one with --name"
            )
        code: dict[str, Any] = {"working_dir": str(folder), "excludes": list(IGNORED)} if folder else {}
        job = self._submit(name, home, ["avsweep.job", home, name, *arguments], code)
        deadline, has_started = time.monotonic() + START_S, False
        while time.monotonic() < deadline and self._status(job) not in ENDED:
            if not has_started and STARTED in self.read_log(job):
                deadline, has_started = time.monotonic() + SETTLED_S, True
            time.sleep(POLL_S)
        if self._status(job) in ENDED and self._status(job) != "SUCCEEDED":
            error = OrchestratorError(self._explain_end(job))
            code_of_driver = self._client.get_job_info(job.id).driver_exit_code
            error.exit_code = UserError.exit_code if code_of_driver == UserError.exit_code else 1
            raise error
        return job

    def describe(self, job: Job) -> list[str]:
        """Return lines about a driver that was sent: how to follow, ask and stop it."""
        return [
            f"{job.name} runs on the cluster, as {job.id}; this machine may be switched off",
            f"Follow it:        {self._command('attach', job.name)}",
            f"Show its state:   {self._command('status', job.name)}",
            f"Stop it cleanly:  {self._command('stop', job.name)}",
        ]

    def find(self, name: str) -> Job:
        """Return the newest driver of a sweep.

        Raises:
            UserError: none was sent to this cluster.
        """
        if jobs := self._list(name):
            return jobs[-1]
        names = sorted({job.name for job in self._list()})
        raise UserError(
            f"{name}: no such sweep was sent to {self._address} (orchestrate sweep FILE --detach --address …); it has: "
            f"{', '.join(names) or 'none'}"
        )

    def read_log(self, job: Job) -> str:
        """Return what a driver has printed so far."""
        lines = str(self._client.get_job_logs(job.id)).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(FIRST_LINE))

    def follow(self, job: Job, write: Callable[[str], None]) -> bool:
        """Pass on what a driver prints, from its beginning to its end.

        Args:
            job: the driver.
            write: takes text.

        Returns:
            Whether the driver has ended well.
        """

        async def pass_on() -> None:
            async for text in self._client.tail_job_logs(job.id):
                write("".join(line for line in text.splitlines(keepends=True) if not line.startswith(FIRST_LINE)))

        asyncio.run(pass_on())
        return self._status(job) == "SUCCEEDED"

    def ask(self, job: Job, arguments: Sequence[str]) -> tuple[str, bool]:
        """Run a command of `orchestrate` on the cluster, where the home of a driver is.

        Args:
            job: the driver.
            arguments: those of the command, without the home.

        Returns:
            What it printed, and whether it succeeded.
        """
        command = self._submit(f"{job.name}:{arguments[0]}", job.home, ["avsweep", *arguments, "--home", job.home], {})
        deadline = time.monotonic() + ANSWER_S
        while self._status(command) not in ENDED:
            if time.monotonic() > deadline:
                raise OrchestratorError(f"{arguments[0]}: no answer from the cluster within {ANSWER_S:g} s; ask again")
            time.sleep(POLL_S)
        text, succeeded = self.read_log(command), self._status(command) == "SUCCEEDED"
        self._client.delete_job(command.id)
        return text, succeeded

    def _submit(self, name: str, home: str, arguments: Sequence[str], code: Mapping[str, Any]) -> Job:
        try:
            job_id = self._client.submit_job(
                entrypoint=f"{ENTRY} {shlex.join(arguments)}",
                runtime_env={**code, "env_vars": make_variables()},
                metadata={SWEEP: name, HOME: home},
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"--address {self._address}: the cluster refused the job ("
                f"{str(error).strip().partition(chr(10))[0]}); if files are too large to send, list them in a "
                ".rayignore next to the search space"
            ) from None
        return Job(job_id, name, home, "PENDING")

    def _list(self, name: str | None = None) -> list[Job]:
        """Return the drivers of a sweep, or of all, the newest one last."""
        known = [details for details in self._client.list_jobs() if SWEEP in (details.metadata or {})]
        jobs = []
        for details in sorted(known, key=lambda details: details.start_time or 0):
            job = Job(details.submission_id, details.metadata[SWEEP], details.metadata[HOME], _word(details.status))
            if ":" not in job.name and name in (None, job.name):
                jobs.append(job)
        return jobs

    def _status(self, job: Job) -> str:
        return _word(self._client.get_job_status(job.id))

    def _explain_end(self, job: Job) -> str:
        message = str(self._client.get_job_info(job.id).message or "")
        return self.read_log(job).strip() or message.strip()

    def _command(self, verb: str, name: str) -> str:
        return format_command(verb, name, "--address", self._address)


def make_variables() -> dict[str, str]:
    """Return the environment variables of a job: also this machine's MLflow, unless only this machine can use it."""
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), "PYTHONUNBUFFERED": "1"}
    # Not in the command line, which every user of the cluster's machines can read.
    return variables | ({sender.VARIABLE: uri} if (uri := sender.shared_uri()) else {})


def _word(status: Any) -> str:
    """Return Ray's word for a state, which it has as an enumeration."""
    return str(getattr(status, "value", status))
