"""Which arms lack trainings that the test split was to judge, or have more than were planned; each reason in words."""

from __future__ import annotations

import pandas as pd

from reports import vocabulary as words
from reports.runs.frames import SweepRuns, as_text
from reports.statistics.questions import Key

BROKEN = (words.OUTCOME_DIVERGED, words.OUTCOME_FAILED)
UNENDED = (words.OUTCOME_RUNNING, words.OUTCOME_INTERRUPTED)


def broken_arms(runs: SweepRuns) -> dict[Key, str]:
    """Arms of which trainings diverged, failed, or could not be judged, such as `2 of 5 seeds of loss=vae diverged`."""
    return {key: why for key, arm in _keys(runs).items() if (why := _why_broken(runs, arm))}


def unsettled_arms(runs: SweepRuns) -> dict[Key, str]:
    """Arms of which trainings are outstanding, or which were granted more after the test split had judged some."""
    return {key: why for key, arm in _keys(runs).items() if (why := _why_unsettled(runs, arm))}


def look_of(runs: SweepRuns) -> int | None:
    """How often the test split has been asked, more having been granted in between; None while it still judges."""
    is_settled = all(_num_outstanding(runs, arm) == 0 for arm in runs.arms)
    return 1 + len(runs.record.get("looks", [])) if is_settled else None


def _why_broken(runs: SweepRuns, arm: str) -> str:
    own, unit = _to_judge(runs, arm)
    counts = {outcome: int((own["outcome"] == outcome).sum()) for outcome in BROKEN}
    if _is_finished(runs):
        counts["could not be judged"] = len(_unjudged(runs, own))
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    if not parts:
        return ""
    first, *others = parts
    number, _, what = first.partition(" ")
    return " and ".join([f"{number} of {words.amount(len(own), unit)} of {arm} {what}", *others])


def _why_unsettled(runs: SweepRuns, arm: str) -> str:
    looks = runs.record.get("looks", [])
    outstanding = _num_outstanding(runs, arm)
    if outstanding:
        return f"{words.amount(outstanding, 'trial')} of {arm} {'is' if outstanding == 1 else 'are'} outstanding"
    if any(arm in look["arms"] for look in looks):
        return f"{arm} was granted more after the test split had been asked (look {len(looks) + 1})"
    return ""


def _num_outstanding(runs: SweepRuns, arm: str) -> int:
    """Trials that are to come, run, or wait for the test split; none of a sweep that has nothing left to do."""
    if _is_finished(runs):
        return 0
    own = runs.trials[runs.trials["arm"] == arm]
    planned = int(runs.record.get("arms", {}).get(arm, {}).get("trials", 0))
    num_unended = int(own["outcome"].isin(UNENDED).sum())
    return max(0, planned - len(own)) + num_unended + len(_unjudged(runs, _to_judge(runs, arm)[0]))


def _is_finished(runs: SweepRuns) -> bool:
    return runs.run.data.tags.get(words.TAG_OUTCOME) == words.OUTCOME_COMPLETED


def _to_judge(runs: SweepRuns, arm: str) -> tuple[pd.DataFrame, str]:
    """The trials of an arm that the test split is to judge, and what one of them is called."""
    stage, unit = (words.STAGE_SEARCH, "seed") if runs.is_repeated else (words.STAGE_CONFIRM, "confirming training")
    return runs.trials[(runs.trials["arm"] == arm) & (runs.trials["stage"] == stage)], unit


def _unjudged(runs: SweepRuns, own: pd.DataFrame) -> pd.DataFrame:
    has_model = own["outcome"].isin((words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED))
    return own[has_model & ~own.index.isin(runs.final.index)]


def _keys(runs: SweepRuns) -> dict[Key, str]:
    """The name of each arm by its levels of what is compared."""
    return {key: arm for arm in runs.arms if (key := _key(runs, arm)) is not None}


def _key(runs: SweepRuns, arm: str) -> Key | None:
    own = runs.trials[runs.trials["arm"] == arm]
    if len(own) and all(name in own for name in runs.factors):
        return tuple(str(own[name].iloc[0]) for name in runs.factors)
    compared = runs.record.get("arms", {}).get(arm, {}).get("compared", {})
    if not all(name in compared for name in runs.factors):
        return None
    return tuple(as_text(compared[name]) for name in runs.factors)
