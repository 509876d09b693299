"""Saved views of a sweep: MLflow's tables and charts with a filter, an order, columns and cards.

A view is a tag of the experiment, in the format in which MLflow's page stores its own saved views. MLflow does not
document it (3.17). A tag may have at most 5,000 characters.
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
"""The most searched parameters that have a column or a chart."""
MAX_PICTURES = 6
CHARTED_RUNS = 10
"""The number of runs that the page draws in a chart."""
GLOBAL_AXES = {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
"""The axes of a chart are those of `globalLineChartConfig`: by step, not smoothed."""
ALL, CURVES, BY_ARM, PARAMETERS, TOP, RENDERINGS = "all", "curves", "by-arm", "parameters", "top", "renderings"
Chart = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """The contents of a sweep's views.

    Attributes:
        sweep: the name of the sweep.
        sweep_id: its id, which distinguishes it from others of that name.
        run_id: the id of its own run.
        objective: the metric that orders its trials.
        compared: the parameters that make the arms.
        searched: the parameters that Optuna chose.
        rendered: the settings by which renderings differ.
        best: the ids of the runs of each arm's best trial.
        pictures: the keys of the pictures of probe clips that the best trials have.
        picture_epoch: an epoch at which all of them have these pictures.
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
        """Return the state of MLflow's page for each view, by its purpose."""
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
        """Return the charts of the metrics over epochs, and of the best value."""
        metrics = dict.fromkeys([words.to_mlflow(self.objective.metric), words.FVU, words.VAL_LOSS])
        lines = [
            _chart(f"line-{metric}", "LINE", metricKey=metric, selectedMetricKeys=[metric], **GLOBAL_AXES)
            for metric in metrics
        ]
        return [*lines, _chart("best", "BAR", metricKey=self._best_name)]

    def _by_arm(self) -> dict[str, Any]:
        """Return the state with the curves averaged over each arm."""
        by_arm = {"mode": "tag", "groupByData": words.TAG_ARM}
        return self._state(self._curves()) | {"groupBy": {"aggregateFunction": "average", "groupByKeys": [by_arm]}}

    def _parameters(self) -> list[Chart]:
        """Return the charts of the objective over parameters."""
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
        """Return the state with curves, pictures and differing parameters of each arm's best trial."""
        runs = ", ".join(f"'{run_id}'" for run_id in self.best)
        charts = self._curves()
        if self.picture_epoch is not None:
            charts += [
                _chart(f"image-{name}", "IMAGE", imageKeys=[name], step=self.picture_epoch, showRunParams=False)
                for name in self.pictures[:MAX_PICTURES]
            ]
        options = {"showChangeFromBaseline": True, "showDifferencesOnly": True, "baselineColumnUuid": ""}
        charts += [_chart("differences", "DIFFERENCE", compareGroups=["Parameters"], chartName="Parameters", **options)]
        return self._state(charts) | {"searchFilter": f"attributes.run_id IN ({runs})"}

    def _renderings(self) -> dict[str, Any]:
        """Return the state with the table of renderings."""
        params = [f"params.`{words.to_mlflow(name)}`" for name in self.rendered]
        metrics = [f"metrics.`{name}`" for name in words.SOUND_METRICS]
        columns = [f"tags.`{words.TAG_ARM}`", *params, *metrics]
        roles = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}'"
        return self._state([]) | {
            "selectedColumns": columns,
            "searchFilter": f"{roles} AND tags.`{words.TAG_SWEEP_ID}` = '{self.sweep_id}'",
            "orderByKey": f"metrics.`{words.SOUND_METRICS[0]}`",
            "orderByAsc": True,
        }

    def _columns(self) -> list[str]:
        """Return the columns of the table of trials."""
        names = dict.fromkeys([self.objective.metric, words.JUDGE_ACCURACY, words.FVU, "val/lsd_db"])
        metrics = [f"metrics.`{words.to_mlflow(words.best_name(name))}`" for name in names]
        params = [f"params.`{words.to_mlflow(name)}`" for name in self.searched[:MAX_PARAMS]]
        arm, epochs, outcome = (f"tags.`{tag}`" for tag in (words.TAG_ARM, words.TAG_EPOCHS, words.TAG_OUTCOME))
        return [arm, *metrics, epochs, outcome, *params]

    def _state(self, charts: Sequence[Chart]) -> dict[str, Any]:
        """Return the state of MLflow's page with the table of trials and these charts."""
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


def pack_view(name: str, state: Mapping[str, Any], made_ms: int) -> str:
    """Return the value of the tag that holds a view."""
    text = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": made_ms, "updatedAt": made_ms, "state": text})


def _chart(uuid: str, kind: str, **fields: Any) -> Chart:
    """Return a chart of the kind that MLflow's page calls `kind`."""
    place = {"metricSectionId": "sweep", "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "runsCountToCompare": CHARTED_RUNS, **place, **fields}
