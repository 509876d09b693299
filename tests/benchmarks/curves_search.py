"""Searches through recorded learning curves: how soon each sampler with each kind of pruning finds the best of an arm.

`curves` reads the recordings, and prints the table. In each search a sampler suggests a point of the arm's range, and
the nearest recorded configuration that has not answered yet answers with its curve. The range is the smallest box with
all recorded configurations of the arm, in logarithms. Ours are searches through the real ledger, agenda, studies and
pruning; nothing is written to a disk. `curves_peers` has the searches of Optuna and Ray alone.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from orchestrator.policy.agenda import Agenda
from orchestrator.policy.pruning import Rungs
from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger

METRIC = "val/score"
NEAR = 0.002
"""How close to the best recorded value a search has to come."""
BUDGET = 0.25
"""The share of the epochs of the full grid after which the regret is measured."""


class Grid:
    """The recorded configurations of one arm.

    Attributes:
        mode: which way the objective is better.
        bounds: the smallest and the largest value of each parameter, by name.
        points: the configurations between these bounds in logarithms, of shape (configurations, parameters).
        values: the objective, of shape (configurations, epochs).
        best: the best of these values.
    """

    def __init__(
        self, mode: str, configurations: Sequence[Mapping[str, float]], curves: Sequence[Sequence[float]]
    ) -> None:
        """Arrange what was recorded.

        Args:
            mode: which way the objective is better.
            configurations: the searched parameters of each configuration; all have the same, and all are positive.
            curves: the objective in every epoch of each one.
        """
        self.mode = mode
        names = list(configurations[0])
        params = np.array([[configuration[name] for name in names] for configuration in configurations])
        self._low, self._high = params.min(axis=0), params.max(axis=0)
        self.bounds = {name: (float(self._low[index]), float(self._high[index])) for index, name in enumerate(names)}
        self.points = self._normalize(params)
        self.values = np.array(curves)
        self.best = float(np.nanmax(self.values) if mode == "max" else np.nanmin(self.values))

    def _normalize(self, params: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(params / self._low) / np.log(self._high / self._low))

    def distances(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return how far each configuration is from a point, of shape (configurations,)."""
        point = self._normalize(np.array([float(params[name]) for name in self.bounds]))
        return np.asarray(np.linalg.norm(self.points - point, axis=1))


class Trainings:
    """The trainings of one search, each with the recorded curve of a configuration that no other of them has.

    Attributes:
        grid: the recorded configurations.
        num_epochs: the epochs so far.
        found_after: the epochs after which a value came close to the best recorded one; None if none has.
        regret: the difference between the best recorded value and the best one that was seen within the budget.
    """

    def __init__(self, grid: Grid) -> None:
        """Begin without trainings.

        Args:
            grid: the recorded configurations.
        """
        self.grid = grid
        self.num_epochs = 0
        self.found_after: int | None = None
        self.regret = float("inf")
        self._is_used = np.zeros(len(grid.values), dtype=bool)

    def begin(self, params: Mapping[str, Any]) -> int:
        """Return the configuration, of those that no training has, that is nearest to the suggested parameters."""
        index = int(np.where(self._is_used, np.inf, self.grid.distances(params)).argmin())
        self._is_used[index] = True
        return index

    def train(self, index: int, epoch: int) -> float:
        """Return the objective of a configuration in an epoch, which is counted."""
        value = float(self.grid.values[index, epoch - 1])
        self.num_epochs += 1
        regret = abs(self.grid.best - value)
        if self.num_epochs <= BUDGET * self.grid.values.size and regret < self.regret:
            self.regret = regret
        if self.found_after is None and regret <= NEAR:
            self.found_after = self.num_epochs
        return value

    @property
    def is_over(self) -> bool:
        """Whether more trainings would change nothing that is measured."""
        is_settled = self.regret == 0 or self.num_epochs >= BUDGET * self.grid.values.size
        return self.found_after is not None and is_settled

    @property
    def epochs_until_found(self) -> int:
        """The epochs until a value came close to the best; those of the full grid if the search ended before."""
        return self.grid.values.size if self.found_after is None else self.found_after


def read_sweep(grid: Grid, sampler: str, pruning: Any, startup_trials: int) -> Sweep:
    """Return the sweep that searches one arm; its seed is 0."""
    space = {
        # The command names the parameters; it never runs.
        "trainable": {"command": " ".join(["true", *(f"{{{name}}}" for name in grid.bounds)])},
        "objective": {"metric": METRIC, "mode": grid.mode},
        "params": {name: {"loguniform": list(bounds)} for name, bounds in grid.bounds.items()},
        "search": {"sampler": sampler, "startup_trials": startup_trials},
        "budget": dict(zip(("trials_per_arm", "max_epochs"), grid.values.shape, strict=True)),
        "pruning": pruning,
    }
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "space.yaml"
        with path.open("w") as file:
            YAML(typ="safe", pure=True).dump(space, file)
        return read_search_space(path)


def search(grid: Grid, sweep: Sweep, seed: int) -> Trainings:
    """Search one arm with the real ledger, agenda, studies and pruning, one trial at a time."""
    sweep = dataclasses.replace(sweep, space=sweep.space.model_copy(update={"seed": seed}))
    trainings = Trainings(grid)
    indices: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as name:
        ledger = Ledger(Path(name), Objective.of(sweep.space))
        # Its events stay in memory.
        ledger.hold()
        agenda = Agenda(sweep, ledger, evaluates=False)
        rungs = Rungs(sweep, ledger, agenda.promotion)
        while not trainings.is_over and (task := agenda.next_task(set())) is not None:
            trial = task.trial
            if trial.number not in indices:
                indices[trial.number] = trainings.begin(trial.params)
            has_ended = False
            while not has_ended:
                metrics = {METRIC: trainings.train(indices[trial.number], trial.epochs + 1)}
                row = {"epoch": trial.epochs + 1, "ts": trainings.num_epochs, "attempt": 1, "metrics": metrics}
                ledger.report(trial, row)
                has_ended = rungs.decide(ledger, trial)
    return trainings
