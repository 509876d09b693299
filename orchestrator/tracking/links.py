"""Links to the pages of MLflow that show a sweep.

Links begin with `#/`; the server's address and a slash come before that. Some open a saved view, which has a filter, an
order, columns and charts. Such a link has no filter of its own, because that would drop the view's columns and charts.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.command_line import UI_PORT, format_command
from orchestrator.state.home import home_option
from orchestrator.tracking.saved_views import TAG_PREFIX, pack_view
from orchestrator.tracking.sweep_views import ALL, FRONT, RENDERINGS, SPECTROGRAMS, Seen
from reports import vocabulary as words

MODEL_TRAINING = "workflowType=machine_learning"
"""The part of each link without which MLflow opens its pages for language models."""


@dataclass(frozen=True)
class SweepPages:
    """The pages of one sweep.

    Attributes:
        sweep: the name of the sweep.
        experiment_id: MLflow's id of the experiment.
        run_id: the id of the sweep's own run.
    """

    sweep: str
    experiment_id: str
    run_id: str

    def trials(self) -> str:
        """Return the link to the table of trials, best first."""
        return self._runs(self._view_id(ALL))

    def charts(self, purpose: str) -> str:
        """Return the link to the charts of a saved view."""
        return f"{self._runs(self._view_id(purpose))}&compareRunsMode=CHART"

    def front(self) -> str:
        """Return the link to the table of the trials on the front over all arms."""
        return self._runs(self._view_id(FRONT))

    def renderings(self) -> str:
        """Return the link to the table of renderings, each of which is a run."""
        return self._runs(self._view_id(RENDERINGS))

    def spectrograms(self) -> str:
        """Return the link to the pictures of the probe clips, with a column for the best trial of each arm."""
        return f"{self._runs(self._view_id(SPECTROGRAMS))}&compareRunsMode=ARTIFACT"

    def listen(self) -> str:
        """Return the link to the page with the sounds of the best trial of each arm, side by side."""
        return self.run(self.run_id, words.ARTIFACT_LISTEN)

    def report(self) -> str:
        """Return the link to the sweep's report."""
        return self.run(self.run_id, words.ARTIFACT_REPORT)

    def run(self, run_id: str, artifact: str = "") -> str:
        """Return the link to a run's page, or to one of its artifacts."""
        return run_page(self.experiment_id, run_id, artifact)

    def compare(self, run_ids: Sequence[str]) -> str:
        """Return the link to MLflow's own comparison of some runs, which has no saved view."""
        runs, experiments = (quote(json.dumps(ids)) for ids in (list(run_ids), [self.experiment_id]))
        return f"#/compare-runs?runs={runs}&experiments={experiments}&{MODEL_TRAINING}"

    def _runs(self, view_id: str) -> str:
        return f"#/experiments/{self.experiment_id}/runs?{MODEL_TRAINING}&viewStateShareKey={view_id}"

    def _view_id(self, purpose: str) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_-]', '-', self.sweep)}-{purpose}"

    def make_view_tags(self, contents: Seen, made_ms: int) -> dict[str, str]:
        """Return experiment tags, by name. MLflow stores each saved view in one, and a link opens it by its id.

        Args:
            contents: what the views show: the names of the sweep's metrics, parameters and arms, and ids of runs.
            made_ms: the time in milliseconds since 1970 that each view has as its creation and last change.
        """
        return {
            TAG_PREFIX + self._view_id(purpose): pack_view(f"{self.sweep}: {purpose}", state, made_ms)
            for purpose, state in contents.views().items()
        }


def run_page(experiment_id: str, run_id: str, artifact: str = "") -> str:
    """Return the link to the page of a run, or to one of its artifacts."""
    path = f"/artifacts/{quote(artifact)}" if artifact else ""
    return f"#/experiments/{experiment_id}/runs/{run_id}{path}?{MODEL_TRAINING}"


LISTEN = "listen"
"""The purpose of the page with sounds among a sweep's links."""


def link_lines(name: str, tracking: Mapping[str, Any], home: Path, port: int = UI_PORT) -> list[str]:
    """Return lines with the addresses of a sweep's pages where a server shows them, else the command that starts one.

    Args:
        name: the name of the sweep.
        tracking: the contents of `tracking.json`.
        home: the folder of all sweeps.
        port: that of `orchestrate ui` on this machine.
    """
    uri = str(tracking.get("tracking_uri") or "")
    links: Mapping[str, str] = tracking.get("links") or {}
    # Only a sweep that made sounds has a page to listen to.
    purpose = "Hear and compare them" if LISTEN in links else "Compare them"
    command = f"{purpose}:  {format_command('ui', name, *home_option(home))}"
    if not links:
        return [f"Nothing of it is in MLflow yet ({tracking.get('error') or 'it has just begun'}).", command]
    if uri.startswith(("http://", "https://")):
        return [f"{purpose:<13} {uri.rstrip('/')}/{link}" for purpose, link in links.items()]
    if not _is_served(port):
        return [command]
    return [command, *(f"  {purpose:<13} http://127.0.0.1:{port}/{link}" for purpose, link in links.items())]


def _is_served(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tunnel(port: int) -> str | None:
    """Return the ssh command that forwards a port of this machine to the user's; None if the user is not on ssh."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{connection[2]}" if len(connection) == 4 else None
