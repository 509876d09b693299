"""The notes of MLflow's runs, in Markdown: what a sweep found, and what became of a trial."""

from __future__ import annotations

import bisect
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.command_line import format_command
from orchestrator.state.curve import Rank
from orchestrator.state.history import History
from orchestrator.state.tally import Tally
from orchestrator.state.trial import Trial
from orchestrator.tracking.links import SweepPages
from orchestrator.tracking.sweep_views import BY_ARM, CURVES, PARAMETERS, TOP
from reports import vocabulary as words

MARK = "(!)"
"""The mark of an arm whose trials ran on different code; a star would be Markdown."""
MAX_NAME = 24
"""About how many characters of a run's name MLflow's tables show."""
MAX_COMMAND = 64
"""The most characters of a line of a command in a note."""
COMMIT_DIGITS = 12
"""The digits of a commit in a note."""
GAP = "&ensp;"
"""The space between columns, which MLflow's tables in notes do not have."""
LUCK = " Only the report's intervals can tell whether that is more than luck."
MAX_PLACES = 1000
"""The number of best trials whose notes have their place: MLflow takes 20 ms for each of these notes."""
MAX_NOTE = 7500
"""The most characters of a note; MLflow cuts a tag at 8000."""
STATUSES = (
    *(words.OUTCOME_RUNNING, words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED),
    *(words.OUTCOME_DIVERGED, words.OUTCOME_FAILED, words.OUTCOME_INTERRUPTED),
)
"""The order in which a note counts trials by status."""
SOURCES = {
    "startup": "a quasi-random point, the same in every arm",
    "tpe": "chosen by TPE",
    "gp": "chosen by a Gaussian process",
    "cmaes": "chosen by CMA-ES",
    "sobol": "a quasi-random point",
    "random": "drawn at random",
    "grid": "a point of the grid",
    "custom": "chosen by your sampler",
    "own": "one of the search space's trials",
    "requested": "asked for by hand",
}
"""How the searched values of a trial were chosen, in words."""


def trial_name(trial: Trial) -> str:
    """Return a trial's name: its number, compared values, and up to two searched values that fit: `t07-vae-lr3e-4`."""
    parts = [f"t{trial.number:02d}", *(_format_short(value) for value in trial.compared.values())]
    if trial.of is not None:
        return "-".join([*parts, f"confirms-t{trial.of:02d}"])
    for name, value in list(trial.searched.items())[:2]:
        part = f"{name}{_format_short(value)}"
        if len("-".join([*parts, part])) <= MAX_NAME:
            parts.append(part)
    return "-".join(parts)


def best_name(trial: Trial) -> str:
    """Return the name of an arm's best trial, with its outcome if it did not train to the end."""
    return trial_name(trial) + ("" if trial.outcome == words.OUTCOME_COMPLETED else f" ({trial.outcome})")


def describe_best(history: History, trial: Trial) -> str:
    """Return the main metrics of a trial at its best epoch as text; the trial must have one."""
    row = trial.curve.best_row
    assert row is not None
    metrics = row["metrics"]
    names = [name for name in main_metrics(history) if name in metrics]
    values = [f"{words.label_of(name)} {_format_number(metrics[name])}" for name in names]
    return f"{', '.join(values)} (epoch {row['epoch']})"


def find_places(history: History) -> dict[int, str]:
    """Return the places of the `MAX_PLACES` best trials in their arms and in the sweep as text, by the trial's number.

    Trials that trained to the end come first, as they do when an arm's best is chosen; equal trials share a place.
    """
    ranks = {number: rank for number, trial in history.trials.items() if (rank := trial.rank(history.objective))}
    by_arm: dict[str, list[Rank]] = {}
    for number, rank in ranks.items():
        by_arm.setdefault(history.trials[number].arm, []).append(rank)
    everywhere = sorted(ranks.values())
    for in_arm in by_arm.values():
        in_arm.sort()
    places = {}
    for number, rank in ranks.items():
        if rank < everywhere[-MAX_PLACES:][0]:
            continue
        place = f"number {_place(rank, by_arm[history.trials[number].arm])} of its arm"
        places[number] = place if len(by_arm) == 1 else f"{place} and {_place(rank, everywhere)} of the sweep"
    return places


def _place(rank: Rank, ranks: Sequence[Rank]) -> str:
    """Return the place of a rank among ranks in rising order: `2 of the 6 trials`."""
    return f"{len(ranks) - bisect.bisect_right(ranks, rank) + 1} of the {words.amount(len(ranks), 'trial')}"


def write_trial_note(history: History, trial: Trial, place: str | None, origin_page: str = "") -> str:
    """Return the note of a trial's run: what it is, why it ended, and its place; MLflow's page shows four lines.

    Args:
        history: the sweep.
        trial: the trial.
        place: its place at the end of the sweep, as `find_places` returns it; None before that.
        origin_page: the link to the run of the trial from which it has its epochs; empty if there is none.
    """
    searched = f", with {_describe_searched(trial)}" if trial.searched else ""
    source = f" ({SOURCES[trial.source]})" if searched and trial.source in SOURCES else ""
    what = f"Trial {trial.number} of sweep {history.name}, arm {trial.arm}{searched}{source}: **{trial.status}**"
    if trial.outcome is not None:
        reason = f": {trial.reason}" if trial.reason else ""
        what += f" after {words.amount(trial.epochs, 'epoch')}{reason}"
    lines = [f"{what}."]
    if trial.of is not None:
        lines.append(f"It runs the configuration of trial {trial.of} again with a seed of its own.")
    if trial.origin is not None:
        name = f"[{trial.origin.name}]({origin_page})" if origin_page else trial.origin.name
        epochs = words.amount(trial.origin.epochs, "epoch")
        lines.append(f"Trial {name} has trained {epochs} of it, which were not trained again.")
    if trial.curve.best_row:
        lines.append(f"At its best it had {describe_best(history, trial)}.")
    if place:
        label = words.label_of(history.objective.metric)
        lines.append(f"By {label} it is {place}, where those that trained to the end come first.")
    if trial.evaluation_error:
        lines.append(f"Its best checkpoint could not be evaluated: {trial.evaluation_error}")
    return " ".join(lines)


def write_sweep_note(history: History, pages: SweepPages, outcome: str) -> str:
    """Return the note of a sweep's run: the answer, the arms with their best parameters, links, and the command.

    MLflow's page shows the first three lines, and the rest after a click. If the note would be longer than `MAX_NOTE`,
    the last rows of the table are left out.

    Args:
        history: the sweep.
        pages: the links to MLflow's pages.
        outcome: how the sweep ended, such as `completed`; `running` before it has.
    """
    better = "higher" if history.objective.mode == "max" else "lower"
    table = _arms_table(history)
    before = [
        _answer(history, pages, outcome),
        f"Sweep {history.name}: {outcome}. {_counts(history)}. Best trial of each arm by "
        f"{words.label_of(history.objective.metric)} ({better} is better), at its best epoch:",
    ]
    after = [_views(history, pages), _describe_reproduction(history, pages)]
    if any(MARK in row for row in table):
        after.insert(0, f"{MARK} Its trials ran on different code.")
    # The header has two lines.
    while len(text := "\n\n".join([*before, "\n".join(table), *after])) > MAX_NOTE and len(table) > 2:
        table.pop()
    return text


def _answer(history: History, pages: SweepPages, outcome: str) -> str:
    """Return the first paragraph: which arm has the best trial, and the links to hear and read more."""
    ranked = [(rank, trial) for trial in history.best_trials() if (rank := trial.rank(history.objective))]
    label = words.label_of(history.objective.metric)
    if ranked:
        _, best = max(ranked, key=lambda pair: pair[0])
        assert best.curve.best_row is not None
        so_far = "" if outcome == words.OUTCOME_COMPLETED else " so far"
        luck = LUCK if len(history.tallies) > 1 else ""
        answer = (
            f"**Best {label}{so_far}: {_format_number(best.best_value)} by {best.arm}**, trial {best_name(best)} at "
            f"epoch {best.curve.best_row['epoch']}.{luck}"
        )
    else:
        answer = f"**No trial has a {label} yet.**"
    links = [f"**[Hear the arms side by side]({pages.listen()})**."] if history.with_media else []
    if outcome == words.OUTCOME_COMPLETED:
        # The report is written when the sweep has ended.
        links.append(f"[Read the report]({pages.report()}).")
    return " ".join([answer, *links])


def _views(history: History, pages: SweepPages) -> str:
    """Return the links to the prepared views."""
    front = f"[front of all objectives]({pages.front()}), " if history.objective.beside else ""
    spectrograms = f", [spectrograms]({pages.spectrograms()})" if history.with_media else ""
    return (
        f"Views: [trials, best first]({pages.trials()}), {front}[curves]({pages.charts(CURVES)}), "
        f"[means by arm]({pages.charts(BY_ARM)}), [parameters]({pages.charts(PARAMETERS)}), "
        f"[best of each arm]({pages.charts(TOP)}){spectrograms}."
    )


def _describe_reproduction(history: History, pages: SweepPages) -> str:
    """Return Markdown on how to print the best configuration, and how to run the sweep again."""
    git = history.started["git"]
    lines = [f"git checkout {git['commit'][:COMMIT_DIGITS]}"] if git["commit"] else []
    if lines and git["dirty"]:
        lines[0] += "    # there were uncommitted changes"
    lines += _wrap_command(history.started["command"])
    as_run = f"[{words.ARTIFACT_SEARCH_SPACE}]({pages.run(pages.run_id, words.ARTIFACT_SEARCH_SPACE)})"
    best = f"`{format_command('report', history.name, '--best-yaml')}` prints the best configuration."
    head = f"{best} To run the sweep again (the search space as it was run is {as_run}):"
    return "\n".join([head, "", "```", *lines, "```"])


def _wrap_command(command: str) -> list[str]:
    """Return a command as lines that a shell reads as one; a longer line would push MLflow's other column away."""
    lines = [""]
    for word in shlex.split(command):
        if len(lines[-1]) + len(quoted := shlex.quote(word)) >= MAX_COMMAND and lines[-1].strip():
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {quoted}" if lines[-1] else quoted
    return lines


def _arms_table(history: History) -> list[str]:
    """Return the lines of the table of arms and baselines."""
    metrics = main_metrics(history)
    columns = ["arm", "best trial", *map(words.label_of, metrics), "its searched values", "epochs spent"]
    rows = [columns, *(_arm_row(arm, tally, metrics) for arm, tally in history.tallies.items())]
    for reference in history.started["references"]:
        name = " ".join(str(reference[key]) for key in ("reference", "size") if reference.get(key) is not None)
        rows.append([f"*{name}*", "", *(_format_number(reference.get(metric)) for metric in metrics), "", ""])
    head, *lines = [f"| {f'{GAP} | '.join(row)} |" for row in rows]
    return [head, f"|{' --- |' * len(columns)}", *lines]


def _arm_row(arm: str, tally: Tally, metrics: Sequence[str]) -> list[str]:
    """Return the cells of an arm."""
    best = tally.best
    row = best.curve.best_row if best else None
    values: Mapping[str, float] = row["metrics"] if row else {}
    name = best_name(best) if best else "none yet"
    searched = _describe_searched(best) if best else ""
    mark = f" {MARK}" if len(tally.codes) > 1 else ""
    return [arm + mark, name, *(_format_number(values.get(metric)) for metric in metrics), searched, str(tally.epochs)]


def _describe_searched(trial: Trial) -> str:
    """Return the searched values of a trial as text: `lr 7.3e-4, kl_weight 3.8`."""
    return ", ".join(f"{name} {_format_short(value)}" for name, value in trial.searched.items())


def _counts(history: History) -> str:
    """Return how many trials have each status, as text."""
    statuses = history.statuses()
    counts = (f"{statuses[status]} {status}" for status in STATUSES if statuses[status])
    number = statuses.total()
    return f"{words.amount(number, 'trial')} ({', '.join(counts)})" if number else "No trial yet"


def main_metrics(history: History) -> list[str]:
    """Return the names of the objective and of the metrics that are shown with it."""
    metrics = history.started.get("metrics", (words.JUDGE_ACCURACY, words.FVU))
    return words.headline_metrics(history.objective.modes, metrics, history.started.get("judges", ()))


def _format_short(value: Any) -> str:
    """Return a value as a part of a run's name: a number has two digits, and the form `3e-4` if small or large."""
    if not isinstance(value, float):
        return str(value)
    if value == 0 or 0.01 <= abs(value) < 10_000:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
