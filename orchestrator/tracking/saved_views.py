"""The format of MLflow's saved views: the state of its page of runs, as a tag of the experiment.

MLflow does not document it (3.17). A tag may have at most 5,000 characters.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TAG_PREFIX = "mlflow.sharedViewState."
GLOBAL_AXES = {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
"""The axes of a chart are those of `globalLineChartConfig`: by step, not smoothed."""
LEADING_COLUMNS = ("0", "attributes.`Run Name`")
"""The ids of the columns that the table of runs begins with."""
NAME_PX = 220
CHARACTER_PX = 7
"""The mean width of a character in the head of a column, rounded up."""
PADDING_PX = 48
"""The space in a head next to the name, for the arrow of the order."""
Chart = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """Charts of a page in rows, below a heading.

    Attributes:
        name: the heading.
        charts: the charts.
        columns: how many charts are in a row.
        height_px: the height of a chart.
    """

    name: str
    charts: Sequence[Chart]
    columns: int = 2
    height_px: int = 360


def pack_view(name: str, state: Mapping[str, Any], made_ms: int) -> str:
    """Return the value of the tag that holds a view."""
    text = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": made_ms, "updatedAt": made_ms, "state": text})


def make_view_state(
    search_filter: str,
    order_by: str,
    *,
    ascending: bool,
    columns: Mapping[str, int],
    sections: Sequence[Section] = (),
    collapsed_sections: Sequence[str] = (),
    hidden_metrics: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the content of a saved view of MLflow's page of runs.

    Args:
        search_filter: selects the runs.
        order_by: the metric that orders them.
        ascending: whether the lowest value comes first.
        columns: the columns of the table, as MLflow names them (``tags.`orchestrate.arm` ``), each with the most
            characters of a cell that is not cut; the head is never cut.
        sections: the charts.
        collapsed_sections: the names of sections that MLflow makes of all other metrics, collapsed at first.
        hidden_metrics: the metrics for which MLflow draws no chart by itself.
    """
    charts, headings = [], []
    for section in sections:
        charts += [chart | {"metricSectionId": section.name} for chart in section.charts]
        size = {"columns": section.columns, "cardHeight": section.height_px}
        headings.append(_heading(section.name, is_open=True) | size)
    charts += [
        make_line(metric) | {"metricSectionId": metric.partition("/")[0], "deleted": True} for metric in hidden_metrics
    ]
    headings += [_heading(name, is_open=False) for name in collapsed_sections]
    widths_px = {column: _width_px(column, length) for column, length in columns.items()}
    return {
        "searchFilter": search_filter,
        "orderByKey": f"metrics.`{order_by}`",
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": [*LEADING_COLUMNS, *columns],
        "columnWidths": {LEADING_COLUMNS[1]: NAME_PX} | widths_px,
        # The page would hide all but the first ten runs from charts.
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": headings,
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


def make_chart(uuid: str, kind: str, **fields: Any) -> Chart:
    """Return a chart of the kind that MLflow's page calls `kind`."""
    return {"uuid": uuid, "type": kind, "runsCountToCompare": 100, "deleted": False, "isGenerated": False, **fields}


def make_line(metric: str) -> Chart:
    """Return a chart of a metric over epochs."""
    return make_chart(f"line-{metric}", "LINE", metricKey=metric, selectedMetricKeys=[metric], **GLOBAL_AXES)


def _heading(name: str, *, is_open: bool) -> dict[str, Any]:
    """Return MLflow's form of a section."""
    flags = {"display": is_open, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": name, **flags}


def _width_px(column: str, length: int) -> int:
    """Return the width at which neither the head of a column nor a cell with `length` characters is cut."""
    name = column.partition("`")[2].rstrip("`")
    return PADDING_PX + CHARACTER_PX * max(len(name), length)
