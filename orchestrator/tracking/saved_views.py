"""The prepared views of a sweep: MLflow's tables and charts with filter, order, columns and cards already chosen.

A view is an experiment tag in the format of the page's own saved views, which MLflow does not document (3.17); it has
to stay below 5,000 characters.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.state.curve import Objective
from reports import vocabulary as words

TAG_PREFIX = "mlflow.sharedViewState."
MAX_PARAMS = 3
"""Searched parameters that have a column or a chart of their own."""
MAX_PICTURES = 6
CHARTED_RUNS = 10
"""As many as the page draws."""
GLOBAL_AXES = {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
"""What `globalLineChartConfig` says: by step, not smoothed."""
ALL, CURVES, BY_ARM, PARAMETERS, TOP, RENDERINGS = "all", "curves", "by-arm", "parameters", "top", "renderings"
Chart = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What there is to be seen of a sweep.

    Attributes:
        sweep: its name.
        sweep_id: tells it from others of that name.
        run_id: its own run.
        objective: orders its trials.
        compared: parameters that make the arms.
        searched: parameters that Optuna chose.
        rendered: settings that renderings differ by.
        best: runs of the best trial of each arm.
        pictures: keys of pictures of probe clips that the best trials have.
        picture_epoch: an epoch at which all of them have those.
    """

    sweep: str
    sweep_id: str
    run_id: str
    objective: Objective
    compared: Sequence[str] = ()
    searched: Sequence[str] = ()
    rendered: Sequence[str] = ()
    best: Sequence[str] = ()
    pictures: Sequence[str] = ()
    picture_epoch: int | None = None

    def views(self) -> dict[str, dict[str, Any]]:
        """The state of each view, by what it is for."""
        state_by_purpose = {
            ALL: self._state([]),
            CURVES: self._state(self._curves()),
            BY_ARM: self._by_arm(),
            PARAMETERS: self._state(self._parameters()),
        }
        if self.best:
            state_by_purpose[TOP] = self._top()
        if self.rendered:
            state_by_purpose[RENDERINGS] = self._renderings()
        return state_by_purpose

    @property
    def _best_name(self) -> str:
        return words.to_mlflow(words.best_name(self.objective.metric))

    @property
    def _filter(self) -> str:
        return f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{self.run_id}'"

    def _curves(self) -> list[Chart]:
        metrics = dict.fromkeys([words.to_mlflow(self.objective.metric), words.FVU, words.VAL_LOSS])
        lines = [
            _chart(f"line-{metric}", "LINE", metricKey=metric, selectedMetricKeys=[metric], **GLOBAL_AXES)
            for metric in metrics
        ]
        return [*lines, _chart("best", "BAR", metricKey=self._best_name)]

    def _by_arm(self) -> dict[str, Any]:
        by_arm = {"mode": "tag", "groupByData": words.TAG_ARM}
        return self._state(self._curves()) | {"groupBy": {"aggregateFunction": "average", "groupByKeys": [by_arm]}}

    def _parameters(self) -> list[Chart]:
        score = {"key": self._best_name, "type": "METRIC"}
        searched = [words.to_mlflow(name) for name in self.searched[:MAX_PARAMS]]
        params = [*map(words.to_mlflow, self.compared), *searched]
        lines = _chart("parallel", "PARALLEL", selectedParams=params, selectedMetrics=[self._best_name])
        scatters = [
            _chart(f"scatter-{name}", "SCATTER", xaxis={"key": name, "type": "PARAM"}, yaxis=score) for name in searched
        ]
        many = {"runsCountToCompare": 100}
        return [lines | {"showAllRuns": True} | many, *(chart | many for chart in scatters)]

    def _top(self) -> dict[str, Any]:
        runs = ", ".join(f"'{run_id}'" for run_id in self.best)
        charts = self._curves()
        if self.picture_epoch is not None:
            charts += [
                _chart(f"image-{name}", "IMAGE", imageKeys=[name], step=self.picture_epoch, showRunParams=False)
                for name in self.pictures[:MAX_PICTURES]
            ]
        shown = {"showChangeFromBaseline": True, "showDifferencesOnly": True, "baselineColumnUuid": ""}
        charts += [_chart("differences", "DIFFERENCE", compareGroups=["Parameters"], chartName="Parameters", **shown)]
        return self._state(charts) | {"searchFilter": f"attributes.run_id IN ({runs})"}

    def _renderings(self) -> dict[str, Any]:
        columns = [
            f"tags.`{words.TAG_ARM}`",
            *(f"params.`{words.to_mlflow(name)}`" for name in self.rendered),
            *(f"metrics.`{name}`" for name in words.SOUND_METRICS),
        ]
        roles = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}'"
        return self._state([]) | {
            "selectedColumns": columns,
            "searchFilter": f"{roles} AND tags.`{words.TAG_SWEEP_ID}` = '{self.sweep_id}'",
            "orderByKey": f"metrics.`{words.SOUND_METRICS[0]}`",
            "orderByAsc": True,
        }

    def _columns(self) -> list[str]:
        metrics = dict.fromkeys([self.objective.metric, words.JUDGE_ACCURACY, words.FVU, "val/lsd_db"])
        return [
            f"tags.`{words.TAG_ARM}`",
            *(f"metrics.`{words.to_mlflow(words.best_name(metric))}`" for metric in metrics),
            f"tags.`{words.TAG_EPOCHS}`",
            f"tags.`{words.TAG_OUTCOME}`",
            *(f"params.`{words.to_mlflow(name)}`" for name in self.searched[:MAX_PARAMS]),
        ]

    def _state(self, charts: Sequence[Chart]) -> dict[str, Any]:
        section = {"uuid": "sweep", "name": self.sweep, "display": True}
        flags = {"isReordered": False, "deleted": False, "isGenerated": False}
        return {
            "searchFilter": self._filter,
            "orderByKey": f"metrics.`{self._best_name}`",
            "orderByAsc": self.objective.mode == "min",
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": self._columns(),
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


def packed(name: str, state: Mapping[str, Any], made_ms: int) -> str:
    """A view as the page keeps it in a tag."""
    text = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": made_ms, "updatedAt": made_ms, "state": text})


def _chart(uuid: str, kind: str, **fields: Any) -> Chart:
    place = {"metricSectionId": "sweep", "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "runsCountToCompare": CHARTED_RUNS, **place, **fields}
