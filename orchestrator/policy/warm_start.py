"""`warm_start`: what a study learns from the trials of other sweeps before it has any of its own.

The trials are copied into the sweep log at the first start, so that a later start suggests the same although the other
sweep continues, changes or is deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.plugins.loader import config_values
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.reader import Sweep, read_stored
from orchestrator.search_space.sampler_choice import contains
from orchestrator.search_space.scalars import Value
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.events.sweep import Warmed
from orchestrator.state.home import find_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import PARAMETER_CAUSES, RANKED, Trial
from reports import vocabulary as words

OTHER_SETTINGS, OTHER_CODE = "of other settings or ranges", "of other code"
UNFINISHED, OTHER_EPOCHS = "without a result", "of another max_epochs"


class WarmStart:
    """The trials of other sweeps that a sweep begins with; none once it has trials of its own.

    Attributes:
        events: what the sweep log gets at the first start.
        lines: for each of the other sweeps, how its trials are used.
    """

    def __init__(self, sweep: Sweep, home: Path, ledger: Ledger, code: str | None) -> None:
        """Choose the trials that fit.

        Args:
            sweep: the search space.
            home: the folder of all sweeps.
            ledger: the state of the sweep.
            code: the fingerprint of the current code; None if it is not known, as in a plan.

        Raises:
            UserError: another sweep can't be used at all.
        """
        self.events: list[Warmed] = []
        self.lines: list[str] = []
        self._others: dict[str, Mapping[str, Any]] = {}
        """The record of the last start of each other sweep."""
        if not ledger.trials:
            for name in sweep.space.warm_start:
                if name not in ledger.warm_sweeps:
                    self._choose(sweep, home, ledger, code, name)

    def _choose(self, sweep: Sweep, home: Path, ledger: Ledger, code: str | None, name: str) -> None:
        where = f"{sweep.path}: warm_start"
        if name == sweep.name:
            raise UserError(f"{where}: {name} is this sweep itself; name others, which have ended trials")
        try:
            folder = find_sweep(home, name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        other_sweep = read_stored(folder)
        other = Ledger(folder, read_only=True)
        self._others[name] = other.started
        _check_kind(f"{where}: {name}", sweep, other_sweep, other)
        records: list[Mapping[str, Any]] = []
        left_out: Counter[str] = Counter()
        trials = [trial for trial in other.trials.values() if trial.stage == words.STAGE_SEARCH]
        for trial in trials:
            matches, reason = _match(sweep, ledger, other, trial, code)
            records += [_make_record(arm, trial, searched, other.objective) for arm, searched in matches.items()]
            left_out.update([reason] if reason else [])
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        if not records:
            raise UserError(f"{where}: {name}: none of its {len(trials)} trials fits ({reasons}); leave it out")
        by_arm = Counter(record["arm"] for record in records)
        counts = "; ".join(f"{arm.name} {by_arm[arm.name]}" for arm in sweep.arms)
        rest = f"; left out: {reasons}" if reasons else ""
        self.lines.append(
            f"warm_start: {len(trials) - left_out.total()} of {len(trials)} trials of {name} fit ({counts}){rest}"
        )
        self.events.append(Warmed(sweep=name, trials=records))

    def check_comparable(self, sweep: Sweep, judge: str | None, corpus_fingerprint: str | None) -> None:
        """Check that the other sweeps had this judge and this corpus.

        Args:
            sweep: the search space.
            judge: the id of the judge; None without a judge.
            corpus_fingerprint: None without a corpus.

        Raises:
            UserError: a sweep had others, so that its values can't be compared with those of this one.
        """
        for name, record in self._others.items():
            other_corpus = (record["corpus"] or {}).get("fingerprint")
            pairs = (("corpus", other_corpus, corpus_fingerprint), ("judge", record["judge"], judge))
            for kind, other, own in pairs:
                if other != own:
                    difference = f"{other or f'no {kind}'}, here it is {own or f'no {kind}'}"
                    raise UserError(
                        f"{sweep.path}: warm_start: {name} had another {kind} ({difference}): its values can't be "
                        "compared; leave it out"
                    )

    def write(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        """Write the trials to the sweep log, and print a line for each of the other sweeps."""
        for event, line in zip(self.events, self.lines, strict=True):
            ledger.write(event)
            say(line)


def _check_kind(where: str, sweep: Sweep, other_sweep: Sweep, other: Ledger) -> None:
    """Check that another sweep has the trainable and the objective of this one.

    Raises:
        UserError: it has not.
    """
    names = [declaration.class_name() for declaration in (other_sweep.declaration, sweep.declaration)]
    is_command = not isinstance(sweep.space.trainable, str)
    if names[0] != names[1] or (is_command and sweep.space.trainable != other_sweep.space.trainable):
        kind = "another command" if names[0] == names[1] else f"the trainable {names[0]} and not {names[1]}"
        raise UserError(f"{where} has {kind}; leave it out")
    before = {**other.started["objective"], "at": other.started.get("at", {})}
    now = {**Objective.of(sweep.space).to_record(), "at": sweep.space.objective.at}
    if before != now:
        texts = [f"{objective['mode']} {objective['metric']}" for objective in (before, now)]
        difference = (
            f"{texts[0]} and not {texts[1]}"
            if texts[0] != texts[1]
            else "other constraints, renderings or further objectives"
        )
        raise UserError(f"{where} has another objective ({difference}); leave it out")


def _match(
    sweep: Sweep, ledger: Ledger, other: Ledger, trial: Trial, code: str | None
) -> tuple[dict[str, dict[str, Value]], str]:
    """Return the searched values of a trial of another sweep for each arm that it fits, and why it fits none."""
    has_result = trial.outcome in RANKED and (trial.best_value is not None or bool(other.objective.constraints))
    is_due_to_parameters = trial.outcome == words.OUTCOME_DIVERGED or trial.cause in PARAMETER_CAUSES
    if trial.outcome is None or not (has_result or is_due_to_parameters):
        return {}, UNFINISHED
    if code is not None and set(trial.codes) != {code}:
        return {}, OTHER_CODE
    matches = {arm.name: match_arm(sweep, arm, trial.params) for arm in sweep.arms}
    fitting = {name: searched for name, searched in matches.items() if searched is not None}
    if not fitting:
        return {}, OTHER_SETTINGS
    epochs = other.started["arms"].get(trial.arm, {}).get("epochs")
    budget = Budget(sweep, ledger)
    fitting = {name: searched for name, searched in fitting.items() if budget.epochs(name) == epochs}
    return fitting, "" if fitting else OTHER_EPOCHS


def match_arm(sweep: Sweep, arm: Arm, params: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return the searched values with which an arm has the same settings as a trial of another sweep; None if none has.

    All settings are compared, also those that one of the search spaces does not name.

    Args:
        sweep: the search space of the arm.
        arm: the arm.
        params: all parameters of the trial.
    """
    config_class = sweep.declaration.Config
    try:
        config = config_class(**config_values(sweep.declaration, params))
        values = {**config.model_dump(), **params}
        searched = arm.draw(lambda name, domain: values[name])
        settings = {**arm.compared, **arm.fixed, **searched}
        is_same = config_class(**config_values(sweep.declaration, settings)) == config
    except (ValueError, KeyError):
        return None
    return searched if is_same and all(contains(arm.searched[name], searched[name]) for name in searched) else None


def _make_record(arm: str, trial: Trial, searched: Mapping[str, Value], objective: Objective) -> dict[str, Any]:
    """Return a trial as the sweep log of another sweep keeps it; JSON has no NaN."""
    values = [None if value != value else value for value in trial.curve.values()]
    outcome = {"outcome": trial.outcome, "cause": trial.cause, "values": values}
    record = {"arm": arm, "number": trial.number, "searched": dict(searched), **outcome}
    row = trial.curve.best_row
    if objective.beside and row is not None and objective.point_of(row) is not None:
        record["at_best"] = {name: row["metrics"][name] for name in objective.modes}
    return record
