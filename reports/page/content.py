"""The analysis of one sweep for `orchestrate report`, from which page, tables and figures are made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports import vocabulary as words
from reports.page import figures, matrix, sentences
from reports.runs import findings, importance, judges, stages, winners
from reports.runs.findings import ContrastSet, Table
from reports.runs.frames import SweepRuns, read_sweep
from reports.statistics.contrast import Contrast

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 6
"""Number of searched parameters that a figure shows."""


@dataclass(frozen=True)
class Report:
    """The report on one sweep; everything except its runs is computed when it is first used."""

    runs: SweepRuns

    @cached_property
    def test_tables(self) -> list[Table]:
        """The scores on the test split by recording, of all trials that have them."""
        return list(self.runs.read_tables(words.ARTIFACT_PER_RECORDING, self.runs.tested_trials))

    @cached_property
    def contrast_sets(self) -> list[ContrastSet]:
        """The contrasts between arms and between renderings, each by the objective and by the judge's accuracy."""
        return findings.find_contrasts(self.runs, self.test_tables)

    @cached_property
    def histories(self) -> pd.DataFrame:
        """The objective of the search's trials over epochs; columns `trial`, `arm`, `epoch` and the objective."""
        return self.runs.read_histories([self.runs.metric], self.runs.search_trials)

    @property
    def stage(self) -> stages.Stage:
        """Whether trainings were evaluated on the test split, will be, or won't be (see `stage_of`)."""
        return stages.stage_of(self.runs)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The duration of each trial; columns `trial` and `hours` (training and validation)."""
        trials = self.runs.trials
        durations_s = [trials[name] for name in (words.TRIAL_S, "duration_s") if name in trials]
        seconds = pd.Series(math.nan, index=trials.index)
        for duration_s in durations_s:
            seconds = seconds.fillna(pd.to_numeric(duration_s))
        return pd.DataFrame({"trial": trials["trial"], "hours": seconds / 3600})

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """The table of arms (see `reports.page.matrix.matrix`)."""
        return matrix.matrix(self.runs, self.test_tables, self.costs)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """The table of all contrasts, one row each, with the attributes of `Contrast` and the metric as columns."""
        rows = []
        for contrast_set in self.contrast_sets:
            for contrast in contrast_set.contrasts:
                attributes = {key: value for key, value in vars(contrast).items() if key != "at"}
                at = ", ".join(f"{name}={value}" for name, value in contrast.at.items())
                rows.append({"metric": contrast_set.metric, **attributes, "at": at})
        return pd.DataFrame(rows)

    @cached_property
    def references(self) -> pd.DataFrame:
        """The baselines: columns `arm` (their label), `searched` (the objective), and each added judge's accuracy."""
        rows = self.runs.record.get("references", [])
        labels = [" ".join(str(row[key]) for key in ("reference", "size") if row.get(key)) for row in rows]
        metric_by_column = {"searched": self.runs.metric, **judges.accuracy_columns(self.runs)}
        values = {column: [row.get(metric, math.nan) for row in rows] for column, metric in metric_by_column.items()}
        return pd.DataFrame({"arm": labels, **values})

    @cached_property
    def winners(self) -> list[winners.Winner]:
        """The best configuration of each arm."""
        return winners.find_winners(self.runs)

    @property
    def tested_sentences(self) -> list[str]:
        """The planned contrasts by the objective as sentences."""
        chosen = self._planned_contrasts()
        return [sentence for contrast_set, planned in chosen for sentence in self._sentences(contrast_set, planned)]

    @property
    def summary(self) -> list[str]:
        """The findings for a terminal: planned contrasts, else all by the objective, else any."""
        if self.tested_sentences:
            chosen = list(self._planned_contrasts())
        else:
            chosen = [(tested, tested.contrasts) for tested in self.contrast_sets if tested.is_tested]
        short = [
            sentence
            for contrast_set, contrasts in chosen
            for sentence in sentences.summarize(
                contrasts, contrast_set.metric, self._mode(contrast_set.metric), self.runs.unit
            )
        ]
        return short or self.descriptive_sentences or self.fallback_sentences

    @property
    def descriptive_sentences(self) -> list[str]:
        """Sentences about the contrasts that are not tested: unplanned ones, and those of other metrics."""
        rest = (
            (contrast_set, [one for one in contrast_set.contrasts if not (contrast_set.is_tested and one.is_planned)])
            for contrast_set in self.contrast_sets
        )
        return [sentence for contrast_set, contrasts in rest for sentence in self._sentences(contrast_set, contrasts)]

    @property
    def fallback_sentences(self) -> list[str]:
        """The sentences of a report without any contrast; empty if there is one."""
        if any(contrast_set.contrasts for contrast_set in self.contrast_sets):
            return []
        return list(stages.describe_without_contrasts(self.runs, self.test_tables, self.matrix))

    @property
    def why_untested(self) -> str:
        """The reason why all contrasts are descriptive, as a sentence."""
        return stages.explain_untested(self.runs, self.contrast_sets)

    def _planned_contrasts(self) -> Iterator[tuple[ContrastSet, list[Contrast]]]:
        for contrast_set in self.contrast_sets:
            if contrast_set.is_tested:
                yield contrast_set, [contrast for contrast in contrast_set.contrasts if contrast.is_planned]

    def _sentences(self, contrast_set: ContrastSet, contrasts: Sequence[Contrast]) -> Iterator[str]:
        mode = self._mode(contrast_set.metric)
        for contrast in contrasts:
            # The baseline plans tests by the objective only.
            reported = contrast if contrast_set.is_tested else replace(contrast, is_planned=False)
            yield sentences.describe(reported, contrast_set.metric, mode, self.runs.unit)

    def _mode(self, metric: str) -> str:
        """Return whether a metric of the tables by recording is better when small (`min`) or large (`max`)."""
        declared = self.runs.record.get("metrics", {}).get(words.VAL_PREFIX + metric, {})
        default = self.runs.mode if self.runs.metric.endswith(metric) else "max"
        return str(declared.get("mode", default))

    def remarks(self) -> list[str]:
        """Return the caveats: best values at an edge, judges that disagree, mixed code, empty arms, missing data."""
        remarks = [f"{arm}: {edge}" for arm, edge in self._edges()]
        for contrast_set in self.contrast_sets:
            first = judges.name_judge(contrast_set.metric)
            disputed = contrast_set.find_disputed()
            labels = dict.fromkeys((judge, figures.label_contrast(contrast)) for judge, contrast in disputed)
            remarks += [f"{judge} finds the opposite sign of {first} for {label}" for judge, label in labels]
        remarks = [*dict.fromkeys(remarks), *judges.describe_limits(self.runs)]
        if "code" in self.runs.trials:
            num_codes = self.runs.trials.groupby("arm")["code"].nunique()
            remarks += [f"{arm}: its trials ran on different code" for arm in num_codes[num_codes > 1].index]
        if "origin" in self.runs.trials:
            origins = self.runs.trials["origin"]
            sweeps = ", ".join(dict.fromkeys(name.rpartition("/")[0] for name in origins.dropna()))
            count = f"{origins.count()} of {words.amount(len(origins), 'trial')}"
            remarks.append(f"{count} were reused from {sweeps}, with the durations of their training there")
        return [*remarks, *matrix.empty_cells(self.runs), *self.runs.notes]

    @cached_property
    def disagreements(self) -> list[str]:
        """The pairs of judges that order the arms differently, a sentence each."""
        return judges.find_disagreements(self.runs)

    def _edges(self) -> Iterator[tuple[str, str]]:
        for arm, row in self.runs.best_trials().iterrows():
            settings: dict[str, Any] = {str(key): value for key, value in row.items()}
            for edge in importance.find_edges(settings, self.search_space(str(arm))):
                yield str(arm), f"{edge}: better values may lie outside"

    def search_space(self, arm: str) -> dict[str, dict[str, list[Any]]]:
        """Return the searched parameters of an arm: `{"lr": {"loguniform": [1e-4, 3e-3]}}`."""
        domains: dict[str, dict[str, list[Any]]] = self.runs.record.get("arms", {}).get(arm, {}).get("searched", {})
        return domains

    @cached_property
    def params(self) -> list[str]:
        """The searched parameters that figures show; those that most arms have come first."""
        names = [name for arm in self.runs.arms for name in self.search_space(arm)]
        columns = [name for name in dict.fromkeys(names) if name in self.runs.trials]
        return sorted(columns, key=lambda name: -names.count(name))[:MAX_PARAMS]

    @cached_property
    def rungs(self) -> list[int]:
        """The epochs after which ASHA may prune a trial; empty if the sweep is pruned otherwise, or not at all."""
        pruning = self.runs.record.get("pruning")
        if not pruning or pruning.get("kind", "asha") not in ("asha", "pasha"):
            return []
        epochs, rung = [], int(pruning["grace_epochs"])
        while rung < self.max_epochs:
            epochs.append(rung)
            rung *= int(pruning["reduction_factor"])
        return epochs

    @cached_property
    def pruning(self) -> str:
        """How trials ended early, in words; empty if none did."""
        pruning = self.runs.record.get("pruning") or {}
        match pruning.get("kind", "asha"):
            case "median":
                return f"the median rule, from epoch {pruning['grace_epochs']} on"
            case "patient":
                return f"after {pruning['patience']} epochs without improvement"
            case "wilcoxon":
                return f"by a paired Wilcoxon test against the best trial of the arm (p < {pruning['p_threshold']:g})"
            case "pasha" if self.rungs:
                return f"PASHA, after epochs {', '.join(map(str, self.rungs))}"
        return f"after epochs {', '.join(map(str, self.rungs))}" if self.rungs else ""

    @property
    def max_epochs(self) -> int:
        """The number of epochs of a trial that is not pruned."""
        budgets = [arm.get("epochs", 0) for arm in self.runs.record.get("arms", {}).values()]
        trained = self.runs.trials["epochs"].max() if len(self.runs.trials) else 0
        return int(max([*budgets, 0 if pd.isna(trained) else trained]))

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """The table of confirmed configurations (see `reports.page.matrix.confirmations`)."""
        return matrix.confirmations(self.runs)

    @cached_property
    def importances(self) -> dict[str, pd.Series]:
        """The importance of each searched parameter, for each arm with enough completed trials."""
        trials, column = self.runs.search_trials, self.runs.best_column
        if column not in trials:
            return {}
        shares_by_arm = {
            arm: importance.importances(trials[trials["arm"] == arm], self.search_space(arm), column)
            for arm in self.runs.arms
        }
        return {arm: shares for arm, shares in shares_by_arm.items() if shares is not None}

    @cached_property
    def failures(self) -> pd.DataFrame:
        """The trials that diverged or failed, by cause and arm."""
        return matrix.failures(self.runs)

    def count_saved_epochs(self) -> int:
        """Return the number of epochs that pruned trials did not train."""
        trials = self.runs.search_trials
        pruned = trials[trials["outcome"] == words.OUTCOME_PRUNED]
        arms = self.runs.record.get("arms", {})
        return sum(
            arms.get(arm, {}).get("epochs", self.max_epochs) - int(epochs)
            for arm, epochs in zip(pruned["arm"], pruned["epochs"].fillna(0), strict=True)
        )


def read_report(client: MlflowClient, name: str) -> Report:
    """Read a sweep from MLflow and check that its objective can rank its arms.

    Raises:
        ReportError: there is no such sweep, or its objective can't rank arms.
    """
    runs = read_sweep(client, name)
    findings.check_objective(runs)
    return Report(runs)
