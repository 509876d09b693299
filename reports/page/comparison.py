"""Several sweeps of one question side by side: what differs between them, and a ranking where it is meaningful."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports import vocabulary as words
from reports.page.content import Report
from reports.page.figures import label_contrast
from reports.page.method import describe_method
from reports.page.tables import format_value, to_records
from reports.runs.columns import RUN_COLUMNS
from reports.runs.sweeps import MARK, identity

SHORT_ID = 6
"""Number of characters of an id that tell sweeps of one name apart."""
NOT_COMPARED = frozenset({"seeds of the trials", "started", "command", "state"})
"""Facts that differ between any two sweeps."""
UNRANKED = "The arms of these sweeps are not ranked together,"
Rows = list[dict[str, Any]]


def name_sweeps(reports: Sequence[Report]) -> list[str]:
    """Return the names of sweeps, with the beginning of the id where several have one name."""
    names = [report.runs.name for report in reports]
    return [
        name if names.count(name) == 1 else f"{name}{MARK}{identity(report.runs.run)[:SHORT_ID]}"
        for name, report in zip(names, reports, strict=True)
    ]


def find_differences(reports: Sequence[Report]) -> tuple[Rows, Rows]:
    """Return what differs between sweeps and what is the same in all.

    Returns:
        Rows with the column `fact` and one column per sweep, then rows with the columns `fact` and `value`.
    """
    names = name_sweeps(reports)
    facts_of_sweeps = [_collect_facts(report) for report in reports]
    differing: Rows = []
    common: Rows = []
    for fact in dict.fromkeys(fact for facts in facts_of_sweeps for fact in facts):
        values = [facts.get(fact, "—") for facts in facts_of_sweeps]
        if len(set(values)) > 1:
            differing.append({"fact": fact, **dict(zip(names, values, strict=True))})
        else:
            common.append({"fact": fact, "value": values[0]})
    return differing, common


def explain_unranked(reports: Sequence[Report]) -> str:
    """Return why the arms of sweeps can't be ranked together, as a sentence; empty if they can."""
    runs_of_sweeps = [report.runs for report in reports]
    tags = [runs.run.data.tags for runs in runs_of_sweeps]
    objectives = [f"{runs.mode} {runs.metric}" for runs in runs_of_sweeps]
    fingerprints = [tag.get(words.TAG_CORPUS_FINGERPRINT, "none") for tag in tags]
    cases = [
        ("objectives", objectives, "Values of different metrics have no order. Run the sweeps with one objective"),
        (
            "judges",
            [tag.get(words.TAG_JUDGE, "none") for tag in tags],
            "Each judge has a scale of its own. Compare the differences inside each sweep, or run the sweeps on one "
            "corpus, on which they share a judge",
        ),
        (
            "corpora",
            fingerprints,
            "One corpus may be harder than another. Compare the differences inside each sweep",
        ),
    ]
    for what, values, cure in cases:
        if len(set(values)) > 1:
            described = "; ".join(f"{name}: {value}" for name, value in zip(name_sweeps(reports), values, strict=True))
            return (
                f"The arms of these sweeps are not ranked together, because their {what} differ ({described}). {cure}."
            )
    metric = runs_of_sweeps[0].metric
    declared = [runs.record.get("metrics", {}).get(metric, {}).get("comparable", "all") for runs in runs_of_sweeps]
    if any(comparable != "all" for comparable in declared):
        return (
            f"{UNRANKED} because {metric} may mean something else in each of "
            "them. Run the sweeps with an objective that means the same for all."
        )
    return ""


def rank_arms(reports: Sequence[Report]) -> tuple[str, Rows]:
    """Return the split by which the arms of several sweeps are ranked, and the arms, the best first.

    The test split counts if all arms with a value have been evaluated on it. `explain_unranked` must be empty.
    """
    rows = [
        {"sweep": name, "arm": row["arm"], "test": row["test"], "validation": row["searched"]}
        for name, report in zip(name_sweeps(reports), reports, strict=True)
        for row in to_records(report.matrix)
        if not math.isnan(row["searched"])
    ]
    split = "validation" if any(math.isnan(row["test"]) for row in rows) else "test"
    rows.sort(key=lambda row: float(row[split]), reverse=reports[0].runs.mode == "max")
    return split, rows


def arm_rows(reports: Sequence[Report]) -> Rows:
    """Return a row for each arm with its value in each sweep: on the test split, else on the validation split."""
    values: dict[str, dict[str, Any]] = {}
    for name, report in zip(name_sweeps(reports), reports, strict=True):
        for row in to_records(report.matrix):
            values.setdefault(row["arm"], {})[name] = _describe_value(row)
    return [{"arm": arm, **by_sweep} for arm, by_sweep in values.items()]


def contrast_rows(reports: Sequence[Report]) -> Rows:
    """Return a row for each contrast by the objective with its difference in each sweep, inside which it was made."""
    values: dict[str, dict[str, Any]] = {}
    for name, report in zip(name_sweeps(reports), reports, strict=True):
        for contrast_set in report.contrast_sets:
            if not contrast_set.is_tested:
                continue
            for contrast in contrast_set.contrasts:
                label = f"{contrast.factor}: {label_contrast(contrast)}"
                interval = ""
                if contrast.low is not None and contrast.high is not None:
                    interval = f" ({_signed(contrast.low)} to {_signed(contrast.high)})"
                values.setdefault(label, {})[name] = f"{_signed(contrast.difference)}{interval}"
    return [{"contrast": label, **by_sweep} for label, by_sweep in values.items()]


def _collect_facts(report: Report) -> dict[str, str]:
    """Return the facts of a sweep that may differ from another's, with the settings that all its trials share."""
    runs = report.runs
    facts = {"compares": ", ".join(runs.factors), "arms": "; ".join(runs.arms)}
    facts |= {
        name: value for name, value in describe_method(runs, report.max_epochs).items() if name not in NOT_COMPARED
    }
    facts["pruning"] = report.pruning or "none"
    facts["trials"] = str(len(runs.trials))
    facts |= {f"setting {name}": value for name, value in _shared_settings(report)}
    return {name: value for name, value in facts.items() if value}


def _shared_settings(report: Report) -> Iterator[tuple[str, str]]:
    trials = report.runs.trials
    for name in map(str, trials):
        is_setting = "/" not in name and name not in RUN_COLUMNS and name not in report.runs.factors
        if is_setting and name != words.PARAM_SEED and trials[name].nunique(dropna=False) == 1:
            yield name, format_value(trials[name].iloc[0])


def _describe_value(row: Mapping[str, Any]) -> str:
    if not math.isnan(row["test"]):
        margin = "" if math.isnan(row["margin"]) else f" ± {row['margin']:.3f}"
        return f"{row['test']:.3f}{margin} (test)"
    return "" if math.isnan(row["searched"]) else f"{row['searched']:.3f} (validation)"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
