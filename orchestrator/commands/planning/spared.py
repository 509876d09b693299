"""How many trials of a plan are not trained, because a sweep of the home has trained equal ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.driver.tasks import make_spec
from orchestrator.errors import UserError
from orchestrator.policy.reuse import can_link, find_trained, has_keys
from orchestrator.policy.trial_key import hash_configuration
from orchestrator.policy.user_trials import WantedTrials, complete
from orchestrator.search_space.sampler import GRID
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Arm, Sweep
    from orchestrator.search_space.scalars import Value


def describe_spared(sweep: Sweep, home: Path, num_warm: Mapping[str, int]) -> Iterator[str]:
    """Yield a line about the trials that are reused from other sweeps; none if there are none.

    Args:
        sweep: the search space.
        home: the folder of all sweeps.
        num_warm: by arm, the number of trials of other sweeps from which its sampler learns.
    """
    ledger = Ledger(home / sweep.name, read_only=True)
    # The points take a second to compute.
    if ledger.trials or not can_link(sweep.space) or not has_keys(home, sweep.name):
        return
    configurations: Counter[str] = Counter()
    num_unknown = 0
    for arm in sweep.arms:
        for index, searched in enumerate(_foresee_points(sweep, arm, ledger, num_warm.get(arm.name, 0))):
            if searched is None:
                num_unknown += 1
            else:
                configurations[_hash_trial(sweep, home, arm, index, searched)] += 1
    trained = find_trained(home, sweep.name, lambda key: key.split("-")[0] in configurations)
    origins = {key.split("-")[0]: entries[0].sweep for key, entries in trained.items()}
    by_sweep: Counter[str] = Counter()
    for configuration, name in origins.items():
        by_sweep[name] += configurations[configuration]
    if not by_sweep:
        return
    num_spared, num_trials = by_sweep.total(), configurations.total() + num_unknown
    counts = ", ".join(f"{name} {count}" for name, count in by_sweep.items())
    epochs = words.amount(num_spared * sweep.space.budget.max_epochs, "epoch")
    unknown = f"; whether one of the {num_unknown} that depend on results was, is not known yet" if num_unknown else ""
    yield (
        f"{num_spared} of {words.amount(num_trials, 'trial')} of the search were trained before ({counts}) and are "
        f"reused: {epochs} spared, unless code, packages, corpus, judges or CPU have changed{unknown}"
    )


def _foresee_points(sweep: Sweep, arm: Arm, ledger: Ledger, num_warm: int) -> Iterator[dict[str, Value] | None]:
    """Yield the searched values of each trial of an arm's search; None where they will depend on results."""
    # It imports SciPy.
    from orchestrator.policy.without_results import propose_without_results

    wanted_trials = WantedTrials(sweep, ledger)
    used: list[dict[str, Value]] = []
    for index in range(sweep.space.budget.trials):
        wanted, _ = wanted_trials.next_for(arm, index)
        if arm.searched.keys() <= wanted.keys():
            yield complete(arm, wanted, {})
            continue
        proposal = propose_without_results(sweep, arm, index, used, num_warm)
        if proposal is None:
            yield None
            continue
        searched, source = proposal
        used += [searched] if source == GRID and not wanted else []
        yield complete(arm, wanted, searched)


def _hash_trial(sweep: Sweep, home: Path, arm: Arm, index: int, searched: Mapping[str, Value]) -> str:
    """Return the hash of the configuration of a trial; empty if it names a trained model that is not there."""
    from orchestrator.policy.without_results import search_seed

    params = {**arm.compared, **arm.fixed, **searched}
    seed = search_seed(sweep, index)
    trial = Trial(index + 1, arm.name, index, "search", "", None, seed, arm.compared, dict(searched), params)
    try:
        spec = make_spec(sweep, home, trial, gpu=0, threads=1)
    except UserError:
        return ""
    return hash_configuration(replace(spec, max_epochs=sweep.space.budget.max_epochs), sweep.declaration)
