"""The front of a sweep with several objectives, as a table and a line for terminals."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.overview.tables import format_number
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import MAX_NAMED
from reports import vocabulary as words

MAX_ROWS = 20
"""The most trials in the table; Python and CSV have all."""


def print_front(state: SweepState, console: Console) -> None:
    """Print the front over all arms, and what else is on the front of its arm; nothing with a single objective."""
    modes = state.objective.modes
    if len(modes) == 1:
        return
    *first, last = (f"{words.label_of(name)} ({mode})" for name, mode in modes.items())
    names = f"{', '.join(first)} and {last}"
    places = state.front_places()
    on_front = [number for number, place in places.items() if place == words.FRONT_SWEEP]
    if not on_front:
        _print_line(f"\nFront of {names}: no ended trial has a value of every objective yet.", console)
        return
    over = " over all arms" if len(state.tallies) > 1 else ""
    _print_line(f"\nFront{over} of {names}: {words.amount(len(on_front), 'trial')} that no other dominates", console)
    console.print(_make_table(state, on_front[:MAX_ROWS]))
    if len(on_front) > MAX_ROWS:
        _print_line(f"… and {len(on_front) - MAX_ROWS} more, which results.front of orchestrator.load() has.", console)
    of_arms = [f"{name}: {_list_numbers(own)}" for name, own in _group_by_arm(state, places).items()]
    if of_arms:
        _print_line(f"On the front of their arm only: {'; '.join(of_arms)}", console)


def _print_line(line: str, console: Console) -> None:
    console.print(Text(line), soft_wrap=True)


def _make_table(state: SweepState, numbers: list[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("trial", justify="right", vertical="bottom")
    table.add_column("arm", overflow="fold", vertical="bottom")
    for name in (*state.objective.modes, "outcome", "epochs"):
        is_number = name != "outcome"
        table.add_column(
            "\n".join(words.label_of(name).split()), justify="right" if is_number else "left", vertical="bottom"
        )
    for number in numbers:
        trial = state.trials[number]
        row = trial.curve.best_row or {"metrics": {}}
        values = [format_number(row["metrics"].get(name)) for name in state.objective.modes]
        table.add_row(f"{number}", Text(trial.arm), *values, trial.status, f"{trial.epochs}")
    return table


def _group_by_arm(state: SweepState, places: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the trials that are on the front of their arm and not on that over all arms, by arm."""
    numbers_by_arm: dict[str, list[int]] = {}
    for number, place in places.items():
        if place == words.FRONT_ARM:
            numbers_by_arm.setdefault(state.trials[number].arm, []).append(number)
    return numbers_by_arm


def _list_numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:MAX_NAMED])) + (", …" if len(numbers) > MAX_NAMED else "")
