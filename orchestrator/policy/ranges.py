"""Ranges of searched parameters that were changed when a sweep was resumed, and the trials that lie outside of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.search_space.arms import Arm
from orchestrator.search_space.domains import Domain, QUniform, Uniform
from orchestrator.search_space.sampler_choice import contains
from orchestrator.search_space.sweep import Sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

LEFT_OUT = "outside of it, for tables and reports, but for no sampler"


def is_inside(arm: Arm, trial: Trial) -> bool:
    """Return whether a trial could have been proposed in an arm as its ranges are now."""
    return all(name in arm.searched and contains(arm.searched[name], value) for name, value in trial.searched.items())


def cover_trials(arm: Arm, trials: Sequence[Trial]) -> dict[str, Domain]:
    """Return the domains of an arm's parameters, widened to the values of its trials."""
    domains = dict(arm.searched)
    for trial in trials:
        for name, value in trial.searched.items():
            domain = domains.get(name)
            if domain is None or contains(domain, value) or not isinstance(value, int | float):
                continue
            # The values of another step are on no common grid.
            form = Uniform if isinstance(domain, QUniform) else type(domain)
            bounds = sorted([value, *(edge for edge in domain.edges() if isinstance(edge, int | float))])
            domains[name] = form.parse([bounds[0], bounds[-1]]) or domain
    return domains


def describe_changes(sweep: Sweep, ledger: Ledger) -> list[str]:
    """Return a line for each range that differs from that at the last start, with the trials that it leaves out."""
    arms_before = ledger.started.get("arms", {})
    changes: dict[str, list[Arm]] = {}
    for arm in sweep.arms:
        before = arms_before.get(arm.name, {}).get("searched", {})
        for name, domain in arm.searched.items():
            now = _describe({domain.kind: domain.edges()})
            if name in before and _describe(before[name]) != now:
                changes.setdefault(f"{name}: {_describe(before[name])} is now {now}", []).append(arm)
    lines = []
    for change, arms in changes.items():
        trials = [(arm, trial) for arm in arms for trial in ledger.of_arm(arm.name, words.STAGE_SEARCH)]
        num_outside = sum(not is_inside(arm, trial) for arm, trial in trials)
        rest = f"; {words.amount(num_outside, 'trial')} {LEFT_OUT}" if num_outside else ""
        of_arms = "" if len(arms) == len(sweep.arms) else f" in {'; '.join(arm.name for arm in arms)}"
        lines.append(f"{change}{of_arms}{rest}.")
    return lines


def _describe(domain: Mapping[str, Sequence[Any]]) -> str:
    """Return a domain of the sweep's record as text."""
    ((kind, edges),) = domain.items()
    return f"{kind} [{', '.join(f'{edge:g}' if isinstance(edge, float) else str(edge) for edge in edges)}]"
