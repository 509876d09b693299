"""Contrasts from scores by recording: the difference of two levels, its interval and its p."""

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
"""Values on each recording, shape (recordings,), by configuration and seed; NaN where a value is missing."""

NOTHING: Final[Mapping[Key, str]] = {}
NO_RECORDING: Final = "no recording has a value in every training that is compared"
ONE_RECORDING: Final = "only one recording has a value in every training, so the spread between recordings is unknown"
ONE_TRAINING: Final = "only one training of {arm}, so the spread between trainings is unknown"
NO_SPREAD: Final = "neither trainings nor recordings differ, so there is no spread to compare with"


@dataclass(frozen=True)
class _Sample:
    """The units of an arm, or the differences between two renderings of the same trainings.

    Attributes:
        units: a row per configuration (the mean over its seeds) if there are several, else a row per training.
        num_configurations: number of configurations with any value.
        num_seeds: number of seeds, in the configuration with the fewest.
    """

    units: Units
    num_configurations: int
    num_seeds: int


class _Term(NamedTuple):
    """A term of a difference: a sample with the sign of its mean."""

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
    """Return all contrasts for which there are data, in the order of `questions`; their p is not adjusted yet.

    Args:
        scores: one row per training and recording, with a column for each factor, `configuration` (unique within an
            arm), `seed` (unique within a configuration), `recording` and `value`.
        factors: names of the columns that are compared.
        baseline: baseline level of each factor; no contrast of a factor without one is planned.
        is_searched: whether a search chose the configurations; if not, an arm is its one configuration.
        within: factors that vary within a training, such as the settings of its renderings; the last of `factors`. If
            there are any, only these are compared, and each training with itself, so that differences between
            trainings cancel.
        broken: arms whose trainings diverged, failed or could not be judged, each with the reason in words. Their
            contrasts get no interval, because the trainings that are left are the better ones.
        unsettled: arms that don't have the planned number of trainings, each with the reason in words. Their contrasts
            are exploratory.

    Raises:
        ValueError: a training has two rows for one recording.
    """
    if scores.empty:
        return []
    arms = _arms(scores, factors)
    empty = Counter(scores.loc[scores["value"].isna(), list(factors)].itertuples(index=False, name=None))
    num_shared = len(factors) - len(within)
    answers = []
    # An arm without any training left is compared, too. Otherwise a main effect would be averaged over the cells in
    # which the arm's level trained well.
    lost = [] if within else [key for key in (*broken, *unsettled) if key not in arms]
    for question in questions([*arms, *lost], factors, baseline, within):
        cells = [_cell(arms, pair, bool(within)) for pair in question.cells]
        compared_arms = list(dict.fromkeys(key[:num_shared] for pair in question.cells for key in pair))
        why_broken = " and ".join(broken[key] for key in compared_arms if key in broken)
        why_unsettled = " and ".join(dict.fromkeys(unsettled[key] for key in compared_arms if key in unsettled))
        num_empty = sum(empty[key] for pair in question.cells for key in pair)
        filled_cells = [cell for cell in cells if cell]
        if filled_cells:
            contrast = _estimate(question, factors, filled_cells, num_empty, is_searched, why_broken, why_unsettled)
            answers.append(contrast)
        elif question.is_planned and (why_broken or why_unsettled):
            answers.append(_empty_contrast(question, why_broken, why_unsettled))
    return answers


def margins(scores: pd.DataFrame, factors: Sequence[str]) -> dict[Key, float]:
    """Return half the width of the 95 % interval of each arm's mean; NaN for an arm without one (see `contrasts`)."""
    units_by_arm = {key: _make_sample(trainings).units for key, trainings in _arms(scores, factors).items()}
    return {key: margin(units[:, np.isfinite(units).all(axis=0)]) for key, units in units_by_arm.items()}


def _arms(scores: pd.DataFrame, factors: Sequence[str]) -> dict[Key, Trainings]:
    """Return the trainings of each arm, without trainings that have no value at all (they were not evaluated)."""
    runs = scores.pivot(index=[*factors, "configuration", "seed"], columns="recording", values="value")
    runs = runs.astype(float).dropna(how="all")
    trainings_by_arm: dict[Key, dict[tuple[str, str], NDArray[np.float64]]] = {}
    for (*key, configuration, seed), values in zip(runs.index, runs.to_numpy(), strict=True):
        trainings_by_arm.setdefault(tuple(key), {})[configuration, seed] = values
    return dict(trainings_by_arm)


def _cell(arms: Mapping[Key, Trainings], pair: tuple[Key, Key], is_within: bool) -> list[_Term]:
    """Return the terms of the difference in one cell; none if the cell has no data for it.

    They are the two arms or, within trainings, the differences of those trainings that have both levels.
    """
    level, baseline = (arms.get(key, {}) for key in pair)
    if not (level and baseline):
        return []
    if not is_within:
        return [_Term(pair[0], 1, _make_sample(level)), _Term(pair[1], -1, _make_sample(baseline))]
    differences = {training: values - baseline[training] for training, values in level.items() if training in baseline}
    return [_Term(pair[0], 1, _make_sample(differences))] if differences else []


def _empty_contrast(question: Question, why_broken: str, why_unsettled: str) -> Contrast:
    """Return the contrast of a comparison without data in any cell."""
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
        is_incomplete=bool(why_broken),
        why_no_interval=why_broken or why_unsettled,
        why_exploratory=why_unsettled or None,
    )


def _make_sample(trainings: Trainings) -> _Sample:
    configurations: dict[str, list[NDArray[np.float64]]] = {}
    for (configuration, _), values in trainings.items():
        configurations.setdefault(configuration, []).append(values)
    # A recording without a value for one seed is NaN for the configuration, so that all means have the same recordings.
    means = [np.mean(seeds, axis=0) for seeds in configurations.values()]
    units = means if len(means) > 1 else next(iter(configurations.values()))
    return _Sample(np.array(units), len(means), min(map(len, configurations.values())))


def _estimate(
    question: Question,
    factors: Sequence[str],
    cells: Sequence[Sequence[_Term]],
    num_empty: int,
    is_searched: bool,
    why_broken: str,
    why_unsettled: str,
) -> Contrast:
    """Return the contrast of a comparison, averaged over its cells."""
    terms = [term for cell in cells for term in cell]
    samples = [term.sample for term in terms]
    is_shared = np.all([np.isfinite(sample.units).all(axis=0) for sample in samples], axis=0)
    units = [sample.units[:, is_shared] for sample in samples]
    weights = [term.sign / len(cells) for term in terms]
    num_recordings = int(is_shared.sum())
    difference = float(per_recording(units, weights).mean()) if num_recordings else math.nan
    single_arms = [_arm_name(term.key, factors) for term in terms if len(term.sample.units) == 1]
    why = _why_no_precision(single_arms, num_recordings, why_broken)
    uncertainty = None if why else precision(units, weights)
    if uncertainty and uncertainty.standard_error == 0:
        why, uncertainty = NO_SPREAD, None
    low = high = p = effect_size = None
    if uncertainty:
        half_width = uncertainty.half_width()
        low, high = difference - half_width, difference + half_width
        p, effect_size = uncertainty.p(difference), uncertainty.effect_size(difference)
    num_configurations = min(sample.num_configurations for sample in samples)
    return Contrast(
        factor=question.factor,
        level=question.level,
        baseline=question.baseline,
        at=question.at,
        difference=difference,
        low=low,
        high=high,
        p=p,
        p_adjusted=None,
        p_repeated=None,
        effect_size=effect_size,
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
        is_incomplete=bool(why_broken),
        why_no_interval=why,
        why_exploratory=why_unsettled or None,
    )


def _arm_name(key: Key, factors: Sequence[str]) -> str:
    return " ".join(f"{factor}={level}" for factor, level in zip(factors, key, strict=True))


def _why_no_precision(single_arms: Sequence[str], num_recordings: int, why_broken: str) -> str | None:
    """Return why a difference has no interval, in words; None if nothing prevents one.

    Args:
        single_arms: names of the arms with one unit only.
        num_recordings: number of recordings that all trainings have a value for.
        why_broken: reason why trainings are missing; empty if none are.
    """
    if num_recordings == 0:
        return NO_RECORDING
    if why_broken:
        return why_broken
    if single_arms:
        return ONE_TRAINING.format(arm=" and ".join(single_arms))
    return ONE_RECORDING if num_recordings == 1 else None
