"""Links that open MLflow's pages where they are worth looking at.

Links begin with `#/`: put the server's address and a slash in front. Some open a prepared view, which holds filter,
order, columns and charts; beside one, a filter in the link itself would drop its columns and charts.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.command_line import format_command
from orchestrator.state.home import home_option
from orchestrator.tracking.saved_views import ALL, RENDERINGS, TAG_PREFIX, Seen, packed
from reports import vocabulary as words

MODEL_TRAINING = "workflowType=machine_learning"
"""Without it the pages for chat models open."""


@dataclass(frozen=True)
class SweepPages:
    """The pages of one sweep.

    Attributes:
        sweep: its name.
        experiment_id: MLflow's number of the experiment.
        run_id: the sweep's own run.
    """

    sweep: str
    experiment_id: str
    run_id: str

    def trials(self) -> str:
        """The table of trials, best first."""
        return self._runs(self._view_id(ALL))

    def charts(self, purpose: str) -> str:
        """The charts of a prepared view."""
        return f"{self._runs(self._view_id(purpose))}&compareRunsMode=CHART"

    def renderings(self) -> str:
        """The table of renderings, each of them a run of its own."""
        return self._runs(self._view_id(RENDERINGS))

    def spectrograms(self) -> str:
        """The pictures of the probe clips, a column a trial."""
        return f"{self.trials()}&compareRunsMode=ARTIFACT"

    def listen(self) -> str:
        """The best trial of each arm, side by side, with sound."""
        return self.run(self.run_id, words.ARTIFACT_LISTEN)

    def report(self) -> str:
        """What the sweep found."""
        return self.run(self.run_id, words.ARTIFACT_REPORT)

    def run(self, run_id: str, artifact: str = "") -> str:
        """A run's page, or one of its artifacts."""
        path = f"/artifacts/{quote(artifact)}" if artifact else ""
        return f"#/experiments/{self.experiment_id}/runs/{run_id}{path}?{MODEL_TRAINING}"

    def compare(self, run_ids: Sequence[str]) -> str:
        """Params and metrics of some runs beside one another."""
        runs, experiments = (quote(json.dumps(ids)) for ids in (list(run_ids), [self.experiment_id]))
        return f"#/compare-runs?runs={runs}&experiments={experiments}&{MODEL_TRAINING}"

    def _runs(self, view_id: str) -> str:
        return f"#/experiments/{self.experiment_id}/runs?{MODEL_TRAINING}&viewStateShareKey={view_id}"

    def _view_id(self, purpose: str) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_-]', '-', self.sweep)}-{purpose}"

    def prepared(self, contents: Seen, made_ms: int) -> dict[str, str]:
        """The experiment's tags that make the views open."""
        return {
            TAG_PREFIX + self._view_id(purpose): packed(f"{self.sweep}: {purpose}", state, made_ms)
            for purpose, state in contents.views().items()
        }


UI_PORT = 5000
"""Where `orchestrate ui` serves, unless told otherwise."""


def link_lines(name: str, tracking: Mapping[str, Any], home: Path) -> list[str]:
    """The addresses of a sweep's pages, on the server that has them or on the one that `orchestrate ui` starts.

    Args:
        name: the sweep.
        tracking: what the process that sends to MLflow last said.
        home: the folder of all sweeps.
    """
    command = f"Hear and compare them:  {format_command('ui', name, *home_option(home))}"
    uri = str(tracking.get("tracking_uri") or "")
    links: Mapping[str, str] = tracking.get("links") or {}
    if not links:
        return [f"Nothing of it is in MLflow yet ({tracking.get('error') or 'it has just begun'}).", command]
    if uri.startswith(("http://", "https://")):
        return [f"{purpose:<13} {uri.rstrip('/')}/{link}" for purpose, link in links.items()]
    addresses = [f"  {purpose:<13} http://127.0.0.1:{UI_PORT}/{link}" for purpose, link in links.items()]
    through = tunnel(UI_PORT)
    return [command, *addresses, *([f"From the machine that you sit at, first:  {through}"] if through else [])]


def tunnel(port: int) -> str | None:
    """The command that brings a port of this machine to the one from which somebody is logged in over ssh."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{connection[2]}" if len(connection) == 4 else None
