"""The saved views of a sweep: what MLflow's tables and charts show of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.search_space.domains import LogInt, LogUniform
from orchestrator.state.curve import Objective
from orchestrator.state.history import History
from orchestrator.tracking.saved_views import Chart, Section, make_chart, make_line, make_view_state
from reports import vocabulary as words

LOG_SCALES = frozenset({LogUniform.kind, LogInt.kind})
"""The kinds of domains with a logarithmic scale."""
CLOSED_SECTIONS = ("best", "val", "train", "optim", "time", "param")
"""The first parts of metrics' names: MLflow's page makes a section of each."""
OF_OLD_LOGS: Mapping[str, Mapping[str, str]] = {
    words.JUDGE_ACCURACY: {},
    words.FVU: {},
    words.VAL_LOSS: {"comparable": "same_loss"},
}
"""The metrics of a sweep that was started before its log had them."""
MAX_PARAMS = 3
"""The most searched parameters that have a column or a chart."""
MAX_PICTURES = 6
PICTURES_PX = 1000
"""The width that the pictures of a chart share in a window of 1440 pixels; they are squares."""
GAP_PX = 20
HEAD_PX = 150
"""The height of the parts of a chart above and below its pictures."""
NO_RUN_LIST = {"runListHidden": True}
"""The charts take the place of the list of runs next to them."""
ALL, CURVES, BY_ARM, PARAMETERS, TOP, RENDERINGS = "all", "curves", "by-arm", "parameters", "top", "renderings"
SPECTROGRAMS, COMPARE, FRONT = "spectrograms", "compare", "front"


def find_log_scaled(started: Mapping[str, Any], arm: str) -> list[str]:
    """Return the parameters that an arm searches on a logarithmic scale.

    Args:
        started: what the driver wrote at its start.
        arm: the name of the arm.
    """
    domains = started.get("arms", {}).get(arm, {}).get("searched", {})
    return [name for name, domain in domains.items() if not LOG_SCALES.isdisjoint(domain)]


def find_rendered_settings(history: History) -> list[str]:
    """Return the names of the settings by which renderings differ."""
    return list(dict.fromkeys(name for tally in history.tallies.values() for name in tally.rendered))


@dataclass(frozen=True)
class Seen:
    """The contents of a sweep's views.

    Attributes:
        sweep: the name of the sweep.
        sweep_id: its id, which distinguishes it from others of that name.
        run_id: the id of its own run.
        objective: the metric that orders its trials, and the further objectives.
        charted: the metrics that have charts: the objective and others that mean the same for all trials.
        incomparable: the metrics that mean something else in each arm: MLflow would draw all arms on one axis.
        arms: the names of the arms.
        compared: the parameters that make them.
        searched: the parameters that Optuna chose.
        shared: those of them that every arm has.
        log_scaled: those of them that every arm that searches them does on a logarithmic scale.
        rendered: the settings by which renderings differ.
        best: the ids of the runs of each arm's best trial.
        pictures: the keys of the pictures of probe clips at the best epoch that these trials have.
    """

    sweep: str
    sweep_id: str
    run_id: str
    objective: Objective
    charted: Sequence[str] = ()
    incomparable: Sequence[str] = ()
    arms: Sequence[str] = ()
    compared: Sequence[str] = ()
    searched: Sequence[str] = ()
    shared: Sequence[str] = ()
    log_scaled: Sequence[str] = ()
    rendered: Sequence[str] = ()
    best: Sequence[str] = ()
    pictures: Sequence[str] = ()

    @classmethod
    def of_sweep(cls, history: History, run_id: str, best: Sequence[str], pictures: Sequence[str]) -> Seen:
        """Return the contents of a sweep's views.

        Args:
            history: the sweep.
            run_id: the id of its own run.
            best: the ids of the runs of each arm's best trial.
            pictures: the keys of the pictures that these trials have.
        """
        started = history.started
        arms: Mapping[str, Mapping[str, Any]] = started.get("arms", {})
        declared: Mapping[str, Any] = started.get("metrics", OF_OLD_LOGS)
        incomparable: list[str] = []
        if len(history.tallies) > 1:
            incomparable = [name for name, metric in declared.items() if metric.get("comparable", "all") != "all"]
            incomparable += [words.TRAIN_LOSS] if words.VAL_LOSS in incomparable else []
        judges = started.get("judges", ())
        headline = [*words.headline_metrics(history.objective.modes, declared, judges), words.VAL_LOSS]
        log_scaled = set(history.searched)
        for name, arm in arms.items():
            log_scaled -= set(arm.get("searched", {})).difference(find_log_scaled(started, name))
        return cls(
            history.name,
            history.sweep_id,
            run_id,
            history.objective,
            charted=[name for name in headline if name in declared and name not in incomparable],
            incomparable=incomparable,
            arms=list(history.tallies),
            compared=started["compare"],
            searched=list(history.searched),
            shared=[name for name in history.searched if all(name in arm.get("searched", {}) for arm in arms.values())],
            log_scaled=[name for name in history.searched if arms and name in log_scaled],
            rendered=find_rendered_settings(history),
            best=best,
            pictures=pictures,
        )

    def views(self) -> dict[str, dict[str, Any]]:
        """Return the state of MLflow's page for each view, by its purpose."""
        curves = self._curves()
        by_arm = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": words.TAG_ARM}]}
        state_by_purpose = {
            ALL: self._state([curves]),
            CURVES: self._state([curves]),
            BY_ARM: self._state([curves]) | {"groupBy": by_arm},
            PARAMETERS: self._state(self._parameters()) | NO_RUN_LIST,
        }
        if self.best:
            state_by_purpose |= {
                TOP: self._of_best([*self._pictures(), curves]),
                SPECTROGRAMS: self._of_best([]),
                COMPARE: self._of_best(self._comparison()),
            }
        if self.objective.beside:
            state_by_purpose[FRONT] = self._of_front()
        if self.rendered:
            state_by_purpose[RENDERINGS] = self._renderings()
        return state_by_purpose

    @property
    def _best_name(self) -> str:
        return words.to_mlflow(words.best_name(self.objective.metric))

    @property
    def _arm_length(self) -> int:
        return max(map(len, self.arms), default=0)

    def _curves(self) -> Section:
        """Return the charts of the metrics over epochs, and of the best value."""
        lines = [make_line(words.to_mlflow(metric)) for metric in dict.fromkeys([self.objective.metric, *self.charted])]
        return Section(self.sweep, [*lines, make_chart("best", "BAR", metricKey=self._best_name)])

    def _parameters(self) -> list[Section]:
        """Return the charts of the objective over parameters.

        MLflow leaves a trial out of parallel coordinates that lacks one of the parameters: so they have those alone
        that every arm has. It has no logarithmic axes for parameters: so their logarithms are metrics.
        """
        score = {"key": self._best_name, "type": "METRIC"}
        shared = [name for name in self.searched if name in self.shared][:MAX_PARAMS]
        params = [*self.compared, *(name for name in shared if name not in self.log_scaled)]
        logarithms = [words.to_mlflow(words.log_name(name)) for name in shared if name in self.log_scaled]
        parallel = make_chart(
            "parallel",
            "PARALLEL",
            selectedParams=[words.to_mlflow(name) for name in params],
            selectedMetrics=[*logarithms, self._best_name],
            showAllRuns=True,
        )
        scatters: list[Chart] = []
        for name in self.searched[:MAX_PARAMS]:
            is_log = name in self.log_scaled
            key = words.to_mlflow(words.log_name(name) if is_log else name)
            axis = {"key": key, "type": "METRIC" if is_log else "PARAM"}
            scatters.append(make_chart(f"scatter-{name}", "SCATTER", xaxis=axis, yaxis=score))
        return [Section(f"{self.sweep}: all arms", [parallel], 1, 420), Section(self.sweep, scatters)]

    def _pictures(self) -> list[Section]:
        """Return the chart of the best trials' pictures, a row for each probe clip."""
        keys = list(self.pictures[:MAX_PICTURES])
        if not keys:
            return []
        chart = make_chart("pictures", "IMAGE", imageKeys=keys, step=0, showRunParams=False)
        height_px = HEAD_PX + (PICTURES_PX // len(self.best) + GAP_PX) * len(keys)
        return [Section(f"{self.sweep}: originals above reconstructions", [chart], 1, height_px)]

    def _comparison(self) -> list[Section]:
        """Return the charts that compare the best trials: the parameters that differ, and the metrics at their best."""
        options = {"showChangeFromBaseline": True, "showDifferencesOnly": True, "baselineColumnUuid": ""}
        params = make_chart("params", "DIFFERENCE", compareGroups=["Parameters"], chartName="Parameters", **options)
        metrics = dict.fromkeys([self.objective.metric, *self.charted])
        bars = []
        for metric in metrics:
            name = words.to_mlflow(words.best_name(metric))
            bars.append(make_chart(f"bar-{name}", "BAR", metricKey=name))
        return [Section(f"{self.sweep}: parameters", [params], 1), Section(f"{self.sweep}: at the best epoch", bars)]

    def _of_best(self, sections: Sequence[Section]) -> dict[str, Any]:
        """Return the state with the best trial of each arm alone."""
        runs = ", ".join(f"'{run_id}'" for run_id in self.best)
        return self._state(sections) | {"searchFilter": f"attributes.run_id IN ({runs})"} | NO_RUN_LIST

    def _of_front(self) -> dict[str, Any]:
        """Return the state with the trials on the front over all arms, and a chart of each objective but the first.

        Trials come to the front and leave it, so that their tag selects them.
        """
        score = {"key": self._best_name, "type": "METRIC"}
        scatters = []
        for name in self.objective.beside:
            axis = {"key": words.to_mlflow(words.best_name(name)), "type": "METRIC"}
            scatters.append(make_chart(f"front-{name}", "SCATTER", xaxis=axis, yaxis=score))
        state = self._state([Section(f"{self.sweep}: front", scatters)])
        of_front = f"tags.`{words.TAG_FRONT}` = '{words.FRONT_SWEEP}'"
        return state | {"searchFilter": f"{state['searchFilter']} AND {of_front}"}

    def _renderings(self) -> dict[str, Any]:
        """Return the state with the table of renderings."""
        params = [f"params.`{words.to_mlflow(name)}`" for name in self.rendered]
        metrics = [f"metrics.`{name}`" for name in words.SOUND_METRICS]
        arm = f"tags.`{words.TAG_ARM}`"
        roles = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}'"
        return make_view_state(
            f"{roles} AND tags.`{words.TAG_SWEEP_ID}` = '{self.sweep_id}'",
            words.SOUND_METRICS[0],
            ascending=True,
            columns={arm: self._arm_length, **dict.fromkeys([*params, *metrics], 0)},
        )

    def _state(self, sections: Sequence[Section]) -> dict[str, Any]:
        """Return the state with the table of trials, best first, and these charts."""
        names = dict.fromkeys([*self.objective.modes, words.JUDGE_ACCURACY, words.FVU, "val/lsd_db"])
        metrics = [f"metrics.`{words.to_mlflow(words.best_name(name))}`" for name in names]
        params = [f"params.`{words.to_mlflow(name)}`" for name in self.searched[:MAX_PARAMS]]
        arm, epochs, outcome = (f"tags.`{tag}`" for tag in (words.TAG_ARM, words.TAG_EPOCHS, words.TAG_OUTCOME))
        pictures = dict.fromkeys(key.partition("/")[0] for key in self.pictures)
        best_of_incomparable = [
            words.best_name(name) for name in self.incomparable if name.startswith(words.VAL_PREFIX)
        ]
        return make_view_state(
            f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{self.run_id}'",
            self._best_name,
            ascending=self.objective.mode == "min",
            columns={arm: self._arm_length, **dict.fromkeys([*metrics, outcome, epochs, *params], 0)},
            sections=sections,
            collapsed_sections=[
                *CLOSED_SECTIONS,
                *pictures,
                *(name.removeprefix(words.BEST_PICTURE_PREFIX) for name in pictures),
            ],
            hidden_metrics=[*map(words.to_mlflow, self.incomparable), *map(words.to_mlflow, best_of_incomparable)],
        )
