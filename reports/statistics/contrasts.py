"""Which levels of a factor differ, and how surely."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.contrast import Contrast
from reports.statistics.precision import Units, margin, per_recording, precision
from reports.statistics.questions import Key, Question, questions

Trainings = Mapping[tuple[str, str], NDArray[np.float64]]
"""What trainings reach on each recording, by configuration and seed."""

NOTHING: Final[Mapping[Key, str]] = {}
NO_RECORDING: Final = "no recording has a value in every training that is compared"
ONE_RECORDING: Final = "only one recording has a value in every training: how much recordings differ is unknown"
ONE_TRAINING: Final = "only one training of {arm}: how much trainings differ is unknown"
NO_SPREAD: Final = "neither trainings nor recordings differ: there is no spread to compare with"


@dataclass(frozen=True)
class _Sample:
    """What is drawn together: an arm, or the differences of trainings that are compared with themselves.

    Attributes:
        units: means of its configurations where it has several, else its trainings.
        num_configurations: with any value.
        num_seeds: the fewest of a configuration.
    """

    units: Units
    num_configurations: int
    num_seeds: int


class _Term(NamedTuple):
    """A part of a difference."""

    key: Key
    sign: int
    sample: _Sample


def contrasts(
    scores: pd.DataFrame,
    factors: Sequence[str],
    baseline: Mapping[str, str],
    *,
    is_searched: bool = True,
    within: Sequence[str] = (),
    broken: Mapping[Key, str] = NOTHING,
    unsettled: Mapping[Key, str] = NOTHING,
) -> list[Contrast]:
    """Every comparison of two levels that the data allow, as `questions` orders them; p is not adjusted yet.

    Args:
        scores: a row a training and recording, with a column for each factor, `configuration` (unique within an arm),
            `seed` (unique within a configuration), `recording` and `value`.
        factors: columns that are compared.
        baseline: levels of factors; of a factor that it lacks nothing is planned.
        is_searched: whether a search chose the configurations; otherwise an arm is its one configuration.
        within: factors whose levels one training has, such as the settings that it is rendered with. Only these are
            compared then, each training with itself: what a training is like in general is no error of theirs.
        broken: arms of which trainings are missing because they went wrong, each with how many in words. Those that
            are left are the better ones, so that nothing is said of how sure a difference to them is.
        unsettled: arms whose number of trainings is not what was planned, each with the reason in words.

    Raises:
        ValueError: a training has two rows of one recording.
    """
    if scores.empty:
        return []
    arms = _arms(scores, factors)
    empty = Counter(scores.loc[scores["value"].isna(), list(factors)].itertuples(index=False, name=None))
    num_shared = len(factors) - len(within)
    answers = []
    # An arm that lost all of its trainings is asked about, too: else the cells in which it fared well would remain.
    lost = [] if within else [key for key in (*broken, *unsettled) if key not in arms]
    for question in questions([*arms, *lost], factors, baseline, within):
        cells = [_cell(arms, pair, bool(within)) for pair in question.cells]
        compared_arms = list(dict.fromkeys(key[:num_shared] for pair in question.cells for key in pair))
        why_broken = " and ".join(broken[key] for key in compared_arms if key in broken)
        why_unsettled = " and ".join(dict.fromkeys(unsettled[key] for key in compared_arms if key in unsettled))
        num_empty = sum(empty[key] for pair in question.cells for key in pair)
        # A cell without a training that has both levels says nothing.
        filled_cells = [cell for cell in cells if cell]
        if filled_cells:
            answers.append(_answer(question, factors, filled_cells, num_empty, is_searched, why_broken, why_unsettled))
        elif question.is_planned and (why_broken or why_unsettled):
            answers.append(_unanswered(question, why_broken or why_unsettled, why_unsettled))
    return answers


def margins(scores: pd.DataFrame, factors: Sequence[str]) -> dict[Key, float]:
    """Half of the 95 % interval of each arm's mean, over its units and over recordings; NaN where it has none."""
    units = {key: _sampled(trainings).units for key, trainings in _arms(scores, factors).items()}
    return {key: margin(sample[:, np.isfinite(sample).all(axis=0)]) for key, sample in units.items()}


def _arms(scores: pd.DataFrame, factors: Sequence[str]) -> dict[Key, Trainings]:
    """The trainings of each arm; one without any value was not evaluated and counts nowhere."""
    runs = scores.pivot(index=[*factors, "configuration", "seed"], columns="recording", values="value")
    runs = runs.astype(float).dropna(how="all")
    trainings_by_arm: dict[Key, dict[tuple[str, str], NDArray[np.float64]]] = {}
    for (*key, configuration, seed), values in zip(runs.index, runs.to_numpy(), strict=True):
        trainings_by_arm.setdefault(tuple(key), {})[configuration, seed] = values
    return dict(trainings_by_arm)


def _cell(arms: Mapping[Key, Trainings], pair: tuple[Key, Key], is_within: bool) -> list[_Term]:
    """One level minus the other: two arms, or the differences of the trainings that have both."""
    level, baseline = (arms.get(key, {}) for key in pair)
    if not (level and baseline):
        return []
    if not is_within:
        return [_Term(pair[0], 1, _sampled(level)), _Term(pair[1], -1, _sampled(baseline))]
    differences = {training: values - baseline[training] for training, values in level.items() if training in baseline}
    return [_Term(pair[0], 1, _sampled(differences))] if differences else []


def _unanswered(question: Question, why: str, why_exploratory: str) -> Contrast:
    """A question of which no cell has data yet, or any more."""
    return Contrast(
        factor=question.factor,
        level=question.level,
        baseline=question.baseline,
        at=question.at,
        difference=math.nan,
        low=None,
        high=None,
        p=None,
        p_adjusted=None,
        p_repeated=None,
        effect_size=None,
        num_configurations=0,
        num_seeds=0,
        num_units=0,
        num_recordings=0,
        num_cells=0,
        num_cells_left_out=question.num_cells_left_out + len(question.cells),
        num_rows_left_out=0,
        num_recordings_left_out=0,
        scope="arm",
        is_planned=question.is_planned,
        why_no_interval=why,
        why_exploratory=why_exploratory or None,
    )


def _sampled(trainings: Trainings) -> _Sample:
    configurations: dict[str, list[NDArray[np.float64]]] = {}
    for (configuration, _), values in trainings.items():
        configurations.setdefault(configuration, []).append(values)
    # A recording that one seed lacks is missing from its configuration: all means are over the same recordings.
    means = [np.mean(seeds, axis=0) for seeds in configurations.values()]
    units = means if len(means) > 1 else next(iter(configurations.values()))
    return _Sample(np.array(units), len(means), min(map(len, configurations.values())))


def _answer(
    question: Question,
    factors: Sequence[str],
    cells: Sequence[Sequence[_Term]],
    num_empty: int,
    is_searched: bool,
    why_broken: str,
    why_unsettled: str,
) -> Contrast:
    """What the data say."""
    terms = [term for cell in cells for term in cell]
    samples = [term.sample for term in terms]
    is_shared = np.all([np.isfinite(sample.units).all(axis=0) for sample in samples], axis=0)
    units = [sample.units[:, is_shared] for sample in samples]
    weights = [term.sign / len(cells) for term in terms]
    num_recordings = int(is_shared.sum())
    difference = float(per_recording(units, weights).mean()) if num_recordings else math.nan
    alone = [_named(term.key, factors) for term in terms if len(term.sample.units) == 1]
    why = _why_no_precision(alone, num_recordings, why_broken)
    uncertainty = None if why else precision(units, weights)
    if uncertainty and uncertainty.standard_error == 0:
        why, uncertainty = NO_SPREAD, None
    half_width = uncertainty.half_width() if uncertainty else math.nan
    num_configurations = min(sample.num_configurations for sample in samples)
    return Contrast(
        factor=question.factor,
        level=question.level,
        baseline=question.baseline,
        at=question.at,
        difference=difference,
        low=difference - half_width if uncertainty else None,
        high=difference + half_width if uncertainty else None,
        p=uncertainty.p(difference) if uncertainty else None,
        p_adjusted=None,
        p_repeated=None,
        effect_size=uncertainty.effect_size(difference) if uncertainty else None,
        num_configurations=num_configurations,
        num_seeds=min(sample.num_seeds for sample in samples),
        num_units=min(len(sample.units) for sample in samples),
        num_recordings=num_recordings,
        num_cells=len(cells),
        num_cells_left_out=question.num_cells_left_out + len(question.cells) - len(cells),
        num_rows_left_out=num_empty,
        num_recordings_left_out=len(is_shared) - num_recordings,
        scope="configuration" if is_searched and num_configurations == 1 else "arm",
        is_planned=question.is_planned,
        why_no_interval=why,
        why_exploratory=why_unsettled or None,
    )


def _named(key: Key, factors: Sequence[str]) -> str:
    return " ".join(f"{factor}={level}" for factor, level in zip(factors, key, strict=True))


def _why_no_precision(alone: Sequence[str], num_recordings: int, why_broken: str) -> str | None:
    if num_recordings == 0:
        return NO_RECORDING
    if why_broken:
        return why_broken
    if alone:
        return ONE_TRAINING.format(arm=" and ".join(alone))
    return ONE_RECORDING if num_recordings == 1 else None
