"""The end of a sweep: the results by arm, the best parameters, and the renderings of the best checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from orchestrator.overview.summary import ArmSummary, list_table_metrics
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.trial import Trial


MOST_WIDTH = 1000


def format_interval(arm: ArmSummary, metric: str) -> str:
    """Return ` ±` and half of the confidence interval of an arm's mean over seeds.

    It is empty where the report has no interval either: fewer than two trials were evaluated on the test split, or
    the seeds do not differ in three decimals.
    """
    half_width = f"{arm.margins.get(metric, 0):.3f}"
    return f" ±{half_width}" if arm.num_tested > 1 and float(half_width) else ""


def print_whole(console: Console, table: Table) -> None:
    """Print a table; in a terminal that is too narrow its lines are broken, where Rich would hide the first column."""
    least = Measurement.get(console, console.options.update(width=MOST_WIDTH), table).minimum
    if least > console.width:
        table.width = least
    console.print(table, crop=False)


def mark_arm(arm: ArmSummary) -> str:
    """Return an arm's name, with a star if its trials ran on different code."""
    return f"{arm.arm} *" if arm.mixed_code else arm.arm


def format_number(value: float | None) -> str:
    """Return a number with three decimals, or a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def make_results_table(sweep: Sweep, arms: Sequence[ArmSummary], references: Sequence[Mapping[str, Any]]) -> Table:
    """Return the final table: a row for each arm, then the baselines.

    Args:
        sweep: the search space of the sweep.
        arms: the summaries of its arms.
        references: the baselines, by metric; `reference` is the name and `size` the size of the spectrogram.
    """
    metrics = list_table_metrics(sweep)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("arm", overflow="fold", vertical="bottom")
    trials = "best trial" if sweep.space.budget.seeds is None else "seeds"
    # Without pruning no epoch is saved.
    epochs = ("epochs spent", "epochs saved") if any(arm.epochs_saved for arm in arms) else ("epochs spent",)
    for name in (trials, *metrics, *epochs):
        # One word a line: of 80 columns the arms' names need most.
        table.add_column("\n".join(words.label_of(name).split()), justify="right", no_wrap=True)
    for arm in arms:
        if sweep.space.budget.seeds is not None:
            number = f"{arm.completed} of {arm.wanted}"
        else:
            number = "–" if arm.best is None else f"{arm.best.number}"
        values = [format_number(arm.metrics.get(metric)) for metric in metrics]
        values[0] += format_interval(arm, metrics[0])
        counts = (f"{arm.epochs}", f"{arm.epochs_saved}")[: len(epochs)]
        table.add_row(mark_arm(arm), number, *values, *counts)
    shown = [row for row in references if any(name in row for name in metrics)]
    if shown:
        table.add_section()
    has_sizes = len({row["size"] for row in shown if row.get("size")}) > 1
    for row in shown:
        label = f"{row['reference']}, {row['size']}" if has_sizes and row.get("size") else f"{row['reference']}"
        values = [format_number(row.get(name)) for name in metrics]
        table.add_row(Text(label, style="dim"), "", *values)
    return table


def describe_best_parameters(bests: Iterable[Trial | None], command: str) -> list[str]:
    """Return lines with the searched parameters of the best trial of each arm; no line if nothing was searched.

    Args:
        bests: the best trial of each arm, None for an arm that has none.
        command: prints the best configuration as YAML.
    """
    lines = []
    for trial in bests:
        if trial is not None and trial.searched:
            values = ", ".join(f"{name} {format_parameter(value)}" for name, value in trial.searched.items())
            lines.append(f"  {trial.arm}: {values}")
    return ["Best parameters:", *lines, f"As YAML:  {command}"] if lines else []


def format_parameter(value: Any) -> str:
    """Return the value of a parameter, a float with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"


def make_renderings_table(arms: Sequence[ArmSummary], references: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of renderings: a row for each rendering of each arm's best checkpoint, then the baselines."""
    shown = [row for row in references if any(name.startswith(words.SOUND_PREFIX) for name in row)]
    rendering_metrics = [values for arm in arms for values in arm.renderings.values()]
    metrics = [name for name in words.SOUND_METRICS if any(name in values for values in rendering_metrics)]
    metrics = metrics or list(dict.fromkeys(name for values in rendering_metrics for name in values))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("rendering", overflow="fold", vertical="bottom")
    for name in metrics:
        heading = words.label_of(name.replace(words.SOUND_PREFIX, words.VAL_PREFIX))
        table.add_column("\n".join(heading.split()), justify="right", no_wrap=True)
    has_arm_rows = len(arms) > 1
    indent = "  " if has_arm_rows else ""
    for arm in arms:
        if has_arm_rows and arm.renderings:
            table.add_row(mark_arm(arm))
        for name, values in arm.renderings.items():
            # An oracle was given numbers of the original clip in addition to the latent.
            suffix = " (oracle)" if values.get(words.SIDE_INFO) else ""
            table.add_row(Text(indent + name + suffix), *(_format_metric(metric, values) for metric in metrics))
    if shown:
        table.add_section()
    for row in shown:
        table.add_row(Text(row["reference"], style="dim"), *(_format_metric(name, row) for name in metrics))
    return table


def _format_metric(metric: str, values: Mapping[str, Any]) -> str:
    if metric == words.SIDE_INFO and metric in values:
        return f"{values[metric]:.0f}"
    return format_number(values.get(metric))
