"""The results of a sweep as data frames, read from its folder; neither MLflow nor Ray is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UserError
from orchestrator.messages import suggest_name
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.state.home import find_home
from orchestrator.state.paths import MEDIA, trial_folder
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

TRIAL, EPOCH = "trial", "epoch"


def load(name: str | None = None, home: Path | str | None = None) -> Results:
    """Return the results of a sweep, also while it runs; they stay as they are at this moment.

    Args:
        name: the sweep; None for the one that ran last.
        home: the folder of all sweeps; by default `ORCHESTRATE_HOME`, else `runs` in the current folder.

    Raises:
        UserError: there is no such sweep, or it has not started yet.
    """
    return Results(read_snapshot(find_home(None if home is None else Path(home)), name))


class Results:
    """The trials of a sweep at one moment.

    Attributes:
        name: the name of the sweep.
        state: `running`, `paused`, `finished`, `interrupted` or `failed`.
        metric: the metric that orders trials.
        mode: the direction in which it is better, `min` or `max`.
        modes: the modes of all objectives by metric, that one first.
        trials: a row for each trial.
        curves: a row for each epoch of each trial.
        recordings: a row for each recording of the test split and each trial that was evaluated on it.
        best: a row for each arm: its best trial.
        front: with several objectives, a row for each trial that no other of its arm dominates.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; frames are made when they are first used.

        Args:
            snapshot: the state of the sweep.
        """
        self._snapshot = snapshot
        self.name = snapshot.name
        self.state = snapshot.state
        self.metric = snapshot.objective.metric
        self.mode = snapshot.objective.mode
        self.modes = snapshot.objective.modes

    def __repr__(self) -> str:
        count = words.amount(len(self._snapshot.ledger.trials), "trial")
        return f"<Results of {self.name!r}: {self.state}, {count}, {self.mode} {self.metric}>"

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial, by its number: where it belongs, how it ended, its settings and its metrics.

        A metric is that of the trial's best epoch by the objective; those with `test/` come from the test split. A
        setting that has the name of another column is called `seed (setting)`.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        settings, metrics, tests = set[str](), set[str](), set[str]()
        front_column = [words.FRONT] if self._snapshot.objective.beside else []
        places = self._snapshot.ledger.front_places()
        for trial in self._snapshot.ledger.trials.values():
            row = _make_row(trial, self._snapshot.state_of(trial))
            row |= {words.FRONT: trial.front_place(places)} if front_column else {}
            chosen = {words.setting_column(name): value for name, value in trial.params.items()}
            best_row = trial.curve.best_row
            at_best = best_row["metrics"] if best_row else {}
            for names, part in ((settings, chosen), (metrics, at_best), (tests, trial.test)):
                names.update(part)
            rows.append(row | chosen | at_best | trial.test)
        columns = [*words.TRIAL_COLUMNS, *front_column, *sorted(settings), *sorted(metrics), *sorted(tests)]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([TRIAL, *columns]))).set_index(TRIAL)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row for each epoch of each trial: `trial`, `arm`, `epoch` and all metrics."""
        import pandas as pd

        ledger = self._snapshot.ledger
        rows = [
            {TRIAL: trial.number, "arm": trial.arm, EPOCH: row["epoch"], **row["metrics"]}
            for trial in ledger.trials.values()
            for row in ledger.read_rows(trial)
        ]
        keys = [TRIAL, "arm", EPOCH]
        metrics = {name for row in rows for name in row if name not in keys}
        return pd.DataFrame(rows, columns=[*keys, *sorted(metrics)])

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """A row for each trial that was evaluated on the test split, and each recording or example: its scores."""
        import pandas as pd

        tables = []
        for trial in self._snapshot.ledger.trials.values():
            folder = trial_folder(self._snapshot.ledger.folder, trial.number)
            paths = [place / words.ARTIFACT_PER_RECORDING for place in (folder / MEDIA / "best", folder)]
            path = next(filter(Path.exists, paths), None)
            if trial.test and path is not None:
                table: pd.DataFrame = pd.read_csv(path, **words.TABLE_OPTIONS)
                tables.append(table.assign(trial=trial.number, arm=trial.arm))
        if not tables:
            return pd.DataFrame(columns=[TRIAL, "arm"])
        joined = pd.concat(tables, ignore_index=True)
        return joined[[TRIAL, "arm", *(name for name in joined if name not in (TRIAL, "arm"))]]

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best trial of each arm's search, by the arm: its number, its outcome, the objective, its parameters.

        As long as no trial of an arm has trained to the end, a pruned or an unfinished one counts; `outcome` says so.
        """
        import pandas as pd

        rows = []
        for best in self._snapshot.ledger.best_trials():
            row = {
                "arm": best.arm,
                TRIAL: best.number,
                "outcome": self._snapshot.state_of(best),
                self.metric: best.best_value,
            }
            rows.append(row | _name_settings(best.searched, row))
        columns = list(dict.fromkeys(["arm", TRIAL, "outcome", self.metric, *(name for row in rows for name in row)]))
        return pd.DataFrame(rows, columns=columns).set_index("arm")

    @cached_property
    def front(self) -> pd.DataFrame:
        """The trials on the front of their arm, by their number: arm, outcome, all objectives, searched parameters.

        `front` is `sweep` where no trial of any arm dominates it, else `arm`. The best by the objective
        that orders trials come first. A search space with a single objective has no front: the frame is empty.
        """
        import pandas as pd

        ledger = self._snapshot.ledger
        rows = []
        for number, place in ledger.front_places().items():
            trial = ledger.trials[number]
            row = {TRIAL: number, "arm": trial.arm, words.FRONT: place, "outcome": self._snapshot.state_of(trial)}
            best_row = trial.curve.best_row or {"metrics": {}}
            row |= {name: best_row["metrics"][name] for name in self.modes}
            rows.append(row | _name_settings(trial.searched, row))
        columns = [TRIAL, "arm", words.FRONT, "outcome", *self.modes, *(name for row in rows for name in row)]
        return pd.DataFrame(rows, columns=list(dict.fromkeys(columns))).set_index(TRIAL)

    def plot(self, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw a metric over the epochs: a thin line for each trial, a thick one for the best of each arm.

        Args:
            metric: a column of `curves`; by default the objective.
            ax: where to draw; by default a new figure.

        Returns:
            The axes, to change or save them: `results.plot().figure.savefig("curves.png")`.

        Raises:
            UserError: no trial has reported the metric.
        """
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        metric = metric or self.metric
        if metric not in self.curves:
            reported = {str(column): "" for column in self.curves.columns[3:]}
            names = suggest_name(metric, reported, "reported are", "results.curves.columns[3:]")
            raise UserError(f"no trial of {self.name} has reported {metric!r}{names}")
        if ax is None:
            ax = plt.subplots(layout="constrained")[1]
        best_numbers = set(self.best[TRIAL])
        colors: dict[str, str] = {}
        for (number, arm), curve in self.curves.groupby([TRIAL, "arm"], sort=False):
            color = colors.setdefault(str(arm), f"C{len(colors)}")
            is_best = number in best_numbers
            ax.plot(
                curve[EPOCH],
                curve[metric],
                color=color,
                linewidth=2 if is_best else 0.8,
                alpha=1 if is_best else 0.35,
                marker="." if len(curve) == 1 else None,
                label=f"{arm} (trial {number})" if is_best else None,
                zorder=3 if is_best else 2,
            )
        ax.set(xlabel="epoch", ylabel=metric, title=f"{self.name}: every trial; thick: the best of each arm")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best_numbers:
            ax.legend()
        return ax


def _make_row(trial: Trial, state: str) -> dict[str, Any]:
    """Return `words.TRIAL_COLUMNS` of a trial; `state` is its outcome, or what it does without one."""
    best_row = trial.curve.best_row
    return {
        TRIAL: trial.number,
        "arm": trial.arm,
        "stage": trial.stage,
        "source": trial.source,
        "outcome": state,
        "cause": trial.cause,
        "seed": trial.seed,
        "epochs": trial.epochs,
        "best_epoch": best_row["epoch"] if best_row else None,
        "seconds": trial.curve.trained_s,
    }


def _name_settings(settings: Mapping[str, Any], taken: Iterable[str]) -> dict[str, Any]:
    """Return settings by the names of their columns, which differ from the columns that are taken."""
    return {f"{name} (setting)" if name in taken else name: value for name, value in settings.items()}
