"""The parts of the wide display: running trials, the best configuration, the rungs, and the machine.

They use no colour: brightness and the length of bars are the same on every background and to every eye.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.overview.machine import Load
from orchestrator.overview.sparkline import sparkline
from orchestrator.overview.summary import ArmSummary
from orchestrator.overview.tables import format_number, format_parameter
from orchestrator.state.budget import Budget
from orchestrator.state.timekeeper import now_ms
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.ledger import Ledger

BAR_WIDTH = 24
SPARK_WIDTH = 16
LABEL_WIDTH = 17
"""Width of the first column of every panel, so that their bars begin alike."""
FULL, EMPTY = "━", "─"
"""Lines of two weights, which differ without colour, and where a terminal shows nothing dim."""


def draw_bar(share: float, width: int = BAR_WIDTH) -> Text:
    """Return a bar that is filled to a share from 0 to 1."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return Text.assemble(FULL * filled, (EMPTY * (width - filled), "dim"))


def make_running_table(sweep: Sweep, ledger: Ledger, most: int) -> Table:
    """Return a row for each trial that runs: its epoch, its newest value, the values so far, and its time.

    Args:
        sweep: the search space of the sweep.
        ledger: its state.
        most: the number of rows, at most.
    """
    budget, metric = Budget(sweep, ledger), sweep.space.objective.metric
    trials = [ledger.trials[number] for number in sorted(ledger.unfinished)]
    curves = [trial.curve.values() for trial in trials]
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    lowest, highest = min(finite, default=0.0), max(finite, default=0.0)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("trial", "arm", "epoch", words.label_of(metric), "so far", "time"):
        table.add_column(heading, justify="left" if heading in ("arm", "so far") else "right", no_wrap=True)
    for trial, curve in list(zip(trials, curves, strict=True))[:most]:
        spark = sparkline(curve, lowest, highest, SPARK_WIDTH)
        value = format_number(curve[-1] if curve else None)
        epoch = f"{trial.epochs} of {budget.epochs(trial.arm)}"
        table.add_row(f"{trial.number}", trial.arm, epoch, value, spark, _describe_time(trial))
    if len(trials) > most:
        table.add_row("", Text(f"and {len(trials) - most} more", style="dim"))
    return table


def _describe_time(trial: Trial) -> str:
    """Return how long a trial has run; of one that was resumed, how long its epochs took."""
    if trial.left_ms is not None:
        return "waits"
    seconds = (now_ms() - trial.asked_ms) / 1000 if trial.attempts == 1 else trial.curve.trained_s
    return format_duration(seconds)


def make_best_panel(leader: ArmSummary, metrics: Sequence[str]) -> Group:
    """Return the best trial so far, its metrics, and its searched parameters.

    Args:
        leader: the arm of the best trial.
        metrics: the names of the metrics to show.
    """
    assert leader.best is not None, "the leader has a best trial"
    measured = {words.label_of(name): format_number(leader.metrics.get(name)) for name in metrics}
    searched = {name: format_parameter(value) for name, value in leader.best.searched.items()}
    title = f"best so far: trial {leader.best.number}, epoch {leader.best_epoch}"
    return _make_panel(title, {"arm": leader.arm, **measured, **searched}.items())


def make_rung_panel(reached: Mapping[int, int]) -> Group:
    """Return a bar for each rung, as long as the share of trials that have reached it.

    Args:
        reached: the number of trials by the epoch of the rung; the last one is the end.
    """
    most, last = max(*reached.values(), 1), max(reached)
    names = {epoch: f"epoch {epoch}, the end" if epoch == last else f"epoch {epoch}" for epoch in reached}
    rows = [(names[epoch], Text.assemble(draw_bar(count / most), f" {count}")) for epoch, count in reached.items()]
    return _make_panel("trials that reached each rung", rows)


def make_machine_panel(loads: Sequence[Load]) -> Group:
    """Return a bar for each part of the machine."""
    rows = [
        (load.name, Text.assemble(draw_bar(load.share), f" {100 * load.share:3.0f} % {load.detail}")) for load in loads
    ]
    return _make_panel("this machine", rows)


def _make_panel(title: str, rows: Iterable[tuple[str, Text | str]]) -> Group:
    """Return a table of names and contents below a title, without lines around it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", min_width=LABEL_WIDTH)
    table.add_column(overflow="fold")
    for name, content in rows:
        table.add_row(name, content)
    return Group(Text(title, style="bold"), table)


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: 25 s, 12 min, 2 h 5 min."""
    if seconds < 90:
        return f"{5 * max(1, round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
