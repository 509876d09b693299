"""`orchestrate report NAME…`: a sweep's runs in MLflow, analysed once, for a page, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports import vocabulary as words
from reports.page import figures, matrix, sentences
from reports.runs import findings, importance, stages
from reports.runs.findings import Answers, Table
from reports.runs.frames import SweepRuns, read_sweep
from reports.statistics.contrast import Contrast

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 6
"""Searched parameters that a figure shows."""


@dataclass(frozen=True)
class Report:
    """What is said of a sweep; everything but its runs is computed when it is first asked for."""

    runs: SweepRuns

    @cached_property
    def judged(self) -> list[Table]:
        """The scores by recording of the trials that the test split has judged."""
        return list(self.runs.tables(words.ARTIFACT_PER_RECORDING, self.runs.final))

    @cached_property
    def answers(self) -> list[Answers]:
        """Contrasts between arms and between renderings, each by the objective and by the judge's accuracy."""
        return findings.read_answers(self.runs, self.judged)

    @property
    def stage(self) -> stages.Stage:
        """How far the sweep has come."""
        return stages.stage_of(self.runs)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Columns `trial` and `hours` of training and validation."""
        trials = self.runs.trials
        durations_s = [trials[name] for name in (words.TRIAL_S, "duration_s") if name in trials]
        seconds = pd.Series(math.nan, index=trials.index)
        for duration_s in durations_s:
            seconds = seconds.fillna(pd.to_numeric(duration_s))
        return pd.DataFrame({"trial": trials["trial"], "hours": seconds / 3600})

    @cached_property
    def matrix(self) -> pd.DataFrame:
        return matrix.matrix(self.runs, self.judged, self.costs)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Every contrast as a row."""
        rows = [
            {"metric": answers.metric, **{key: value for key, value in vars(contrast).items() if key != "at"}}
            | {"at": ", ".join(f"{name}={value}" for name, value in contrast.at.items())}
            for answers in self.answers
            for contrast in answers.found
        ]
        return pd.DataFrame(rows)

    @cached_property
    def references(self) -> pd.DataFrame:
        """The reference lines, with the objective on the validation split as `searched`."""
        rows = self.runs.record.get("references", [])
        label = [" ".join(str(row[key]) for key in ("reference", "size") if row.get(key)) for row in rows]
        return pd.DataFrame({"arm": label, "searched": [row.get(self.runs.metric, math.nan) for row in rows]})

    @property
    def tested(self) -> list[str]:
        """The answer in words: the contrasts by the objective that the sweep's baseline asks for."""
        return [sentence for answers, planned in self._planned() for sentence in self._in_words(answers, planned)]

    @property
    def in_short(self) -> list[str]:
        """The answer for a terminal; all pairs by the objective where nothing is tested."""
        objective = [answers for answers in self.answers if answers.is_tested]
        chosen = list(self._planned()) if self.tested else [(answers, answers.found) for answers in objective]
        short = (
            sentences.in_short(contrasts, answers.metric, self._mode(answers.metric)) for answers, contrasts in chosen
        )
        return [sentence for group in short for sentence in group] or self.described or self.instead

    @property
    def described(self) -> list[str]:
        """All other contrasts."""
        rest = (
            (answers, [one for one in answers.found if not (answers.is_tested and one.is_planned)])
            for answers in self.answers
        )
        return [sentence for answers, contrasts in rest for sentence in self._in_words(answers, contrasts)]

    @property
    def instead(self) -> list[str]:
        """What can be said where there are no contrasts."""
        has_contrasts = any(answers.found for answers in self.answers)
        return [] if has_contrasts else list(stages.instead(self.runs, self.judged, self.matrix))

    @property
    def why_untested(self) -> str:
        """Why contrasts are descriptive only."""
        return stages.why_untested(self.runs, self.answers)

    def _planned(self) -> Iterator[tuple[Answers, list[Contrast]]]:
        for answers in self.answers:
            if answers.is_tested:
                yield answers, [contrast for contrast in answers.found if contrast.is_planned]

    def _in_words(self, answers: Answers, contrasts: Sequence[Contrast]) -> Iterator[str]:
        mode = self._mode(answers.metric)
        for contrast in contrasts:
            # By any other metric than the objective nothing is asked for.
            reported = contrast if answers.is_tested else replace(contrast, is_planned=False)
            yield sentences.in_words(reported, answers.metric, mode)

    def _mode(self, metric: str) -> str:
        declared = self.runs.record.get("metrics", {}).get(words.VAL_PREFIX + metric, {})
        return str(declared.get("mode", self.runs.mode if self.runs.metric.endswith(metric) else "max"))

    def remarks(self) -> list[str]:
        """What is to be kept in mind: winners at an edge, judges that disagree, empty cells, what is missing."""
        remarks = [f"{arm}: {edge}" for arm, edge in self._edges()]
        disputed = [figures.named(contrast) for answers in self.answers for contrast in answers.disputed()]
        remarks += [f"judge B says the opposite of judge A of {name}" for name in dict.fromkeys(disputed)]
        mixed = (
            self.runs.trials.groupby("arm")["code"].nunique() if "code" in self.runs.trials else pd.Series(dtype=int)
        )
        remarks += [f"{arm}: its trials ran on different code" for arm in mixed[mixed > 1].index]
        return [*remarks, *matrix.empty_cells(self.runs), *self.runs.notes]

    def _edges(self) -> Iterator[tuple[str, str]]:
        for arm, row in self.runs.best_trials().iterrows():
            for edge in importance.at_edge(_plain(row), self._searched(str(arm))):
                yield str(arm), f"{edge}: better values may lie outside"

    def _searched(self, arm: str) -> dict[str, dict[str, list[Any]]]:
        domains: dict[str, dict[str, list[Any]]] = self.runs.record.get("arms", {}).get(arm, {}).get("searched", {})
        return domains

    @cached_property
    def params(self) -> list[str]:
        """Searched parameters, those of most arms first."""
        names = [name for arm in self.runs.arms for name in self._searched(arm)]
        columns = [name for name in dict.fromkeys(names) if name in self.runs.trials]
        return sorted(columns, key=lambda name: -names.count(name))[:MAX_PARAMS]

    @cached_property
    def rungs(self) -> list[int]:
        """The epochs at which ASHA looked."""
        pruning = self.runs.record.get("pruning")
        if not pruning:
            return []
        epochs, rung = [], int(pruning["grace_epochs"])
        while rung < self.max_epochs:
            epochs.append(rung)
            rung *= int(pruning["reduction_factor"])
        return epochs

    @property
    def max_epochs(self) -> int:
        """Epochs of a trial that nothing stops."""
        budgets = [arm.get("epochs", 0) for arm in self.runs.record.get("arms", {}).values()]
        trained = self.runs.trials["epochs"].max() if len(self.runs.trials) else 0
        return int(max([*budgets, 0 if pd.isna(trained) else trained]))

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """What the search said of each confirmed configuration beside what it did again."""
        return matrix.confirmed(self.runs)

    @cached_property
    def importances(self) -> dict[str, pd.Series]:
        """What mattered inside each arm that has enough completed trials."""
        searched = self.runs.searched
        shares_by_arm = {
            arm: importance.importances(searched[searched["arm"] == arm], self._searched(arm), self.runs.best)
            for arm in self.runs.arms
            if self.runs.best in searched
        }
        return {arm: shares for arm, shares in shares_by_arm.items() if shares is not None}

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Trials that diverged or failed, grouped by cause."""
        return matrix.failures(self.runs)

    def saved_epochs(self) -> int:
        """Epochs that pruned trials did not have to train."""
        pruned = self.runs.searched[self.runs.searched["outcome"] == words.OUTCOME_PRUNED]
        arms = self.runs.record.get("arms", {})
        return sum(
            arms.get(arm, {}).get("epochs", self.max_epochs) - int(epochs)
            for arm, epochs in zip(pruned["arm"], pruned["epochs"].fillna(0), strict=True)
        )

    def facts(self) -> dict[str, str]:
        """What it takes to run the same again."""
        tags, record = self.runs.run.data.tags, self.runs.record
        started = datetime.fromtimestamp(self.runs.run.info.start_time / 1000)
        dirty = " with uncommitted changes" if tags.get(words.TAG_GIT_DIRTY) == "true" else ""
        versions = ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())
        facts = {
            "command": str(record.get("command", "")),
            "commit": f"{tags.get(words.TAG_GIT_COMMIT, '')}{dirty}",
            "corpus": f"{tags.get(words.TAG_CORPUS, '')} {tags.get(words.TAG_CORPUS_FINGERPRINT, '')}",
            "judge": tags.get(words.TAG_JUDGE, ""),
            "seed": str(record.get("seed", "")),
            "versions": versions,
            "started": f"{started:%Y-%m-%d %H:%M}",
            "state": tags.get(words.TAG_OUTCOME, ""),
        }
        return {name: value for name, value in facts.items() if value.strip()}


def _plain(row: pd.Series) -> dict[str, Any]:
    return {str(key): value for key, value in row.items()}


def read_report(client: MlflowClient, name: str) -> Report:
    """Read a sweep and make sure that its arms may be ranked.

    Raises:
        ReportError: there is no such sweep, or its objective can't rank arms.
    """
    runs = read_sweep(client, name)
    findings.check_ranked(runs)
    return Report(runs)
