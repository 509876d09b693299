"""Go on with a sweep: its unfinished trials, failed ones again, more trials, more epochs, more time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.messages import suggest_option
from orchestrator.search_space.arms import select_arms
from orchestrator.search_space.reader import read_search_space
from orchestrator.state import events
from orchestrator.state.budget import Budget
from orchestrator.state.home import SEARCH_SPACE, find_sweep
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.trial import Trial

CAUSES = (
    words.CAUSE_OOM,
    words.CAUSE_ERROR,
    words.CAUSE_TIMEOUT,
    words.CAUSE_NODE,
    words.CAUSE_NONFINITE,
    words.CAUSE_BLOWUP,
    words.CAUSE_COLLAPSE,
)


@dataclass(frozen=True)
class More:
    """What `orchestrate resume` is asked for beside going on.

    Attributes:
        retry_failed: failed trials again; diverged ones too where `only` names their cause.
        only: of this cause.
        from_scratch: from the first epoch, not from the last good checkpoint.
        trials: so many more in each arm.
        epochs: so many more for each trial.
        hours: so many more for the sweep.
        arm: in these arms only, such as `loss=vae`.
    """

    retry_failed: bool = False
    only: str | None = None
    from_scratch: bool = False
    trials: int = 0
    epochs: int = 0
    hours: float = 0
    arm: str | None = None

    def __post_init__(self) -> None:
        if self.only is not None and self.only not in CAUSES:
            raise UserError(
                f"--only {self.only}: no such cause{suggest_option(self.only, CAUSES)}; one of {', '.join(CAUSES)}"
            )
        for option, option_value in (("--only", self.only), ("--from-scratch", self.from_scratch)):
            if option_value and not self.retry_failed:
                raise UserError(f"{option} says which trials are tried again and how; add --retry-failed")
        if self.arm is not None and not (self.trials or self.epochs or self.retry_failed):
            raise UserError("--arm says for which arms; add --trials +N, --epochs +N or --retry-failed")


def added(option: str, amount: str | None, unit: type[int] | type[float]) -> int | float:
    """The number in an option such as `--trials +4`.

    Raises:
        UserError: it has no plus, or is no number above 0.
    """
    if amount is None:
        return 0
    number = r"\d+" if unit is int else r"\d*\.?\d+"
    if not re.fullmatch(rf"\+{number}", amount) or not float(amount) > 0:
        example = "+4" if unit is int else "+0.5"
        raise UserError(f"{option} {amount}: give what is added, with a plus, such as {option} {example}")
    return unit(amount)


def resume(name: str, home: Path, screen: Screen, more: More, overrides: Sequence[str]) -> tuple[Sweep, Ledger]:
    """Go on with a sweep as it was run, with what `more` adds.

    Args:
        name: of the sweep.
        home: the folder of all sweeps.
        screen: where it is shown.
        more: what is added.
        overrides: `key=value` each; only what may change of a sweep that was run.

    Raises:
        UserError: there is no such sweep, or it can't be changed like that.
    """
    # The folder's name, should somebody have given it another.
    sweep = read_search_space(find_sweep(home, name) / SEARCH_SPACE, overrides=overrides, name=name)

    def add(ledger: Ledger) -> None:
        arms = [arm.name for arm in select_arms(sweep.arms, more.arm, sweep.name)]
        grant(sweep, ledger, screen, more, arms)
        if more.retry_failed:
            retry(ledger, screen, more, arms)

    return sweep, run_sweep(sweep, home, screen, before=add)


def grant(sweep: Sweep, ledger: Ledger, screen: Screen, more: More, arms: Sequence[str]) -> None:
    """Write down the budget that these arms, and the sweep, get beyond what they have.

    Raises:
        UserError: the sweep may take as long as it needs.
    """
    budget = Budget(sweep, ledger)
    if more.hours:
        if budget.hours is None:
            raise UserError(f"--hours: sweep {sweep.name} has no budget.hours, it may take as long as it needs")
        ledger.grant("", hours=budget.hours + more.hours)
        screen.say(f"{sweep.name}: {budget.hours:g} hours in all.")
    for arm in arms if more.trials or more.epochs else ():
        ledger.grant(
            arm,
            trials=budget.trials(arm) + more.trials if more.trials else 0,
            epochs=budget.epochs(arm) + more.epochs if more.epochs else 0,
        )
        screen.say(f"{arm}: {budget.trials(arm)} trials of {budget.epochs(arm)} epochs.")


def retry(ledger: Ledger, screen: Screen, more: More, arms: Sequence[str]) -> None:
    """Open those trials of these arms again that are asked for, and say which."""
    broken = [trial for trial in ledger.trials.values() if trial.arm in arms and _is_broken(trial)]
    chosen = [trial for trial in broken if _is_chosen(trial, more.only)]
    for trial in chosen:
        ledger.retry(trial, "asked for", share=1, from_scratch=more.from_scratch)
    numbers = ", ".join(str(trial.number) for trial in chosen)
    screen.say(f"Tried again: {f'trials {numbers}' if chosen else 'none'}.")
    unevaluated = [trial for trial in ledger.trials.values() if trial.arm in arms and trial.evaluation_error]
    for trial in unevaluated:
        ledger.write(events.Reevaluated(trial=trial.number))
    if unevaluated:
        screen.say(f"Evaluated again: trials {', '.join(str(trial.number) for trial in unevaluated)}.")
    left = {trial.cause for trial in broken if trial not in chosen}
    if left:
        options = " or ".join(f"--only {cause}" for cause in sorted(left))
        screen.say(f"Left as they are: {len(broken) - len(chosen)} trials ({options} names them).")


def _is_broken(trial: Trial) -> bool:
    return trial.outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED)


def _is_chosen(trial: Trial, only: str | None) -> bool:
    # A trial that diverged will diverge again, unless its code has changed: only if it is asked for by its cause.
    return trial.outcome == words.OUTCOME_FAILED if only is None else trial.cause == only
