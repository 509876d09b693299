"""The runs of a sweep as data frames, read from MLflow; the sweep's folder is not needed.

MLflow stores params as text. They are converted to the types that they had in YAML, except for the settings that are
compared: their levels stay texts. Of each metric the last value is used.
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
from reports.runs.artifacts import ArtifactError, download
from reports.runs.columns import TAG_PREFIX, column_of, rename_settings
from reports.runs.sweeps import choose, identity, name_of, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE_RUNS = 1000
READERS = 8
"""Threads that read from MLflow at once: it takes a request for each metric history and each artifact."""
ID, RUN = "trial", "run_id"


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep.

    Attributes:
        name: the sweep's name.
        run: its parent run.
        record: the sweep's own description (`words.ARTIFACT_SWEEP`); if that is missing, the part of it that the
            parent run has.
        trials: one row per trial, in the order of their numbers. Columns are tags (without the prefix `orchestrate.`),
            params, metrics, `duration_s` and `configuration`: the number of the trial that had this configuration
            first, or `all` if nothing was searched.
        renderings: the same for evaluations, with the column `rendering`.
        client: client of the MLflow that has the runs.
        notes: one line for each thing that is missing, for the report; readers of artifacts append to it.
        trial_runs: the runs of the trials, as MLflow has them.
    """

    name: str
    run: Run
    record: Mapping[str, Any]
    trials: pd.DataFrame
    renderings: pd.DataFrame
    client: MlflowClient = field(repr=False)
    notes: list[str] = field(default_factory=list)
    trial_runs: Sequence[Run] = field(default=(), repr=False)

    @property
    def metric(self) -> str:
        """The objective, such as `val/judge_probability`."""
        return str(self.record["objective"]["metric"])

    @property
    def mode(self) -> str:
        """The direction in which the objective is better, `min` or `max`."""
        return str(self.record["objective"]["mode"])

    @property
    def modes(self) -> dict[str, str]:
        """The modes of all objectives by metric; the first one orders the trials."""
        return {self.metric: self.mode, **self.record["objective"].get("beside", {})}

    @property
    def best_column(self) -> str:
        """The column of `trials` with the objective at the best epoch."""
        return words.best_name(self.metric)

    @property
    def unit(self) -> str:
        """The unit of a table of scores: a recording of the corpus, or an example of data without one."""
        return "recording" if self.run.data.tags.get(words.TAG_CORPUS) else "example"

    @property
    def factors(self) -> list[str]:
        """The compared settings, which are columns of `trials`."""
        return [str(name) for name in self.record["compare"]]

    @property
    def rendering_settings(self) -> list[str]:
        """The settings in which renderings of one model differ, which are columns of `renderings`."""
        return _rendering_settings(self.renderings["rendering"].dropna()) if "rendering" in self.renderings else []

    @cached_property
    def arms(self) -> list[str]:
        """The names of all arms, also of those without trials, in the order of the search space."""
        trial_arms = list(dict.fromkeys(self.trials["arm"])) if len(self.trials) else []
        return list(dict.fromkeys([*self.record.get("arms", {}), *trial_arms]))

    @property
    def has_fixed_arms(self) -> bool:
        """Whether nothing was searched: each arm is one configuration, trained from several seeds (`budget.seeds`)."""
        return self.record.get("seeds") is not None

    @property
    def search_trials(self) -> pd.DataFrame:
        """The trials of the search stage."""
        return self.trials[self.trials["stage"] == words.STAGE_SEARCH]

    @property
    def tested_trials(self) -> pd.DataFrame:
        """The trials that have metrics of the test split."""
        if not any(str(name).startswith(words.TEST_PREFIX) for name in self.trials):
            return self.trials.iloc[:0]
        tested = self.trials.filter(regex=f"^{words.TEST_PREFIX}").notna().any(axis=1)
        return self.trials[tested]

    def best_trials(self) -> pd.DataFrame:
        """Return the best completed trial of each arm's search, by the objective at the best epoch.

        Pruned trials don't count: they trained for fewer epochs, so their values can't be compared with full ones.
        """
        competing = self.search_trials[self.search_trials["outcome"] == words.OUTCOME_COMPLETED]
        if self.best_column not in competing or competing[self.best_column].isna().all():
            return competing.iloc[:0]
        # The earlier one of equal trials is first, as in `status`.
        ranked = competing.dropna(subset=[self.best_column]).sort_values(
            [self.best_column, ID], ascending=[self.mode == "min", True]
        )
        first = ranked.groupby("arm", sort=False).head(1).set_index("arm", drop=False)
        return first.loc[[arm for arm in self.arms if arm in first.index]]

    def read_histories(self, metrics: Sequence[str], trials: pd.DataFrame | None = None) -> pd.DataFrame:
        """Read the metric histories of some trials, or of all.

        Returns:
            One row per trial and epoch, with the columns `trial`, `arm`, `epoch` and the metrics.
        """
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

    def read_tables(self, name: str, runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """Yield the row of each run with its CSV artifact of this name; runs without one are noted and left out."""

        def read(row: dict[str, Any]) -> pd.DataFrame | None:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    path = download(self.client, row[RUN], name, folder)
                    table: pd.DataFrame = pd.read_csv(path, **words.TABLE_OPTIONS)
                # A file that is not a table is a ValueError of pandas.
                except (ArtifactError, ValueError):
                    return None
            return table

        with ThreadPoolExecutor(READERS) as pool:
            rows = [{str(key): value for key, value in row.items()} for row in runs.to_dict("records")]
            for row, table in zip(rows, pool.map(read, rows), strict=True):
                if table is None:
                    self.notes.append(f"trial {row[ID]}: its {name} is missing in MLflow")
                else:
                    yield row, table


def read_sweep(client: MlflowClient, sweep: str) -> SweepRuns:
    """Read a sweep by its name or, if several have that name, by its name and id (`vae@3fa9c1`).

    Raises:
        ReportError: there is none, or several have this name.
    """
    runs = list(_search(client, f"tags.`{words.TAG_ROLE}` = '{words.ROLE_SWEEP}'"))
    run = choose(client, runs, sweep)
    name = name_of(sweep)
    if run is None:
        names = sorted({listed.data.tags.get(words.TAG_SWEEP, "") for listed in runs})
        close = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; it holds {', '.join(names) or 'none'}"
        raise ReportError(f"sweep {name!r} is not in MLflow{hint}")
    notes: list[str] = []
    record = rename_settings(_load_record(client, run, notes))
    of_trials = f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}' AND tags.`{words.TAG_PARENT}` = '{run.info.run_id}'"
    of_renderings = (
        f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}' AND tags.`{words.TAG_SWEEP_ID}` = '{identity(run)}'"
    )
    trial_runs, rendering_runs = (
        list(_search(client, condition, run.info.experiment_id)) for condition in (of_trials, of_renderings)
    )
    trials, renderings = (_make_frame(runs, record) for runs in (trial_runs, rendering_runs))
    return SweepRuns(name, run, record, trials, renderings, client, notes, trial_runs)


def _load_record(client: MlflowClient, run: Run, notes: list[str]) -> dict[str, Any]:
    """Return a sweep's record or, if it is missing, what the parent run has of it."""
    record = read_record(client, run)
    if record is not None:
        return record
    notes.append(f"its {words.ARTIFACT_SWEEP} is missing in MLflow: no planned tests, no baselines, no ranges")
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
    """Yield all runs that satisfy a condition, in one experiment or in all, page by page."""
    experiments = [experiment] if experiment else [listed.experiment_id for listed in client.search_experiments()]
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, condition, max_results=PAGE_RUNS, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _make_frame(runs: Sequence[Run], record: Mapping[str, Any]) -> pd.DataFrame:
    """Return the data frame of some runs, one row each (see `SweepRuns`)."""
    if not runs:
        columns = [ID, RUN, "arm", "stage", "outcome", "cause", "reason", "epochs", "confirms", "configuration"]
        return pd.DataFrame(columns=columns)
    tags_of_runs = [run.data.tags for run in runs]
    settings = _rendering_settings(tags[words.TAG_RENDERING] for tags in tags_of_runs if words.TAG_RENDERING in tags)
    frame = pd.DataFrame([_make_row(run, [*record["compare"], *settings]) for run in runs])
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


def _make_row(run: Run, names: Sequence[str]) -> dict[str, Any]:
    """Return the row of a run; params with these names stay texts."""
    tags = {key.removeprefix(TAG_PREFIX): value for key, value in run.data.tags.items() if key.startswith(TAG_PREFIX)}
    ended = run.info.end_time
    params = {column_of(words.from_mlflow(name)): text for name, text in run.data.params.items()}
    return {
        **{name: text if name in names else parse_param(text) for name, text in params.items()},
        **{words.from_mlflow(name): value for name, value in run.data.metrics.items()},
        **tags,
        RUN: run.info.run_id,
        "run_name": run.info.run_name,
        "duration_s": (ended - run.info.start_time) / 1000 if ended else None,
    }


def _rendering_settings(names: Iterable[str]) -> list[str]:
    """Return the columns of the settings in names of renderings, such as `phase=zero, magnitude=own`."""
    settings = [part.partition("=")[0] for name in names for part in name.split(", ")]
    return list(dict.fromkeys(column_of(setting) for setting in settings))


def to_text(value: Any) -> str:
    """Return a value of the sweep's record as the text that MLflow's params have."""
    return value if isinstance(value, str) else json.dumps(value)


def parse_param(text: str) -> Any:
    """Return a param's value as a number or a bool if its text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text
