"""The MLflow runs of a sweep, its trials and their renderings: names, tags, params and scores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from orchestrator.state.curve import Objective
from orchestrator.state.history import History
from orchestrator.state.trial import Rendering, Trial
from orchestrator.tracking.links import SweepPages
from orchestrator.tracking.notes import trial_name, write_sweep_note, write_trial_note
from orchestrator.tracking.run import RUNNING, Wanted
from orchestrator.tracking.sweep_views import find_log_scaled
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


def describe_trial(
    history: History, trial: Trial, parent: str, place: str | None = None, origin_page: str = ""
) -> Wanted:
    """Return the run of a trial.

    Args:
        history: the sweep.
        trial: the trial.
        parent: the id of the sweep's run.
        place: the place of the trial at the end of the sweep, as text; None before that.
        origin_page: the link to the run of the trial from which it has its epochs; empty if there is none.
    """
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
        words.TAG_FRONT: trial.front_place(history.places) if history.objective.beside else None,
        words.TAG_EPOCHS: None if trial.outcome is None else trial.epochs,
        words.TAG_ATTEMPT: trial.attempts or None,
        words.TAG_ORIGIN: trial.origin and trial.origin.name,
        words.TAG_CODE: trial.codes[-1] if trial.codes else None,
        words.TAG_PARENT: parent,
        words.TAG_NOTE: write_trial_note(history, trial, place, origin_page),
    }
    return Wanted(
        name=trial_name(trial),
        status=STATUS[trial.status],
        start_ms=trial.asked_ms,
        end_ms=trial.left_ms if trial.outcome is None else trial.ended_ms,
        tags=_to_texts(tags | _provenance(history, trial.started)),
        params=_to_texts({**trial.params, words.PARAM_SEED: trial.seed}),
        scores=_scores(trial, history.objective),
        since=trial.since,
        corpus=trial.started["corpus"],
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
        corpus=trial.started["corpus"],
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
        words.TAG_NOTE: pages and write_sweep_note(history, pages, outcome),
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
        corpus=started["corpus"],
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


def _scores(trial: Trial, objective: Objective) -> dict[str, tuple[float, int, int]]:
    """Return (value, time in ms, step) of each metric that has one value for each end of a trial."""
    scores: dict[str, tuple[float, int, int]] = {}
    for name in find_log_scaled(trial.started, trial.arm):
        if name in trial.searched:
            scores[words.log_name(name)] = math.log10(float(trial.searched[name])), trial.asked_ms, 0
    step = max(trial.ends - 1, 0)
    row = trial.curve.best_row
    if trial.ended_ms is not None and row is not None:
        scores[words.BEST_EPOCH] = row["epoch"], trial.ended_ms, step
        scores[words.TRIAL_S] = trial.curve.trained_s, trial.ended_ms, step
        for metric, value in row["metrics"].items():
            if metric.startswith(words.VAL_PREFIX) or metric in objective.modes:
                scores[words.best_name(metric)] = value, trial.ended_ms, step
    if trial.evaluated_ms is not None:
        scores |= {metric: (value, trial.evaluated_ms, step) for metric, value in trial.test.items()}
    return scores


def _to_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return tags or params as strings: numbers and bools in the form of YAML; values that are None are left out."""
    present = {key: value for key, value in values.items() if value is not None}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in present.items()}
