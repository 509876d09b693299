"""A sweep as pandas sees it: its runs, read from any MLflow that holds them; the sweep's folder is not needed.

Values are MLflow's: params come back as text and are read as YAML wrote them, but for those that arms and renderings
are told apart by, which stay the names that they are; metrics are each key's last.
"""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports import vocabulary as words
from reports.errors import ReportError
from reports.runs.columns import TAG_PREFIX, column_of, with_columns
from reports.runs.sweeps import choose, identity, name_of, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE_RUNS = 1000
READERS = 8
"""Threads that wait for MLflow: a history is a call of its own."""
ID, RUN = "trial", "run_id"


@dataclass(frozen=True)
class SweepRuns:
    """One sweep.

    Attributes:
        record: what the sweep said of itself (`words.ARTIFACT_SWEEP`); of a sweep that wrote none, what its run tells.
        trials: a row a trial, by number: tags by their name without the prefix, params, metrics, `duration_s`, and the
            `configuration`: the number of the trial that had it first, or `all` where nothing was searched.
        renderings: the same of evaluations, with their `rendering`.
        notes: what is missing, a line each.
    """

    name: str
    run: Run
    record: Mapping[str, Any]
    trials: pd.DataFrame
    renderings: pd.DataFrame
    client: MlflowClient = field(repr=False)
    notes: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """The objective, such as `val/judge_probability`."""
        return str(self.record["objective"]["metric"])

    @property
    def mode(self) -> str:
        """Which way the objective is better, `min` or `max`."""
        return str(self.record["objective"]["mode"])

    @property
    def best(self) -> str:
        """The column of trials that has the objective at the best epoch."""
        return words.best_name(self.metric)

    @property
    def factors(self) -> list[str]:
        """What is compared; each is a column of trials."""
        return [str(name) for name in self.record["compare"]]

    @property
    def rendered(self) -> list[str]:
        """What renderings of one model differ in; each is a column of renderings."""
        return _rendered(self.renderings["rendering"].dropna()) if "rendering" in self.renderings else []

    @cached_property
    def arms(self) -> list[str]:
        """Names of all arms, those without a trial too, in the file's order."""
        trial_arms = list(dict.fromkeys(self.trials["arm"])) if len(self.trials) else []
        return list(dict.fromkeys([*self.record.get("arms", {}), *trial_arms]))

    @property
    def is_repeated(self) -> bool:
        """Whether nothing was searched: an arm is one configuration on several seeds."""
        return self.record.get("seeds") is not None

    @property
    def searched(self) -> pd.DataFrame:
        """Trials of the search."""
        return self.trials[self.trials["stage"] == words.STAGE_SEARCH]

    @property
    def final(self) -> pd.DataFrame:
        """Trials that the test split has judged."""
        if not any(str(name).startswith(words.TEST_PREFIX) for name in self.trials):
            return self.trials.iloc[:0]
        tested = self.trials.filter(regex=f"^{words.TEST_PREFIX}").notna().any(axis=1)
        return self.trials[tested]

    def best_trials(self) -> pd.DataFrame:
        """The best of each arm's search by the objective at the best epoch, of those that trained to the end.

        A pruned trial had less time: ranked against a full one it would only show what ASHA has already decided.
        """
        competing = self.searched[self.searched["outcome"] == words.OUTCOME_COMPLETED]
        if self.best not in competing or competing[self.best].isna().all():
            return competing.iloc[:0]
        values = competing.dropna(subset=[self.best]).sort_values(self.best, ascending=self.mode == "min")
        first = values.groupby("arm", sort=False).head(1).set_index("arm", drop=False)
        return first.loc[[arm for arm in self.arms if arm in first.index]]

    def histories(self, metrics: Sequence[str], trials: pd.DataFrame | None = None) -> pd.DataFrame:
        """Every epoch of some trials; columns `trial`, `arm`, `epoch` and the metrics."""
        chosen = self.trials if trials is None else trials

        def read(row: Any) -> pd.DataFrame:
            history_by_metric = {
                metric: {
                    point.step: point.value
                    for point in self.client.get_metric_history(row.run_id, words.to_mlflow(metric))
                }
                for metric in metrics
            }
            frame = pd.DataFrame(history_by_metric, dtype=float).rename_axis("epoch").reset_index()
            return frame.assign(trial=row.trial, arm=row.arm)

        with ThreadPoolExecutor(READERS) as pool:
            frames = [frame for frame in pool.map(read, chosen.itertuples()) if len(frame)]
        columns = [ID, "arm", "epoch", *metrics]
        return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)

    def tables(self, name: str, runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """A CSV artifact of each of some runs, with the run's row; runs that have none are noted and left out."""

        def read(row: dict[str, Any]) -> pd.DataFrame | None:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    return pd.read_csv(self.client.download_artifacts(row[RUN], name, folder))
                except Exception:
                    return None

        with ThreadPoolExecutor(READERS) as pool:
            rows = [{str(key): value for key, value in row.items()} for row in runs.to_dict("records")]
            for row, table in zip(rows, pool.map(read, rows), strict=True):
                if table is None:
                    self.notes.append(f"trial {row[ID]}: its {name} is missing in MLflow")
                else:
                    yield row, table


def read_sweep(client: MlflowClient, sweep: str) -> SweepRuns:
    """Read a sweep by its name or, where several have that name, by its name and id (`vae@3fa9c1`).

    Raises:
        ReportError: there is none, or several are meant.
    """
    runs = list(_search(client, f"tags.`{words.TAG_ROLE}` = '{words.ROLE_SWEEP}'"))
    run = choose(client, runs, sweep)
    name = name_of(sweep)
    if run is None:
        names = sorted({run.data.tags.get(words.TAG_SWEEP, "") for run in runs})
        close = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; it holds {', '.join(names) or 'none'}"
        raise ReportError(f"sweep {name!r} is not in MLflow{hint}")
    notes: list[str] = []
    record = with_columns(_record(client, run, notes))
    of_trials = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{run.info.run_id}'"
    of_renderings = (
        f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}' AND tags.`{words.TAG_SWEEP_ID}` = '{identity(run)}'"
    )
    trials, renderings = (
        _frame(list(_search(client, condition, run.info.experiment_id)), record)
        for condition in (of_trials, of_renderings)
    )
    return SweepRuns(name, run, record, trials, renderings, client, notes)


def _record(client: MlflowClient, run: Run, notes: list[str]) -> dict[str, Any]:
    record = read_record(client, run)
    if record is not None:
        return record
    notes.append(f"its {words.ARTIFACT_SWEEP} is missing in MLflow: no baseline, no reference lines, no ranges")
    mode, _, metric = run.data.params.get("objective", "max val/judge_probability").partition(" ")
    compared = run.data.params.get("compare", "")
    return {
        "objective": {"metric": metric, "mode": mode},
        "compare": compared.split(", ") if compared else [],
        "references": [],
        "versions": {},
        "command": run.data.tags.get(words.TAG_COMMAND, ""),
    }


def _search(client: MlflowClient, condition: str, experiment: str | None = None) -> Iterator[Run]:
    experiments = [experiment] if experiment else [listed.experiment_id for listed in client.search_experiments()]
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, condition, max_results=PAGE_RUNS, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _frame(runs: Sequence[Run], record: Mapping[str, Any]) -> pd.DataFrame:
    if not runs:
        columns = [ID, RUN, "arm", "stage", "outcome", "cause", "reason", "epochs", "confirms", "configuration"]
        return pd.DataFrame(columns=columns)
    rendered = _rendered(run.data.tags[words.TAG_RENDERING] for run in runs if words.TAG_RENDERING in run.data.tags)
    frame = pd.DataFrame([_row(run, [*record["compare"], *rendered]) for run in runs])
    for column in ("confirms", "reason", "epochs"):
        if column not in frame:
            frame[column] = None
    numbers = [ID, "epochs", "confirms"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")
    frame = frame.dropna(subset=[ID]).astype({ID: int})
    frame["configuration"] = frame["confirms"].fillna(frame[ID]).astype(int).astype(str)
    if record.get("seeds") is not None:
        frame["configuration"] = "all"
    return frame.sort_values(ID, ignore_index=True)


def _row(run: Run, names: Sequence[str]) -> dict[str, Any]:
    tags = {key.removeprefix(TAG_PREFIX): value for key, value in run.data.tags.items() if key.startswith(TAG_PREFIX)}
    ended = run.info.end_time
    params = {column_of(words.from_mlflow(name)): text for name, text in run.data.params.items()}
    return {
        **{name: text if name in names else typed(text) for name, text in params.items()},
        **{words.from_mlflow(name): value for name, value in run.data.metrics.items()},
        **tags,
        RUN: run.info.run_id,
        "run_name": run.info.run_name,
        "duration_s": (ended - run.info.start_time) / 1000 if ended else None,
    }


def _rendered(names: Iterable[str]) -> list[str]:
    """The columns of the settings in the names of renderings, such as `phase=zero, magnitude=own`."""
    return list(dict.fromkeys(column_of(part.partition("=")[0]) for name in names for part in name.split(", ")))


def as_text(value: Any) -> str:
    """A value of the sweep's record as MLflow's params have it."""
    return value if isinstance(value, str) else json.dumps(value)


def typed(text: str) -> Any:
    """A param as YAML would have it: a number or a truth where it reads as one."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text
