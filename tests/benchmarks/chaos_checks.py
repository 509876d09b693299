"""What must hold of a sweep after everything that happened to it, counted from its files and from MLflow's database."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.driver.tasks import Tasks
from orchestrator.search_space.reader import Sweep
from orchestrator.state.curve import Objective
from orchestrator.state.events.trials import Decided, Ended
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from orchestrator.storage.json_lines import Line
from reports import vocabulary as words


@dataclass
class Verdict:
    """Figures in the order in which they are printed; those that must be 0 or true are told apart by `is_kept`."""

    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def count(self, name: str, found: int, allowed: int = 0) -> None:
        self.figures[name] = found
        if found > allowed:
            self.wrong.append(f"{name}: {found}")

    def equal(self, name: str, differences: list[str]) -> None:
        self.figures[name] = "equal" if not differences else f"{len(differences)} differ"
        self.wrong.extend(f"{name}: {each}" for each in differences[:3])


def untimed(row: Line) -> dict[str, float]:
    """What an epoch measured, but for the clock."""
    return {name: value for name, value in row["metrics"].items() if not name.startswith("time/")}


def check_trials(verdict: Verdict, ledger: Ledger, wanted: int) -> None:
    """None lost, none twice, all ended."""
    trials = ledger.trials.values()
    verdict.count("trials lost", wanted - sum(trial.outcome is not None for trial in trials))
    places = Counter((trial.arm, trial.stage, trial.index) for trial in trials)
    verdict.count("trials duplicated", sum(count - 1 for count in places.values()))
    gaps = [
        trial
        for trial in trials
        if [row["epoch"] for row in ledger.read_rows(trial)] != list(range(1, trial.epochs + 1))
    ]
    verdict.count("trials with an epoch missing or twice", len(gaps))


def check_mlflow(verdict: Verdict, ledger: Ledger, database: Path) -> None:
    """One run a trial, none left running, every point once."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        runs = connection.execute(
            "SELECT r.run_uuid, r.status, t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
            "WHERE t.key = ? AND r.lifecycle_stage = 'active'",
            (words.TAG_TRIAL,),
        ).fetchall()
        points = Counter(connection.execute("SELECT run_uuid, key, step FROM metrics").fetchall())
        parents = connection.execute(
            "SELECT r.status FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
            "WHERE t.key = ? AND t.value = ? AND r.lifecycle_stage = 'active'",
            (words.TAG_ROLE, words.ROLE_SWEEP),
        ).fetchall()
    of_trial = Counter(int(number) for _, _, number in runs)
    verdict.figures["MLflow runs per trial"] = f"{len(runs)} for {len(ledger.trials)}"
    verdict.count("trials without exactly one MLflow run", sum(of_trial[number] != 1 for number in ledger.trials))
    verdict.count("runs left RUNNING", sum(status == "RUNNING" for _, status, _ in runs))
    verdict.equal("the sweep's own run and one that finished", [] if parents == [("FINISHED",)] else [str(parents)])
    run_of = {int(number): run for run, _, number in runs}
    expected = {
        (run_of.get(trial.number), key, row["epoch"])
        for trial in ledger.trials.values()
        for row in ledger.read_rows(trial)
        for key in row["metrics"]
    }
    verdict.count("points missing", len(expected - points.keys()))
    own = set(run_of.values())
    verdict.count("points duplicated", sum(count - 1 for point, count in points.items() if point[0] in own))


def check_executed(verdict: Verdict, ledger: Ledger, executed: Path, kills: int, at_once: int) -> None:
    """Epochs that were begun more often than they were recorded."""
    begun = executed.read_text().count("\n")
    again = begun - sum(trial.epochs for trial in ledger.trials.values())
    verdict.figures["epochs recorded"] = begun - again
    verdict.count("epochs executed again", again, allowed=kills * at_once)


def check_same(verdict: Verdict, sweep: Sweep, ledger: Ledger, reference: Ledger) -> None:
    """Everything as in a sweep that nothing happened to."""
    pairs = [(ledger.trials.get(number), reference.trials.get(number)) for number in reference.trials]
    compared: dict[str, Callable[[Ledger, Trial], object]] = {
        "suggestions": lambda _, trial: (trial.arm, trial.source, trial.seed, params(trial)),
        "trial states": lambda _, trial: (trial.outcome, trial.cause, trial.epochs),
        "metrics of every epoch": lambda owner, trial: [untimed(row) for row in owner.read_rows(trial)],
    }
    for name, of in compared.items():
        verdict.equal(
            name, [f"trial {b.number}" for a, b in pairs if b and (a is None or of(ledger, a) != of(reference, b))]
        )
    here, there = (_replay(sweep, each)[0] for each in (ledger, reference))
    keys = sorted(here.keys() | there.keys())
    wrong = [f"{arm} at epoch {epoch}" for arm, epoch in keys if here.get((arm, epoch)) != there.get((arm, epoch))]
    verdict.equal("rung tables", wrong)


def params(trial: Trial) -> dict[str, Any]:
    return {name: value for name, value in trial.params.items() if name != "executed"}


def check_rungs(verdict: Verdict, sweep: Sweep, ledger: Ledger) -> None:
    """Each report, in the order in which it was judged, got the decision that ASHA gives it."""
    verdict.equal("rungs and a replay of the reports", _replay(sweep, ledger)[1])


def check_renderings(verdict: Verdict, ledger: Ledger, reference: Ledger) -> None:
    """Every ended trial was evaluated, from the same best epoch, to the same sounds."""
    differences = []
    for number in reference.trials:
        told = (trial_folder(each.folder, number) / "media" / "best" / "clips.json" for each in (ledger, reference))
        here, there = (path.read_text() if path.exists() else None for path in told)
        if here != there:
            differences.append(f"trial {number}")
    verdict.equal("renderings of the best epoch", differences)


Rungs = dict[tuple[str, int], list[float]]
"""By arm and epoch, the values in the order in which they came."""


def _replay(sweep: Sweep, ledger: Ledger) -> tuple[Rungs, list[str]]:
    """ASHA, written down once more: its rungs, and the reports to which the sweep gave another answer."""
    pruning, objective = sweep.space.pruning, Objective.of(sweep.space)
    assert pruning is not None
    sign = 1 if objective.mode == "max" else -1
    budget = sweep.space.budget.max_epochs
    milestones = [pruning.grace_epochs * pruning.reduction_factor**k for k in range(20)]
    rungs: Rungs = {}
    differences = []
    judged: set[tuple[int, int]] = set()
    for event in ledger.read_events():
        if not isinstance(event, Decided | Ended) or (event.trial, event.epochs) in judged:
            continue
        trial, epoch = ledger.trials[event.trial], event.epochs
        judged.add((trial.number, epoch))
        stops = False
        if epoch in milestones and epoch < budget:
            best = max(sign * row["metrics"][objective.metric] for row in ledger.read_rows(trial)[:epoch])
            rung = rungs.setdefault((trial.arm, epoch), [])
            stops = bool(rung) and best < np.nanpercentile(rung, (1 - 1 / pruning.reduction_factor) * 100)
            rung.append(best)
        is_stopped = isinstance(event, Ended) and event.outcome == words.OUTCOME_PRUNED
        if stops != is_stopped:
            differences.append(f"trial {trial.number} at epoch {epoch}")
    return rungs, differences


def check_alone(verdict: Verdict, sweep: Sweep, ledger: Ledger, home: Path, capacity: Any) -> None:
    """Every trial once more, alone and undisturbed, from its parameters and seed."""
    from orchestrator.policy.agenda import Task
    from orchestrator.worker.attempt import TrialRun
    from orchestrator.worker.spec import TrialSpec

    tasks = Tasks(sweep, home, capacity)
    differences = []
    for trial in ledger.trials.values():
        folder = home / "alone" / f"{trial.number}"
        spec = tasks.make_config(Task("train", trial))["spec"] | {"folder": str(folder), "since": 1, "known": 0}
        run = TrialRun(TrialSpec(**spec))
        rows = [run.step() for _ in range(trial.epochs)]
        run.close()
        if [untimed(row) for row in rows] != [untimed(row) for row in ledger.read_rows(trial)]:
            differences.append(f"trial {trial.number}")
        shutil.rmtree(folder)
    verdict.equal("each trial and the same run alone", differences)
