"""The MLflow runs of a sweep, its trials and their renderings: names, tags, params, scores and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.state.events import Rendering
from orchestrator.state.history import History
from orchestrator.state.tally import Tally
from orchestrator.state.trial import Trial
from orchestrator.tracking.links import SweepPages
from orchestrator.tracking.run import RUNNING, Wanted
from orchestrator.tracking.saved_views import BY_ARM, CURVES, PARAMETERS, TOP
from reports import vocabulary as words

STATUS = {
    words.OUTCOME_RUNNING: RUNNING,
    words.OUTCOME_COMPLETED: "FINISHED",
    words.OUTCOME_PRUNED: "FINISHED",
    words.OUTCOME_DIVERGED: "FAILED",
    words.OUTCOME_FAILED: "FAILED",
    words.OUTCOME_INTERRUPTED: "KILLED",
}
"""MLflow's status of each outcome."""
CLOSED = {"finished": words.OUTCOME_COMPLETED}
"""Outcomes of a sweep that have another name in the sweep log than in the vocabulary."""
MARK = "(!)"
"""The mark of an arm whose trials ran on different code; a star would be Markdown."""
MAX_NAME = 24
"""About how many characters of a run's name MLflow's tables show."""
MAX_NOTE = 7500
"""The most characters of a note; MLflow cuts a tag at 8000."""


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
    names = [name for name in _main_metrics(history) if name in metrics]
    values = [f"{words.label_of(name)} {_format_number(metrics[name])}" for name in names]
    return f"{', '.join(values)} (epoch {row['epoch']})"


def describe_trial(history: History, trial: Trial, parent: str) -> Wanted:
    """Return the run of a trial, whose parent is the run of its sweep."""
    tags = {
        words.TAG_ROLE: words.ROLE_TRIAL,
        words.TAG_ARM: trial.arm,
        words.TAG_TRIAL: trial.number,
        words.TAG_TRIAL_ID: trial.id or None,
        words.TAG_STAGE: trial.stage,
        words.TAG_SOURCE: trial.source,
        words.TAG_CONFIRMS: trial.of,
        words.TAG_OUTCOME: trial.status,
        words.TAG_CAUSE: trial.cause,
        words.TAG_REASON: trial.reason,
        words.TAG_EPOCHS: None if trial.outcome is None else trial.epochs,
        words.TAG_ATTEMPT: trial.attempts or None,
        words.TAG_CODE: trial.codes[-1] if trial.codes else None,
        words.TAG_PARENT: parent,
        words.TAG_NOTE: _trial_note(history, trial),
    }
    return Wanted(
        name=trial_name(trial),
        status=STATUS[trial.status],
        start_ms=trial.asked_ms,
        end_ms=trial.left_ms if trial.outcome is None else trial.ended_ms,
        tags=_to_texts(tags | _provenance(history, trial.started)),
        params=_to_texts({**trial.params, words.PARAM_SEED: trial.seed}),
        scores=_scores(trial),
        since=trial.since,
    )


def describe_rendering(history: History, trial: Trial, rendering: Rendering, parent: str) -> Wanted:
    """Return the run of a rendering: its settings as params, its metrics over a whole split as scores.

    Args:
        history: the sweep.
        trial: the trial whose best checkpoint was rendered.
        rendering: the name, the settings and the metrics.
        parent: the id of the trial's run.
    """
    evaluated_ms = trial.evaluated_ms
    assert evaluated_ms is not None
    tags = {
        words.TAG_ROLE: words.ROLE_EVALUATION,
        words.TAG_ARM: trial.arm,
        words.TAG_TRIAL: trial.number,
        words.TAG_TRIAL_ID: trial.id or None,
        words.TAG_STAGE: trial.stage,
        words.TAG_CONFIRMS: trial.of,
        words.TAG_RENDERING: rendering["name"],
        words.TAG_OUTCOME: words.OUTCOME_COMPLETED,
        words.TAG_PARENT: parent,
        words.TAG_NOTE: f"The best checkpoint of trial {trial.number} ({trial.arm}), rendered with "
        f"{rendering['name']}; its metrics are means over all recordings of a split.",
    }
    return Wanted(
        name=f"{trial_name(trial)}-{rendering['name']}",
        status=STATUS[words.OUTCOME_COMPLETED],
        start_ms=evaluated_ms,
        end_ms=evaluated_ms,
        tags=_to_texts(tags | _provenance(history, trial.started)),
        params=_to_texts({**trial.params, **rendering["settings"], words.PARAM_SEED: trial.seed}),
        scores={metric: (value, evaluated_ms, 0) for metric, value in rendering["metrics"].items()},
    )


def describe_sweep(history: History, pages: SweepPages | None) -> Wanted:
    """Return the run of a sweep; its note has links to `pages`, which are known once the run exists."""
    started, closed = history.started, history.closed
    ending = closed.outcome if closed else words.OUTCOME_RUNNING
    outcome = CLOSED.get(ending, ending)
    tags = {
        words.TAG_ROLE: words.ROLE_SWEEP,
        words.TAG_OUTCOME: outcome,
        words.TAG_REASON: closed.reason if closed else "",
        words.TAG_COMMAND: started["command"],
        words.TAG_HOST: started["host"],
        **{words.TAG_VERSION_PREFIX + name: version for name, version in started["versions"].items()},
        words.TAG_NOTE: pages and _sweep_note(history, pages, outcome),
    }
    objective = history.objective
    params = {words.PARAM_SEED: started["seed"], "compare": ", ".join(started["compare"])}
    return Wanted(
        name=history.name,
        status=STATUS[outcome],
        start_ms=history.first_ms,
        end_ms=closed.ts if closed else None,
        tags=_to_texts(tags | _provenance(history, started)),
        params=_to_texts({**params, "objective": f"{objective.mode} {objective.metric}"}),
    )


def _provenance(history: History, started: Mapping[str, Any]) -> dict[str, Any]:
    """Return tags with the sweep, the judge, the corpus and the commit, from what a driver wrote at its start."""
    corpus, git = started["corpus"] or {}, started["git"]
    return {
        words.TAG_SWEEP: history.name,
        words.TAG_SWEEP_ID: history.sweep_id,
        words.TAG_JUDGE: started["judge"],
        words.TAG_CORPUS: corpus.get("name"),
        words.TAG_CORPUS_FINGERPRINT: corpus.get("fingerprint"),
        words.TAG_GIT_COMMIT: git["commit"],
        words.TAG_GIT_DIRTY: git["dirty"],
    }


def _scores(trial: Trial) -> dict[str, tuple[float, int, int]]:
    """Return (value, time in ms, step) of each metric that has one value for each end of a trial."""
    scores: dict[str, tuple[float, int, int]] = {}
    step = max(trial.ends - 1, 0)
    row = trial.curve.best_row
    if trial.ended_ms is not None and row is not None:
        scores[words.BEST_EPOCH] = row["epoch"], trial.ended_ms, step
        scores[words.TRIAL_S] = trial.curve.trained_s, trial.ended_ms, step
        for metric, value in row["metrics"].items():
            if metric.startswith(words.VAL_PREFIX):
                scores[words.best_name(metric)] = value, trial.ended_ms, step
    if trial.evaluated_ms is not None:
        scores |= {metric: (value, trial.evaluated_ms, step) for metric, value in trial.test.items()}
    return scores


def _trial_note(history: History, trial: Trial) -> str:
    """Return the note of a trial's run in Markdown."""
    lines = [f"Trial {trial.number} of sweep {history.name}, arm {trial.arm}: **{trial.status}**."]
    if trial.outcome is not None:
        reason = f": {trial.reason}" if trial.reason else ""
        lines[0] = f"{lines[0][:-1]} after {words.amount(trial.epochs, 'epoch')}{reason}."
    if trial.of is not None:
        lines.append(f"It runs the configuration of trial {trial.of} again with a seed of its own.")
    if trial.curve.best_row:
        lines.append(f"At its best it had {describe_best(history, trial)}.")
    if trial.evaluation_error:
        lines.append(f"Its best checkpoint could not be evaluated: {trial.evaluation_error}")
    return "\n\n".join(lines)


def _sweep_note(history: History, pages: SweepPages, outcome: str) -> str:
    """Return the note of a sweep's run in Markdown: links, and a table of the best trial of each arm."""
    metrics = _main_metrics(history)
    listen = f"**[Hear the arms side by side]({pages.listen()})**, or see" if history.with_media else "See"
    # The report is written when the sweep has ended.
    report = f" the [report]({pages.report()})," if outcome == words.OUTCOME_COMPLETED else ""
    better = "higher" if history.objective.mode == "max" else "lower"
    head = [
        f"{listen}{report} the [trials, best first]({pages.trials()}), the [curves]({pages.charts(CURVES)}), "
        f"the means [by arm]({pages.charts(BY_ARM)}), the "
        f"[parameters]({pages.charts(PARAMETERS)}), the [best of each arm]({pages.charts(TOP)}).",
        f"Sweep {history.name}: {outcome}. {_counts(history)}. "
        f"Best trials by {words.label_of(history.objective.metric)} ({better} is better), at their best epoch:",
    ]
    rows = [["arm", "best trial", *map(words.label_of, metrics), "epochs spent"], ["---"] * (len(metrics) + 3)]
    rows += [_arm_row(arm, tally, metrics) for arm, tally in history.tallies.items()]
    for reference in history.started["references"]:
        name = " ".join(str(reference[key]) for key in ("reference", "size") if reference.get(key) is not None)
        rows.append([f"*{name}*", "", *(_format_number(reference.get(metric)) for metric in metrics), ""])
    table = [f"| {' | '.join(row)} |" for row in rows]
    if any(row[0].endswith(MARK) for row in rows):
        head.append(f"{MARK} Its trials ran on different code.")
    while len(text := "\n\n".join([*head, "\n".join(table)])) > MAX_NOTE:
        table.pop()
    return text


def _arm_row(arm: str, tally: Tally, metrics: Sequence[str]) -> list[str]:
    """Return the cells of an arm in the table of a sweep's note."""
    best = tally.best
    row = best.curve.best_row if best else None
    values: Mapping[str, float] = row["metrics"] if row else {}
    name = best_name(best) if best else "none yet"
    mark = f" {MARK}" if len(tally.codes) > 1 else ""
    return [arm + mark, name, *(_format_number(values.get(metric)) for metric in metrics), str(tally.epochs)]


def _counts(history: History) -> str:
    """Return how many trials have each status, as text."""
    statuses = history.statuses()
    counts = (f"{statuses[status]} {status}" for status in STATUS if statuses[status])
    number = statuses.total()
    return f"{words.amount(number, 'trial')} ({', '.join(counts)})" if number else "No trial yet"


def _main_metrics(history: History) -> list[str]:
    """Return the names of the objective and of the metrics that are shown with it."""
    metrics = history.started.get("metrics", (words.JUDGE_ACCURACY, words.FVU))
    return words.headline_metrics(history.objective.metric, metrics)


def _to_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return tags or params as strings: numbers and bools in the form of YAML; values that are None are left out."""
    present = {key: value for key, value in values.items() if value is not None}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in present.items()}


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
