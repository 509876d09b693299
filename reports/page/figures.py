"""The report's figures: each a function of frames that returns a matplotlib figure, for a page, a png or an svg."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import vocabulary as words
from reports.page.axes import ends_of, is_logarithmic, places_of, unit_of
from reports.statistics.contrast import Contrast

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#b8a800")
"""Told apart by colour-blind people (Okabe and Ito, 2008); the last two are darker than theirs."""
LINES = ("-", "--", ":", "-.")
GREY = "#6b7780"
WIDTH_IN, HEIGHT_IN = 7.2, 3.2
SLANT = 35
"""Degrees: words below an axis would run into each other."""
MANY_LINES = 200
"""More of them are drawn as pixels inside the svg."""
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


def as_svg(figure: Figure) -> str:
    """The figure as an svg element that can stand in a page; the same figure gives the same text."""
    file = io.StringIO()
    _save(figure, file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def save(figure: Figure, path: Any) -> None:
    """Write a png or an svg, as the path's end says."""
    _save(figure, path, dpi=200)


def contrasts(comparisons: Sequence[Contrast], unit: str) -> Figure:
    """Each tested difference with its interval; what touches the line in the middle is not distinguishable."""
    shown = [
        (contrast, contrast.low, contrast.high)
        for contrast in comparisons
        if contrast.low is not None and contrast.high is not None
    ]
    figure, (axes,) = _figure(height=0.7 + 0.32 * max(1, len(shown)))
    for row, (contrast, low, high) in enumerate(reversed(shown)):
        color = COLORS[0] if contrast.is_distinguishable else GREY
        axes.plot([low, high], [row, row], color=color, lw=2, solid_capstyle="butt")
        axes.plot(contrast.difference, row, "o", color=color, ms=5)
    axes.axvline(0, color="#1f272d", lw=0.8)
    axes.set_yticks(range(len(shown)), [named(contrast) for contrast, *_ in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel(f"difference in {unit}, 95 % interval")
    return figure


def named(contrast: Contrast) -> str:
    """`vae − l2`, and where: `vae − l2 (normalization=clip)`."""
    at = ", ".join(f"{name}={value}" for name, value in contrast.at.items())
    return f"{contrast.level} − {contrast.baseline}" + (f" ({at})" if at else "")


def curves(histories: pd.DataFrame, metric: str, rungs: Sequence[int] = ()) -> Figure:
    """Median and quartiles by arm of the trials that were still training, and where ASHA looked."""
    figure, (axes,) = _figure()
    for number, (arm, rows) in enumerate(histories.dropna(subset=[metric]).groupby("arm", sort=False)):
        by_epoch = rows.groupby("epoch")[metric].describe().rename(columns={"25%": 0.25, "50%": 0.5, "75%": 0.75})
        axes.plot(by_epoch.index, by_epoch[0.5], label=str(arm), **_look(number))
        axes.fill_between(by_epoch.index, by_epoch[0.25], by_epoch[0.75], alpha=0.15, color=_look(number)["color"])
    for rung in rungs:
        axes.axvline(rung, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel("epoch" + (", dotted where ASHA looked" if rungs else ""))
    axes.set_ylabel(words.label_of(metric))
    _legend(axes)
    return figure


def survival(trials: pd.DataFrame, max_epochs: int, rungs: Sequence[int]) -> Figure:
    """How many trials of each arm were still training at each epoch; the area above a line is what pruning saved."""
    figure, (axes,) = _figure()
    for number, (arm, rows) in enumerate(trials.groupby("arm", sort=False)):
        epochs = np.arange(1, max_epochs + 1)
        alive = (rows["epochs"].fillna(0).to_numpy()[:, None] >= epochs).sum(axis=0)
        axes.step(epochs, alive, where="post", label=str(arm), **_look(number))
    for rung in rungs:
        axes.axvline(rung, color=GREY, lw=0.8, ls=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch, dotted where ASHA looked")
    axes.set_ylabel("trials still training")
    _legend(axes)
    return figure


def expected_best(by_cost: Mapping[str, Mapping[str, pd.DataFrame]], metric: str) -> Figure:
    """Expected best of n trials of each arm against what n trials cost; one panel a cost.

    Args:
        by_cost: `epochs` and `hours`, then by arm the frame of `expected_best`.
        metric: the objective.
    """
    figure, panels = _figure(columns=len(by_cost))
    for axes, (cost, arms) in zip(panels, by_cost.items(), strict=True):
        for number, (arm, frame) in enumerate(arms.items()):
            axes.plot(frame["cost"], frame["expected_best"], label=arm, **_look(number))
        axes.set_xlabel(f"expected {cost}")
    panels[0].set_ylabel(f"expected best {words.label_of(metric)}")
    _legend(panels[-1])
    return figure


def importances(by_arm: Mapping[str, pd.Series]) -> Figure:
    """What share of the variance inside an arm each searched parameter explains."""
    frame = pd.DataFrame(dict(by_arm))
    frame = frame.loc[frame.mean(axis=1).sort_values().index]
    figure, (axes,) = _figure(height=0.9 + 0.16 * len(frame) * (len(frame.columns) + 1))
    thickness = 0.8 / len(frame.columns)
    for number, arm in enumerate(frame.columns):
        places = np.arange(len(frame)) + (len(frame.columns) - 1 - 2 * number) * thickness / 2
        axes.barh(places, frame[arm].fillna(0), thickness, color=_look(number)["color"], label=arm)
    axes.set_yticks(range(len(frame)), list(frame.index))
    axes.set_xlabel("importance inside the arm (adds up to 1)")
    _legend(axes)
    return figure


def slices(trials: pd.DataFrame, params: Sequence[str], column: str, metric: str) -> Figure:
    """The objective against each searched parameter, coloured by arm; pruned trials are hollow."""
    figure, panels = _figure(columns=len(params))
    for axes, name in zip(panels, params, strict=True):
        places, options = places_of(trials[name])
        for number, (arm, rows) in enumerate(trials.groupby("arm", sort=False)):
            points = rows.assign(place=places).dropna(subset=["place", column])
            color = _look(number)["color"]
            for is_pruned, part in points.groupby(points["outcome"] == words.OUTCOME_PRUNED):
                face = "none" if is_pruned else color
                axes.plot(part["place"], part[column], "o", ms=4, mec=color, mfc=face, label=None if is_pruned else arm)
        if options:
            axes.set_xticks(range(len(options)), options, rotation=SLANT, ha="right")
        elif is_logarithmic(places):
            axes.set_xscale("log")
        axes.set_xlabel(name)
    panels[0].set_ylabel(f"best {words.label_of(metric)}")
    _legend(panels[-1])
    return figure


def parallel(trials: pd.DataFrame, params: Sequence[str], column: str, metric: str, mode: str) -> Figure:
    """A line a trial through its parameters to the objective; good ones are dark."""
    shown = trials.dropna(subset=[column])
    shown = shown.sort_values(column, ascending=mode == "max")
    names = [*params, column]
    places = np.column_stack([unit_of(shown[name]) for name in names])
    good = np.linspace(0, 1, len(shown))
    figure, (axes,) = _figure()
    for line, share in zip(places, good, strict=True):
        axes.plot(line, color=COLORS[0], alpha=0.08 + 0.85 * share**2, lw=1, rasterized=len(shown) > MANY_LINES)
    labels = [*params, f"best {words.label_of(metric)}"]
    ticks = [f"{label}\n{ends_of(shown[name])}" for label, name in zip(labels, names, strict=True)]
    axes.set_xticks(range(len(names)), ticks, rotation=SLANT, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    return figure


def confirmed(pairs: pd.DataFrame, metric: str) -> Figure:
    """What the search said of a configuration, and what the same configuration did again: the winner's curse.

    Args:
        pairs: columns `arm`, `searched`, `confirmed` (validation) and `test`.
        metric: the objective.
    """
    figure, (axes,) = _figure()
    labels = ["search", "confirmed\n(validation)", "confirmed\n(test)"]
    for number, (arm, rows) in enumerate(pairs.groupby("arm", sort=False)):
        look = _look(number) | {"marker": "o", "ms": 4, "lw": 1}
        for index, values in enumerate(rows[["searched", "confirmed", "test"]].to_numpy(float)):
            axes.plot(values, label=None if index else str(arm), **look)
    axes.set_xticks(range(3), labels)
    axes.set_xlim(-0.3, 2.3)
    axes.set_ylabel(words.label_of(metric))
    _legend(axes)
    return figure


def _look(number: int) -> dict[str, Any]:
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
