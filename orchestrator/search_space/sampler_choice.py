"""Which arms each sampler can search, and which sampler `auto` chooses for an arm."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.messages import Complain, KeyPath, quote_value, suggest_option
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.domains import Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform, is_number
from orchestrator.search_space.sampler import AUTO, CMAES, GP, GRID, TPE, WITHOUT_STARTUP, label_of
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.schema import SearchSpace

MAX_PARAMETERS_OF_GP = 10
MAX_TRIALS_OF_GP = 250
"""Up to here `auto` chooses the GP, whose time for one proposal grows with the cube of the trials of an arm."""
LEAST_TRIALS_OF_REGRET = 20
"""The fewest trials from which a model bounds the regret, as in Optuna's terminator."""
MAX_PARAMETERS_OF_REGRET = 4
"""With five, a bound from 20 trials is too small in one case of five (`tests/benchmarks/regret.py --trials 20`)."""
MAX_GRID = 100_000


@dataclass(frozen=True)
class SamplerChoice:
    """The sampler of one arm.

    Attributes:
        name: the sampler, never `auto`.
        why: why `auto` has chosen it; empty if the search space names it.
    """

    name: str
    why: str = ""


def choose_sampler(space: SearchSpace, arm: Arm) -> SamplerChoice:
    """Return the sampler of an arm from whose results nothing was proposed yet.

    `auto` follows OptunaHub's AutoSampler: a GP where parameters are few and numeric, TPE elsewhere. It looks at the
    search space only, so that `--trials` changes nothing. A larger `trials_per_arm` may: an arm that has begun with a
    sampler keeps it (`Studies`).
    """
    if space.search.sampler != AUTO:
        return SamplerChoice(space.search.sampler)
    if arm.when:
        return SamplerChoice(TPE, f"{', '.join(arm.when)} exists under a condition only")
    if choices := [name for name, domain in arm.searched.items() if isinstance(domain, Choice)]:
        return SamplerChoice(TPE, f"{', '.join(choices)} is a choice")
    if len(arm.searched) > MAX_PARAMETERS_OF_GP:
        return SamplerChoice(TPE, f"{len(arm.searched)} parameters are more than {MAX_PARAMETERS_OF_GP}")
    if space.budget.trials > MAX_TRIALS_OF_GP:
        return SamplerChoice(TPE, f"{space.budget.trials} trials an arm are more than {MAX_TRIALS_OF_GP}")
    return SamplerChoice(GP, "its parameters are few and numeric")


def check_search(space: SearchSpace, arms: Sequence[Arm], complain: Complain) -> None:
    """Check `trials`, `stop_when`, and that the sampler can search every arm; the first that it can't is reported.

    Args:
        space: the search space.
        arms: its arms; none if a mistake hides some of their parameters.
        complain: records a mistake.
    """
    if space.warm_start and space.objective.preference:
        complain(("warm_start",), "has values of a metric, which orders no trials here (objective.preference)")
    if space.warm_start and space.search.sampler in WITHOUT_STARTUP:
        complain(("warm_start",), f"teaches a sampler, and {space.search.sampler} learns from no trial; use tpe or gp")
    if space.budget.seeds is not None:
        own = (("trials", bool(space.trials)), ("warm_start", bool(space.warm_start)))
        for section, is_set in (*own, ("budget", space.budget.stop_when is not None)):
            if is_set:
                at: KeyPath = ("budget", "stop_when") if section == "budget" else (section,)
                complain(at, "is for a search, and budget.seeds searches nothing; needs budget.trials_per_arm")
        return
    _check_trials(space, arms, complain)
    _check_stop_when(space, arms, complain)
    for arm in arms:
        if arm.searched and (problem := _find_problem(space, arm)):
            complain(("search", "sampler"), problem)
            return


def _check_trials(space: SearchSpace, arms: Sequence[Arm], complain: Complain) -> None:
    """Check that some arm can train each of the user's own configurations, and that none gets too many."""
    if not arms:
        return
    counts = dict.fromkeys((arm.name for arm in arms), 0)
    for index, wanted in enumerate(space.trials):
        try:
            matches = match_arms(arms, wanted)
        except ValueError as error:
            complain(("trials", index), str(error))
            continue
        for name in matches:
            counts[name] += 1
    crowded = [name for name, count in counts.items() if count > space.budget.trials]
    if crowded:
        message = f"has {counts[crowded[0]]} for arm {crowded[0]}, more than budget.trials_per_arm"
        complain(("trials",), f"{message} ({space.budget.trials})")


def _check_stop_when(space: SearchSpace, arms: Sequence[Arm], complain: Complain) -> None:
    """Check that `budget.stop_when` suits the pruning, the objective and the arms.

    An arm's best trial must not change after its search has ended.
    """
    if space.budget.stop_when is None:
        return
    if space.budget.stop_when.regret_below is not None:
        problem = _find_problem_of_regret(space) or next(filter(None, map(_find_unmodelled, arms)), "")
        if problem:
            complain(("budget", "stop_when", "regret_below"), f"{problem}; use no_better_for")
    if space.pruning and space.pruning.pauses:
        setting, remedy = ("promote", "promote: false") if space.pruning.promote else ("kind pasha", "kind: asha")
        message = (
            f"ends an arm by its best trial, which pruning.{setting} may still change; set pruning.{remedy} or "
            "budget.stop_when: none"
        )
        complain(("budget", "stop_when"), message)
    if space.objective.preference:
        message = (
            "ends an arm by the metric, but objective.preference orders trials by votes; set budget.stop_when: none"
        )
        complain(("budget", "stop_when"), message)


def _find_problem_of_regret(space: SearchSpace) -> str:
    """Return why no arm has a model of its regret; empty if each may have one."""
    trials = space.budget.trials
    if space.search.sampler == GRID:
        return "asks what any point may reach, and grid tries its own points only"
    if space.objective.beside:
        return f"bounds one objective, and there are {len(space.objective.beside) + 1}"
    if not LEAST_TRIALS_OF_REGRET < trials <= MAX_TRIALS_OF_GP:
        limits = f"more than {LEAST_TRIALS_OF_REGRET} trials an arm and at most {MAX_TRIALS_OF_GP}"
        return f"needs {limits}, got budget.trials_per_arm {trials}"
    return ""


def _find_unmodelled(arm: Arm) -> str:
    """Return why an arm has no model of its regret; empty if it can have one."""
    if not arm.searched:
        return f"needs a searched parameter, and nothing is searched in arm {arm.name}"
    if len(arm.searched) > MAX_PARAMETERS_OF_REGRET:
        limit = f"{MAX_PARAMETERS_OF_REGRET} searched parameters at most"
        return f"needs {limit}, since its bound does not hold for more, and arm {arm.name} has {len(arm.searched)}"
    if arm.when:
        return f"needs parameters that every trial has, and {', '.join(arm.when)} exists under a condition only"
    choices = [name for name, domain in arm.searched.items() if isinstance(domain, Choice)]
    return f"needs parameters that are numbers, and {', '.join(choices)} is a choice" if choices else ""


def match_arms(arms: Sequence[Arm], wanted: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Return the searched values of a configuration for each arm that can have it, by the arm's name.

    Args:
        arms: all arms.
        wanted: values of searched parameters and, to choose arms, of compared or fixed ones; parameters that are left
            out are proposed.

    Raises:
        ValueError: no arm has these parameters with these values; the message says why.
    """
    problems: dict[str, None] = {}
    matches = {}
    for arm in arms:
        searched, problem = _match_arm(arm, wanted)
        if problem:
            problems[problem] = None
        else:
            matches[arm.name] = searched
    if not matches:
        raise ValueError("; ".join(problems))
    return matches


def _match_arm(arm: Arm, wanted: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
    """Return the searched values of a configuration in an arm, and why the arm can't have it; empty if it can."""
    settled = {**arm.compared, **arm.fixed}
    searched = {}
    for name, value in wanted.items():
        if name in arm.searched:
            domain = arm.searched[name]
            if not contains(domain, value):
                return {}, f"{name} is searched in {domain}, got {quote_value(value)}"
            searched[name] = value if isinstance(domain, Choice) else type(domain.at(0.5))(value)
        elif name not in settled:
            return {}, f"no parameter {name!r}{suggest_option(name, arm.searched)} in arm {arm.name}"
        elif settled[name] != value:
            return {}, f"{name} is {quote_value(settled[name])} in arm {arm.name}, got {quote_value(value)}"
    if not searched:
        return {}, f"names no searched parameter of arm {arm.name}: {', '.join(arm.searched) or 'nothing is searched'}"
    return searched, ""


def contains(domain: Domain, value: Value) -> bool:
    """Return whether a domain has a value; a continuous one has every number between its bounds."""
    if isinstance(domain, Uniform | LogUniform):
        return is_number(value) and domain.low <= value <= domain.high
    if isinstance(domain, QUniform):
        # Optuna's own tolerance, since it proposes 0.1 + 2 * 0.1.
        steps = (value - domain.low) / domain.q if is_number(value) else 0.5
        return abs(steps - round(steps)) < 1e-8 and 0 <= round(steps) <= round((domain.high - domain.low) / domain.q)
    return domain.takes(value)


def _find_problem(space: SearchSpace, arm: Arm) -> str:
    """Return why the sampler can't search an arm; empty if it can."""
    sampler = space.search.sampler
    where = "" if len(arm.name) > 80 or not arm.compared else f" in arm {arm.name}"
    if sampler in (GP, CMAES) and arm.when:
        conditional = ", ".join(arm.when)
        return f"{sampler} can't search {conditional}{where}, which exists under a condition only; use tpe or auto"
    if sampler == CMAES and space.objective.beside:
        return f"cmaes searches for one objective, and there are {len(space.objective.beside) + 1}; use tpe or auto"
    if sampler == CMAES:
        choices = [name for name, domain in arm.searched.items() if isinstance(domain, Choice)]
        if choices:
            return f"cmaes searches numbers, and {', '.join(choices)}{where} is a choice; use tpe or auto"
        if len(arm.searched) < 2:
            return f"cmaes needs two parameters or more, got {', '.join(arm.searched)}{where}; use gp or tpe"
    if sampler == GRID:
        return _find_problem_of_grid(space, arm, where)
    return ""


def _find_problem_of_grid(space: SearchSpace, arm: Arm, where: str) -> str:
    continuous = [name for name, domain in arm.searched.items() if options_of(domain) is None]
    if continuous:
        names = ", ".join(sorted(continuous))
        return f"grid needs choice, quniform, int or logint, and {names}{where} can have any number"
    size = sum(1 for _ in itertools.islice(grid_points(arm), MAX_GRID + 1))
    if size > MAX_GRID:
        return f"the grid{where} has more than {MAX_GRID:,} points; leave some out, or use sobol"
    num_own = sum(not _match_arm(arm, wanted)[1] for wanted in space.trials)
    if space.budget.trials > size + num_own:
        own = f" and trials has {num_own} more" if num_own else ""
        return f"the grid{where} has {size} points{own}, fewer than budget.trials_per_arm ({space.budget.trials})"
    return ""


def options_of(domain: Domain) -> Sequence[Value] | None:
    """Return all values of a domain, in order; None if it is continuous."""
    match domain:
        case Choice():
            return domain.options
        case Int() | LogInt():
            return range(domain.low, domain.high + 1)
        case QUniform():
            count = round((domain.high - domain.low) / domain.q) + 1
            return [domain.at((index + 0.5) / count) for index in range(count)]
    return None


def grid_points(arm: Arm) -> Iterator[dict[str, Value]]:
    """Yield all combinations of the values of an arm's searched parameters, each with its active ones only."""

    def extend(names: Sequence[str], chosen: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if not names:
            yield chosen
        elif not arm.is_active(names[0], chosen):
            yield from extend(names[1:], chosen)
        else:
            for value in options_of(arm.searched[names[0]]) or ():
                yield from extend(names[1:], {**chosen, names[0]: value})

    yield from extend(list(arm.searched), {})


def describe_choices(space: SearchSpace, arms: Sequence[Arm]) -> list[str]:
    """Return a line for each reason for which `auto` has chosen a sampler, with its arms."""
    choices: dict[SamplerChoice, list[str]] = {}
    for arm in arms:
        choice = choose_sampler(space, arm)
        if arm.searched and choice.why:
            choices.setdefault(choice, []).append(arm.name)
    lines = []
    for choice, names in choices.items():
        of_arms = "" if len(choices) == 1 else f" for {'; '.join(names)}"
        lines.append(f"search.sampler auto chooses {label_of(choice.name)}{of_arms}: {choice.why}")
    return lines
