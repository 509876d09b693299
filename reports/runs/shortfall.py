"""Arms that lack trainings to evaluate on the test split, or that got more than planned, with the reasons in words."""

from __future__ import annotations

import pandas as pd

from reports import vocabulary as words
from reports.runs.frames import SweepRuns, to_text
from reports.statistics.questions import Key

BROKEN_OUTCOMES = (words.OUTCOME_DIVERGED, words.OUTCOME_FAILED)
OPEN_OUTCOMES = (words.OUTCOME_RUNNING, words.OUTCOME_INTERRUPTED)


def broken_arms(runs: SweepRuns) -> dict[Key, str]:
    """Return the arms whose trainings diverged, failed or could not be evaluated, each with the reason.

    A reason is for example `2 of 5 seeds of loss=vae diverged`.
    """
    return {key: why for key, arm in _arm_by_key(runs).items() if (why := _explain_broken(runs, arm))}


def unsettled_arms(runs: SweepRuns) -> dict[Key, str]:
    """Return the arms that still train, or that got more trainings after a look at the test split, with the reason."""
    return {key: why for key, arm in _arm_by_key(runs).items() if (why := _explain_unsettled(runs, arm))}


def current_look(runs: SweepRuns) -> int | None:
    """Return the number of this look at the test split (see `adjust_p`), or None while trainings are outstanding."""
    is_settled = all(_num_outstanding(runs, arm) == 0 for arm in runs.arms)
    return 1 + len(runs.record.get("looks", [])) if is_settled else None


def _explain_broken(runs: SweepRuns, arm: str) -> str:
    """Return how many trainings of an arm are missing and why; empty if none are."""
    own, unit = _trials_to_test(runs, arm)
    num_planned = len(own)
    counts = {outcome: int((own["outcome"] == outcome).sum()) for outcome in BROKEN_OUTCOMES}
    if _is_finished(runs):
        counts["could not be judged"] = len(_untested(runs, own))
        num_planned = max(num_planned, _num_to_confirm(runs, arm))
        # The search has ended with fewer trials that can be confirmed: the best of few would stand for the best of all.
        counts["had no trial to confirm"] = num_planned - len(own)
    parts = [(count, what) for what, count in counts.items() if count]
    if not parts:
        return ""
    (number, first), *others = parts
    sentence = f"{number} of {words.amount(num_planned, unit)} of {arm} {first}"
    return " and ".join([sentence, *(f"{count} {what}" for count, what in others)])


def _explain_unsettled(runs: SweepRuns, arm: str) -> str:
    """Return why an arm's number of trainings is not the planned one; empty if it is."""
    looks = runs.record.get("looks", [])
    num_outstanding = _num_outstanding(runs, arm)
    if num_outstanding:
        verb = "is" if num_outstanding == 1 else "are"
        return f"{words.amount(num_outstanding, 'trial')} of {arm} {verb} outstanding"
    if any(arm in look["arms"] for look in looks):
        return f"{arm} got more trainings after a look at the test split (look {len(looks) + 1})"
    num_planned, num_confirmed = _num_to_confirm(runs, arm), len(_trials_to_test(runs, arm)[0])
    if 0 < num_planned < num_confirmed:
        # Such as a failed trial that was retried, or votes that came, when the first had been evaluated.
        return f"the best trials of {arm} changed when some were confirmed ({num_confirmed} instead of {num_planned})"
    return ""


def _num_to_confirm(runs: SweepRuns, arm: str) -> int:
    """Return how many trainings of an arm its confirm stage has, if every trial of the search can be confirmed."""
    confirm = runs.record.get("confirm")
    num_searched = int((runs.search_trials["arm"] == arm).sum())
    return min(confirm["top"], num_searched) * confirm["seeds"] if confirm else 0


def _num_outstanding(runs: SweepRuns, arm: str) -> int:
    """Return how many trials of an arm have not started, not ended or not been evaluated; 0 for a finished sweep."""
    if _is_finished(runs):
        return 0
    own = runs.trials[runs.trials["arm"] == arm]
    planned = int(runs.record.get("arms", {}).get(arm, {}).get("trials", 0))
    num_open = int(own["outcome"].isin(OPEN_OUTCOMES).sum())
    return max(0, planned - len(own)) + num_open + len(_untested(runs, _trials_to_test(runs, arm)[0]))


def _is_finished(runs: SweepRuns) -> bool:
    return runs.run.data.tags.get(words.TAG_OUTCOME) == words.OUTCOME_COMPLETED


def _trials_to_test(runs: SweepRuns, arm: str) -> tuple[pd.DataFrame, str]:
    """Return the trials of an arm that are to be evaluated on the test split, and the noun for one of them."""
    stage, unit = (words.STAGE_SEARCH, "seed") if runs.has_fixed_arms else (words.STAGE_CONFIRM, "confirming training")
    return runs.trials[(runs.trials["arm"] == arm) & (runs.trials["stage"] == stage)], unit


def _untested(runs: SweepRuns, trials: pd.DataFrame) -> pd.DataFrame:
    """Return those of the trials that have a trained model but no metrics of the test split."""
    has_model = trials["outcome"].isin((words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED))
    return trials[has_model & ~trials.index.isin(runs.tested_trials.index)]


def _arm_by_key(runs: SweepRuns) -> dict[Key, str]:
    """Return the name of each arm by its levels of the compared settings."""
    return {key: arm for arm in runs.arms if (key := _key(runs, arm)) is not None}


def _key(runs: SweepRuns, arm: str) -> Key | None:
    """Return an arm's levels, from its trials or else from the sweep's record; None if neither has them."""
    own = runs.trials[runs.trials["arm"] == arm]
    if len(own) and all(name in own for name in runs.factors):
        return tuple(str(own[name].iloc[0]) for name in runs.factors)
    compared = runs.record.get("arms", {}).get(arm, {}).get("compared", {})
    if not all(name in compared for name in runs.factors):
        return None
    return tuple(to_text(compared[name]) for name in runs.factors)
