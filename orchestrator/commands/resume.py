"""`orchestrate resume NAME`: continue a sweep, retry its failed trials, or add trials, epochs or hours."""

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
from orchestrator.search_space.reader import read_stored
from orchestrator.state.budget import Budget
from orchestrator.state.events.reopenings import Reevaluated
from orchestrator.state.home import find_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import BROKEN
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
"""The causes that `--only` may name."""


@dataclass(frozen=True)
class ResumeOptions:
    """The options of the command; without any, unfinished trials are continued.

    Attributes:
        retry_failed: try failed trials again; diverged ones too if `only` names their cause.
        only: retry the trials with this cause only.
        from_scratch: retry from the first epoch instead of the last good checkpoint.
        trials: the number of trials to add to each arm.
        epochs: the number of epochs to add to each trial.
        hours: the hours to add to the sweep.
        arm: change these arms only, such as `loss=vae`.
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
                raise UserError(f"{option} changes what --retry-failed does; add --retry-failed")
        if self.arm is not None and not (self.trials or self.epochs or self.retry_failed):
            raise UserError(
                "--arm restricts other options to some arms; add --trials +N, --epochs +N or --retry-failed"
            )


def parse_increment(option: str, amount: str | None, unit: type[int] | type[float]) -> int | float:
    """Return the number in an option such as `--trials +4`.

    Args:
        option: the name of the option, for a message.
        amount: its text; None if it was not given.
        unit: the type of the number.

    Raises:
        UserError: the text has no plus sign, or is not a number above 0.
    """
    if amount is None:
        return 0
    number = r"\d+" if unit is int else r"\d*\.?\d+"
    if not re.fullmatch(rf"\+{number}", amount) or not float(amount) > 0:
        example = "+4" if unit is int else "+0.5"
        raise UserError(f"{option} {amount}: give what is added, with a plus, such as {option} {example}")
    return unit(amount)


def resume(
    name: str, home: Path, screen: Screen, options: ResumeOptions, overrides: Sequence[str]
) -> tuple[Sweep, Ledger]:
    """Resume a sweep with the search space that it was run with.

    Args:
        name: the sweep.
        home: the folder of all sweeps.
        screen: the display.
        options: the trials to retry, and the budget to add.
        overrides: `key=value` pairs; only keys that may change after a sweep has started.

    Returns:
        The search space of the sweep, and its state at the end.

    Raises:
        UserError: there is no such sweep, or it can't be changed like that.
    """
    # The name is that of the folder, which the user may have renamed.
    sweep = read_stored(find_sweep(home, name), overrides)

    def add(ledger: Ledger) -> None:
        arms = [arm.name for arm in select_arms(sweep.arms, options.arm, sweep.name)]
        grant(sweep, ledger, screen, options, arms)
        if options.retry_failed:
            retry(ledger, screen, options, arms)

    return sweep, run_sweep(sweep, home, screen, before=add)


def grant(sweep: Sweep, ledger: Ledger, screen: Screen, options: ResumeOptions, arms: Sequence[str]) -> None:
    """Record the enlarged budget of some arms, and the hours of the sweep.

    Args:
        sweep: the search space.
        ledger: the state of the sweep.
        screen: prints the new budget.
        options: the budget to add.
        arms: the names of the arms.

    Raises:
        UserError: hours are added to a sweep without `budget.hours`.
    """
    budget = Budget(sweep, ledger)
    if options.hours:
        if budget.hours is None:
            raise UserError(f"--hours: sweep {sweep.name} has no budget.hours, it may take as long as it needs")
        ledger.grant("", hours=budget.hours + options.hours)
        screen.say(f"{sweep.name}: {budget.hours:g} hours in all.")
    if not (options.trials or options.epochs):
        return
    for arm in arms:
        # A grant of 0 leaves the budget as it is.
        trials = budget.trials(arm) + options.trials if options.trials else 0
        epochs = budget.epochs(arm) + options.epochs if options.epochs else 0
        ledger.grant(arm, trials=trials, epochs=epochs)
        screen.say(f"{arm}: {budget.trials(arm)} trials of {budget.epochs(arm)} epochs.")


def retry(ledger: Ledger, screen: Screen, options: ResumeOptions, arms: Sequence[str]) -> None:
    """Record that trials are tried again and failed evaluations are repeated, and print which.

    Args:
        ledger: the state of the sweep.
        screen: prints the numbers of the trials.
        options: say which trials are chosen.
        arms: the names of the arms whose trials may be chosen.
    """
    broken = [trial for trial in ledger.trials.values() if trial.arm in arms and trial.outcome in BROKEN]
    chosen = [trial for trial in broken if _is_chosen(trial, options.only)]
    for trial in chosen:
        ledger.retry(trial, "asked for", share=1, from_scratch=options.from_scratch)
    numbers = ", ".join(str(trial.number) for trial in chosen)
    screen.say(f"Tried again: {f'trials {numbers}' if chosen else 'none'}.")
    unevaluated = [trial for trial in ledger.trials.values() if trial.arm in arms and trial.evaluation_error]
    for trial in unevaluated:
        ledger.write(Reevaluated(trial=trial.number))
    if unevaluated:
        screen.say(f"Evaluated again: trials {', '.join(str(trial.number) for trial in unevaluated)}.")
    left_causes = {trial.cause for trial in broken if trial not in chosen}
    if left_causes:
        hint = " or ".join(f"--only {cause}" for cause in sorted(left_causes))
        screen.say(f"Left as they are: {len(broken) - len(chosen)} trials ({hint} names them).")


def _is_chosen(trial: Trial, only: str | None) -> bool:
    # A diverged trial diverges again unless the code has changed, so it is chosen only by its cause.
    return trial.outcome == words.OUTCOME_FAILED if only is None else trial.cause == only
