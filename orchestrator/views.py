"""Links that open MLflow's pages where they are worth looking at, and the prepared views that some of them open.

Links begin with `#/`: put the server's address and a slash in front. A prepared view holds filter, order, columns and
charts; beside one, a filter in the link itself would drop its columns and charts. It is an experiment tag in the format
of the page's own saved views, which MLflow does not document (3.17).
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from orchestrator.trial import Objective
from reports import vocabulary as words

VIEW_TAG_PREFIX = "mlflow.sharedViewState."
MODEL_TRAINING = "workflowType=machine_learning"
"""Without it the pages for chat models open."""
MAX_SEARCHED_COLUMNS = 3
GLOBAL_AXES = {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
"""What `globalLineChartConfig` says: by step, not smoothed."""


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
    objective: Objective
    sweep_id: str = ""

    @property
    def _order(self) -> str:
        return f"metrics.`{words.best_name(self.objective.metric)}`"

    @property
    def _filter(self) -> str:
        return f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{self.run_id}'"

    def trials(self) -> str:
        """The table of trials, best first."""
        return self._runs(self._view_id("table"))

    def curves(self) -> str:
        """The charts of the ten best trials."""
        return f"{self._runs(self._view_id('curves'))}&compareRunsMode=CHART"

    def renderings(self) -> str:
        """The table of renderings, each of them a run of its own."""
        return self._runs(self._view_id("renderings"))

    def spectrograms(self) -> str:
        """The pictures of the probe clips, a column a trial."""
        return f"{self.trials()}&compareRunsMode=ARTIFACT"

    def listen(self) -> str:
        """The best trial of each arm, side by side, with sound."""
        return self.run(self.run_id, words.ARTIFACT_LISTEN)

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

    def prepared(
        self, searched: Sequence[str], compared: Sequence[str], made_ms: int, rendered: Sequence[str] = ()
    ) -> dict[str, str]:
        """The experiment's tags that make the views of `trials`, `curves` and `renderings` open.

        Args:
            searched: parameters that Optuna chose.
            compared: parameters that make the arms.
            rendered: settings that renderings differ by.
        """
        columns = [
            f"tags.`{words.TAG_ARM}`",
            *(f"metrics.`{name}`" for name in self._scores()),
            f"tags.`{words.TAG_EPOCHS}`",
            f"tags.`{words.TAG_OUTCOME}`",
            *(f"params.`{name}`" for name in searched[:MAX_SEARCHED_COLUMNS]),
        ]
        charts = self._charts([*compared, *searched[:MAX_SEARCHED_COLUMNS]])
        views = {"table": self._state(columns, []), "curves": self._state(columns, charts)}
        if rendered:
            views["renderings"] = self._renderings_state(rendered)
        return {
            VIEW_TAG_PREFIX + self._view_id(purpose): _pack(f"{self.sweep}: {purpose}", state, made_ms)
            for purpose, state in views.items()
        }

    def _scores(self) -> list[str]:
        metrics = dict.fromkeys([self.objective.metric, words.JUDGE_ACCURACY, words.FVU])
        return [words.best_name(metric) for metric in metrics]

    def _charts(self, params: Sequence[str]) -> list[dict[str, Any]]:
        best = words.best_name(self.objective.metric)
        curves = dict.fromkeys([self.objective.metric, words.FVU, words.VAL_LOSS])
        lines = [
            _chart(f"line-{metric}", "LINE", metricKey=metric, selectedMetricKeys=[metric], **GLOBAL_AXES)
            for metric in curves
        ]
        scores = _chart("best", "BAR", metricKey=best)
        parameters = _chart("parameters", "PARALLEL", selectedParams=list(params), selectedMetrics=[best])
        return [*lines, scores, {**parameters, "showAllRuns": True}]

    def _renderings_state(self, rendered: Sequence[str]) -> dict[str, Any]:
        columns = [
            f"tags.`{words.TAG_ARM}`",
            *(f"params.`{name}`" for name in rendered),
            *(f"metrics.`{name}`" for name in words.SOUND_METRICS),
        ]
        roles = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}'"
        return {
            **self._state(columns, []),
            "searchFilter": f"{roles} AND tags.`{words.TAG_SWEEP_ID}` = '{self.sweep_id}'",
            "orderByKey": f"metrics.`{words.SOUND_METRICS[0]}`",
            "orderByAsc": True,
        }

    def _state(self, columns: Sequence[str], charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        section = {"uuid": "sweep", "name": self.sweep, "display": True}
        flags = {"isReordered": False, "deleted": False, "isGenerated": False}
        return {
            "searchFilter": self._filter,
            "orderByKey": self._order,
            "orderByAsc": self.objective.mode == "min",
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
            "columnOrder": [],
            "columnWidths": {},
            "runsHiddenMode": "FIRST_10_RUNS",
            "compareRunCharts": charts,
            "compareRunSections": [{**section, **flags}] if charts else [],
            "viewMaximized": False,
            "runListHidden": False,
            "isAccordionReordered": True,
            "useGroupedValuesInCharts": True,
            "hideEmptyCharts": True,
            "groupBy": None,
            "groupsExpanded": {},
            "autoRefreshEnabled": True,
            "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        }


UI_PORT = 5000
"""Where `orchestrate ui` serves, unless told otherwise."""


def tunnel(port: int) -> str | None:
    """The command that brings a port of this machine to the one from which somebody is logged in over ssh."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{connection[2]}" if len(connection) == 4 else None


def _chart(uuid: str, kind: str, **fields: Any) -> dict[str, Any]:
    place = {"metricSectionId": "sweep", "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "runsCountToCompare": 10, **place, **fields}


def _pack(name: str, state: Mapping[str, Any], made_ms: int) -> str:
    packed = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": made_ms, "updatedAt": made_ms, "state": packed})
