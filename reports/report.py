"""`orchestrate report NAME…`: a sweep's runs in MLflow, analysed once, for a page, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports import figures, findings, importance, matrix, sentences
from reports import vocabulary as words
from reports.findings import Answers
from reports.frames import SweepRuns, read_sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 6
"""Searched parameters that a figure shows."""


@dataclass(frozen=True)
class Report:
    """What is said of a sweep; everything but its runs is computed when it is first asked for."""

    runs: SweepRuns

    @cached_property
    def answers(self) -> list[Answers]:
        """Contrasts between arms by the objective, then by the judge's accuracy."""
        return findings.read_answers(self.runs)

    @cached_property
    def rendering_answers(self) -> list[Answers]:
        """Contrasts between renderings of the same models."""
        return findings.read_rendering_answers(self.runs)

    @property
    def is_exploratory(self) -> bool:
        """Whether nothing was judged on the test split."""
        return self.runs.final.empty

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Columns `trial` and `hours` of training and validation."""
        trials = self.runs.trials
        seconds = trials[words.TRIAL_S] if words.TRIAL_S in trials else pd.Series(math.nan, index=trials.index)
        seconds = seconds.fillna(trials["duration_s"]) if "duration_s" in trials else seconds
        return pd.DataFrame({"trial": trials["trial"], "hours": pd.to_numeric(seconds) / 3600})

    @cached_property
    def matrix(self) -> pd.DataFrame:
        return matrix.matrix(self.runs, self.costs)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Every contrast as a row."""
        rows = [
            {"metric": answers.metric, **{key: value for key, value in vars(each).items() if key != "at"}}
            | {"at": ", ".join(f"{name}={value}" for name, value in each.at.items())}
            for answers in (*self.answers, *self.rendering_answers)
            for each in answers.found
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
        """The answer in words: the contrasts that the sweep's baseline asks for."""
        return list(self._in_words(is_tested=True))

    @property
    def described(self) -> list[str]:
        """All other pairs, or what can be said where nothing was judged on the test split."""
        has_answers = bool(self.answers or self.rendering_answers)
        return list(self._in_words(is_tested=False) if has_answers else self._exploratory())

    def _in_words(self, *, is_tested: bool) -> Iterator[str]:
        for answers in (*self.answers, *self.rendering_answers):
            found = (each for each in answers.found if each.is_tested == is_tested)
            yield from (sentences.in_words(each, answers.metric, self._mode(answers.metric)) for each in found)

    def _exploratory(self) -> Iterator[str]:
        best = self.runs.best_trials()
        if best.empty:
            yield "No trial has a value of the objective yet: nothing can be said."
            return
        order = best.sort_values(self.runs.best, ascending=self.runs.mode == "min")
        found = ", ".join(f"{arm} {value:.3f}" for arm, value in order[self.runs.best].items())
        yield (
            f"By the best {words.in_words(self.runs.metric)} of each arm on validation: {found}. One lucky "
            "configuration may stand for an arm here: no interval can be given, and nothing was tested."
        )

    def _mode(self, metric: str) -> str:
        declared = self.runs.record.get("metrics", {}).get(words.VAL_PREFIX + metric, {})
        return str(declared.get("mode", self.runs.mode if self.runs.metric.endswith(metric) else "max"))

    def remarks(self) -> list[str]:
        """What is to be kept in mind: winners at an edge, judges that disagree, empty cells, what is missing."""
        found = [f"{arm}: {edge}" for arm, edge in self._edges()]
        for answers in self.answers:
            pairs = zip(answers.found, answers.by_second_judge, strict=False)
            disagree = [
                figures.named(one)
                for one, other in pairs
                if one.is_distinguishable and one.difference * other.difference < 0
            ]
            found += [f"judge B says the opposite of judge A of {name}" for name in disagree]
        mixed = (
            self.runs.trials.groupby("arm")["code"].nunique() if "code" in self.runs.trials else pd.Series(dtype=int)
        )
        found += [f"{arm}: its trials ran on different code" for arm in mixed[mixed > 1].index]
        return [*found, *matrix.empty_cells(self.runs), *self.runs.notes]

    def _edges(self) -> Iterator[tuple[str, str]]:
        for arm, row in self.runs.best_trials().iterrows():
            for edge in importance.at_edge(_plain(row), self._searched(str(arm))):
                yield str(arm), f"{edge}: better values may lie outside"

    def _searched(self, arm: str) -> dict[str, dict[str, list[Any]]]:
        found: dict[str, dict[str, list[Any]]] = self.runs.record.get("arms", {}).get(arm, {}).get("searched", {})
        return found

    @cached_property
    def params(self) -> list[str]:
        """Searched parameters, those of most arms first."""
        names = [name for arm in self.runs.arms for name in self._searched(arm)]
        known = [name for name in dict.fromkeys(names) if name in self.runs.trials]
        return sorted(known, key=lambda name: -names.count(name))[:MAX_PARAMS]

    @cached_property
    def rungs(self) -> list[int]:
        """The epochs at which ASHA looked."""
        pruning = self.runs.record.get("pruning")
        if not pruning:
            return []
        found, rung = [], int(pruning["grace_epochs"])
        while rung < self.max_epochs:
            found.append(rung)
            rung *= int(pruning["reduction_factor"])
        return found

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
        found = {
            arm: importance.importances(searched[searched["arm"] == arm], self._searched(arm), self.runs.best)
            for arm in self.runs.arms
            if self.runs.best in searched
        }
        return {arm: each for arm, each in found.items() if each is not None}

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Trials that diverged or failed, grouped by cause."""
        return matrix.failures(self.runs)

    def saved_epochs(self) -> int:
        """Epochs that pruned trials did not have to train."""
        pruned = self.runs.searched[self.runs.searched["outcome"] == words.OUTCOME_PRUNED]
        return int((self.max_epochs - pruned["epochs"].fillna(0)).sum())

    def facts(self) -> dict[str, str]:
        """What it takes to run the same again."""
        tags, record = self.runs.run.data.tags, self.runs.record
        started = datetime.fromtimestamp(self.runs.run.info.start_time / 1000)
        dirty = " with uncommitted changes" if tags.get(words.TAG_GIT_DIRTY) == "true" else ""
        versions = ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())
        found = {
            "command": str(record.get("command", "")),
            "commit": f"{tags.get(words.TAG_GIT_COMMIT, '')}{dirty}",
            "corpus": f"{tags.get(words.TAG_CORPUS, '')} {tags.get(words.TAG_CORPUS_FINGERPRINT, '')}",
            "judge": tags.get(words.TAG_JUDGE, ""),
            "seed": str(record.get("seed", "")),
            "versions": versions,
            "started": f"{started:%Y-%m-%d %H:%M}",
            "state": tags.get(words.TAG_OUTCOME, ""),
        }
        return {name: value for name, value in found.items() if value.strip()}


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
