"""The report's figures: functions that draw data frames as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import vocabulary as words
from reports.page.axes import describe_range, is_logarithmic, positions_of, scale_to_unit
from reports.page.front_points import make_stairs
from reports.statistics.contrast import Contrast, find_intervals

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#b8a800")
"""Safe for colour-blind people (Okabe & Ito 2008); the last two are darker than in the original palette."""
LINES = ("-", "--", ":", "-.")
GREY = "#6b7780"
WIDTH_IN, HEIGHT_IN = 7.2, 3.2
SLANT = 35
"""Rotation of the words below an axis in degrees, so that they don't overlap."""
MANY_LINES = 200
"""More lines than this are rasterized inside the svg, which would be too large otherwise."""
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8eb",
    "axes.edgecolor": GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "orchestrate",
}


def save(figure: Figure, path: Any) -> None:
    """Write a figure to a file, as png or svg depending on the path's suffix."""
    _save(figure, path, dpi=200)


def contrasts(comparisons: Sequence[Contrast], unit: str) -> Figure:
    """Draw differences with their 95 % intervals, in colour if a test found a difference.

    Args:
        comparisons: contrasts; those without an interval are left out.
        unit: label of the metric.
    """
    shown = find_intervals(comparisons)
    figure, (axes,) = _figure(height=0.7 + 0.32 * max(1, len(shown)))
    for row, (contrast, low, high) in enumerate(reversed(shown)):
        color = COLORS[0] if contrast.is_distinguishable else GREY
        axes.plot([low, high], [row, row], color=color, lw=2, solid_capstyle="butt")
        axes.plot(contrast.difference, row, "o", color=color, ms=5)
    axes.axvline(0, color="#1f272d", lw=0.8)
    axes.set_yticks(range(len(shown)), [label_contrast(contrast) for contrast, *_ in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel(f"difference in {unit}, 95 % interval")
    return figure


def label_contrast(contrast: Contrast) -> str:
    """Return a contrast's label: `vae − l2`, or `vae − l2 (normalization=clip)` if other factors are held fixed."""
    at = ", ".join(f"{name}={value}" for name, value in contrast.at.items())
    return f"{contrast.level} − {contrast.baseline}" + (f" ({at})" if at else "")


def curves(histories: pd.DataFrame, metric: str, rungs: Sequence[int] = ()) -> Figure:
    """Draw the median and the quartiles of a metric over epochs, by arm, of the trials that trained that long.

    Args:
        histories: columns `arm`, `epoch` and the metric.
        metric: name of the metric.
        rungs: epochs at which ASHA pruned trials.
    """
    figure, (axes,) = _figure()
    for number, (arm, rows) in enumerate(histories.dropna(subset=[metric]).groupby("arm", sort=False)):
        quartiles = rows.groupby("epoch")[metric].describe()[["25%", "50%", "75%"]]
        style = _line_style(number)
        axes.plot(quartiles.index, quartiles["50%"], label=str(arm), **style)
        axes.fill_between(quartiles.index, quartiles["25%"], quartiles["75%"], alpha=0.15, color=style["color"])
    for rung in rungs:
        axes.axvline(rung, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel("epoch" + (" (dotted: ASHA prunes)" if rungs else ""))
    axes.set_ylabel(words.label_of(metric))
    _legend(axes)
    return figure


def survival(trials: pd.DataFrame, max_epochs: int, rungs: Sequence[int]) -> Figure:
    """Draw how many trials of each arm trained for at least a number of epochs; `rungs` are the epochs of ASHA."""
    figure, (axes,) = _figure()
    for number, (arm, rows) in enumerate(trials.groupby("arm", sort=False)):
        epochs = np.arange(1, max_epochs + 1)
        num_training = (rows["epochs"].fillna(0).to_numpy()[:, None] >= epochs).sum(axis=0)
        axes.step(epochs, num_training, where="post", label=str(arm), **_line_style(number))
    for rung in rungs:
        axes.axvline(rung, color=GREY, lw=0.8, ls=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch (dotted: ASHA prunes)")
    axes.set_ylabel("trials still training")
    _legend(axes)
    return figure


def expected_best(by_cost: Mapping[str, Mapping[str, pd.DataFrame]], metric: str) -> Figure:
    """Draw the expected best of n trials of each arm against their expected cost, one panel per kind of cost.

    Args:
        by_cost: for `epochs` and `hours`, the data frame of `statistics.expected_best` of each arm.
        metric: name of the objective.
    """
    figure, panels = _figure(columns=len(by_cost))
    for axes, (cost, arms) in zip(panels, by_cost.items(), strict=True):
        for number, (arm, frame) in enumerate(arms.items()):
            axes.plot(frame["cost"], frame["expected_best"], label=arm, **_line_style(number))
        axes.set_xlabel(f"expected {cost}")
    panels[0].set_ylabel(f"expected best {words.label_of(metric)}")
    _legend(panels[-1])
    return figure


def importances(by_arm: Mapping[str, pd.Series]) -> Figure:
    """Draw the importance of each searched parameter as bars, by arm; an importance is a share of the variance."""
    frame = pd.DataFrame(dict(by_arm))
    frame = frame.loc[frame.mean(axis=1).sort_values().index]
    figure, (axes,) = _figure(height=0.9 + 0.16 * len(frame) * (len(frame.columns) + 1))
    thickness = 0.8 / len(frame.columns)
    for number, arm in enumerate(frame.columns):
        # The arms' bars of one parameter are centred on its tick.
        heights = np.arange(len(frame)) + (len(frame.columns) - 1 - 2 * number) * thickness / 2
        axes.barh(heights, frame[arm].fillna(0), thickness, color=_line_style(number)["color"], label=arm)
    axes.set_yticks(range(len(frame)), list(frame.index))
    axes.set_xlabel("importance inside the arm (adds up to 1)")
    _legend(axes)
    return figure


def slices(trials: pd.DataFrame, params: Sequence[str], column: str, metric: str) -> Figure:
    """Draw the objective against each searched parameter, coloured by arm; markers of pruned trials are hollow.

    Args:
        trials: columns `arm`, `outcome`, the parameters and the objective.
        params: names of the parameters, one panel each.
        column: column of `trials` with the objective.
        metric: name of the objective.
    """
    figure, panels = _figure(columns=len(params))
    for axes, name in zip(panels, params, strict=True):
        positions, options = positions_of(trials[name])
        for number, (arm, rows) in enumerate(trials.groupby("arm", sort=False)):
            points = rows.assign(position=positions).dropna(subset=["position", column])
            color = _line_style(number)["color"]
            for is_pruned, part in points.groupby(points["outcome"] == words.OUTCOME_PRUNED):
                face, label = ("none", None) if is_pruned else (color, arm)
                axes.plot(part["position"], part[column], "o", ms=4, mec=color, mfc=face, label=label)
        if options:
            axes.set_xticks(range(len(options)), options, rotation=SLANT, ha="right")
        elif is_logarithmic(positions):
            axes.set_xscale("log")
        axes.set_xlabel(name)
    panels[0].set_ylabel(f"best {words.label_of(metric)}")
    _legend(panels[-1])
    return figure


def front(points: pd.DataFrame, modes: Mapping[str, str]) -> Figure:
    """Draw the first objective against each of the others, coloured by arm; markers of trials on no front are hollow.

    With two objectives, a line joins the front over all arms.

    Args:
        points: columns `arm`, `front` and the values of the objectives.
        modes: the modes of the objectives by metric; the first one is on the vertical axis.
    """
    first, *others = modes
    y_column = words.best_name(first)
    figure, panels = _figure(columns=len(others))
    for axes, other in zip(panels, others, strict=True):
        x_column = words.best_name(other)
        for number, (arm, rows) in enumerate(points.groupby("arm", sort=False)):
            color = _line_style(number)["color"]
            is_on_front = rows[words.FRONT] != words.FRONT_NO
            axes.plot(rows[x_column][~is_on_front], rows[y_column][~is_on_front], "o", ms=4, mec=color, mfc="none")
            axes.plot(rows[x_column][is_on_front], rows[y_column][is_on_front], "o", ms=4, color=color, label=arm)
        if len(others) == 1:
            rows = points[points[words.FRONT] == words.FRONT_SWEEP]
            corners = make_stairs(list(zip(rows[x_column], rows[y_column], strict=True)), modes[other])
            axes.plot([x for x, _ in corners], [y for _, y in corners], color="#1f272d", lw=1, zorder=1)
        if is_logarithmic(points[x_column]):
            axes.set_xscale("log")
        axes.set_xlabel(f"{words.label_of(other)} ({modes[other]})")
    panels[0].set_ylabel(f"{words.label_of(first)} ({modes[first]})")
    _legend(panels[-1])
    return figure


def parallel(trials: pd.DataFrame, params: Sequence[str], column: str, metric: str, mode: str) -> Figure:
    """Draw parallel coordinates: a line per trial through its parameters to the objective; better trials are darker.

    Args:
        trials: columns of the parameters and the objective.
        params: names of the parameters, in the order of the axes.
        column: column of `trials` with the objective.
        metric: name of the objective.
        mode: whether small (`min`) or large (`max`) values are better.
    """
    shown = trials.dropna(subset=[column])
    # Better trials are drawn last, on top of the others.
    shown = shown.sort_values(column, ascending=mode == "max")
    names = [*params, column]
    lines = np.column_stack([scale_to_unit(shown[name]) for name in names])
    ranks = np.linspace(0, 1, len(shown))
    figure, (axes,) = _figure()
    for line, rank in zip(lines, ranks, strict=True):
        axes.plot(line, color=COLORS[0], alpha=0.08 + 0.85 * rank**2, lw=1, rasterized=len(shown) > MANY_LINES)
    labels = [*params, f"best {words.label_of(metric)}"]
    ticks = [f"{label}\n{describe_range(shown[name])}" for label, name in zip(labels, names, strict=True)]
    axes.set_xticks(range(len(names)), ticks, rotation=SLANT, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    return figure


def confirmations(pairs: pd.DataFrame, metric: str) -> Figure:
    """Draw the objective of confirmed configurations in the search and when trained again (the winner's curse).

    Args:
        pairs: columns `arm`, `searched`, `confirmed` (validation split) and `test` (test split).
        metric: name of the objective.
    """
    figure, (axes,) = _figure()
    labels = ["search", "confirmed\n(validation)", "confirmed\n(test)"]
    for number, (arm, rows) in enumerate(pairs.groupby("arm", sort=False)):
        style = _line_style(number) | {"marker": "o", "ms": 4, "lw": 1}
        for index, values in enumerate(rows[["searched", "confirmed", "test"]].to_numpy(float)):
            axes.plot(values, label=None if index else str(arm), **style)
    axes.set_xticks(range(3), labels)
    axes.set_xlim(-0.3, 2.3)
    axes.set_ylabel(words.label_of(metric))
    _legend(axes)
    return figure


def _line_style(number: int) -> dict[str, Any]:
    """Return colour and line style of the arm with this number; they repeat after 32 arms."""
    return {"color": COLORS[number % len(COLORS)], "ls": LINES[number // len(COLORS) % len(LINES)]}


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        axes.legend(handles, labels, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _figure(*, columns: int = 1, height: float = HEIGHT_IN) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        return figure, list(figure.subplots(1, columns, sharey=columns > 1, squeeze=False)[0])


def _save(figure: Figure, target: Any, **options: Any) -> None:
    with matplotlib.rc_context(STYLE):
        figure.savefig(target, **options)
