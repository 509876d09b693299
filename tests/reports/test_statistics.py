from __future__ import annotations

import gc
import itertools
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.power import TTestPower

from reports.statistics.contrast import Contrast, adjust_p
from reports.statistics.contrasts import contrasts as unadjusted
from reports.statistics.contrasts import margins
from reports.statistics.expected_best import expected_best
from reports.statistics.looks import look_penalty
from reports.statistics.precision import margin, precision, smallest_detectable

Values = NDArray[np.float64]
NUM_SIMULATED = 2_000
DIFFERENCE = (1, -1)


def random_values(
    rng: np.random.Generator, num_configurations: int, num_seeds: int, num_recordings: int = 30
) -> Values:
    """An arm's values, all spreads in it; shape (configurations, seeds, recordings)."""
    shape = (num_configurations, num_seeds, num_recordings)
    of_configuration = rng.normal(0, 0.03, shape[:1])[:, None, None]
    return of_configuration + rng.normal(0, 0.03, shape[:2])[..., None] + rng.normal(0.5, 0.2, shape)


def scores(arms: dict[str, Values]) -> pd.DataFrame:
    """Scores of arms such as `loss=l1 size=small`."""
    rows = []
    for arm, values in arms.items():
        levels = dict(pair.split("=") for pair in arm.split())
        for (configuration, seed, recording), value in np.ndenumerate(values):
            rows.append(
                levels | {"configuration": configuration, "seed": seed, "recording": f"r{recording}", "value": value}
            )
    return pd.DataFrame(rows)


def two_arms(rng: np.random.Generator, num_configurations: int = 3, num_seeds: int = 2) -> dict[str, Values]:
    return {f"loss={loss}": random_values(rng, num_configurations, num_seeds) for loss in ("l1", "l2")}


def contrasts(table: pd.DataFrame, factors: Sequence[str], baseline: dict[str, str], **options: Any) -> list[Contrast]:
    """The contrasts of one metric, which are the whole family of tests."""
    return adjust_p(unadjusted(table, factors, baseline, **options))


def only(found: Sequence[Contrast]) -> Contrast:
    assert len(found) == 1
    return found[0]


def compared(arms: dict[str, Values], *, is_searched: bool = True) -> Contrast:
    """The one contrast of two arms, `l1` against the baseline `l2`."""
    return only(contrasts(scores(arms), ["loss"], {"loss": "l2"}, is_searched=is_searched))


def crossed(rng: np.random.Generator, losses: str = "abc", sizes: str = "xy") -> dict[str, Values]:
    return {f"loss={loss} size={size}": random_values(rng, 1, 3) for loss, size in itertools.product(losses, sizes)}


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Holm's procedure in statsmodels collects garbage, half a second a call among all that the tests have imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# The interval


def test_where_recordings_add_nothing_it_is_welchs_test_of_the_configurations(rng: np.random.Generator) -> None:
    of_units = rng.normal(0, 1, 3), rng.normal(0.5, 3, 4)
    of_recordings = rng.normal(0, 5, 20)
    arms = {f"loss=l{n}": units[:, None, None] + of_recordings for n, units in enumerate(of_units, start=1)}
    found, expected = compared(arms), stats.ttest_ind(*of_units, equal_var=False)
    assert found.difference == pytest.approx(of_units[0].mean() - of_units[1].mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_where_trainings_add_nothing_it_is_the_paired_test_of_the_recordings(rng: np.random.Generator) -> None:
    of_recordings = [rng.normal(mean, 1, 20) for mean in (0, 1)]
    arms = {f"loss=l{n}": np.tile(values, (1, 3, 1)) for n, values in enumerate(of_recordings, start=1)}
    found, expected = compared(arms, is_searched=False), stats.ttest_rel(*of_recordings)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.effect_size is None


def test_where_there_is_enough_of_everything_a_joint_bootstrap_gives_the_same_error(rng: np.random.Generator) -> None:
    num_units, num_recordings, num_draws = 40, 60, 4_000
    treatment = rng.normal(0, 0.5, (2, 1, num_recordings))
    arms = rng.normal(0, 0.5, (2, num_units, 1)) + rng.normal(0, 3, num_recordings) + treatment
    recordings = rng.integers(num_recordings, size=(num_draws, num_recordings))
    of_recordings = np.array([np.bincount(drawn, minlength=num_recordings) for drawn in recordings]) / num_recordings
    means = []
    for arm in arms:
        units = rng.integers(num_units, size=(num_draws, num_units))
        of_units = np.array([np.bincount(drawn, minlength=num_units) for drawn in units]) / num_units
        means.append(np.einsum("du,ur,dr->d", of_units, arm, of_recordings))
    assert precision(arms, DIFFERENCE).standard_error == pytest.approx(np.std(means[0] - means[1]), rel=0.05)


def test_what_is_peculiar_to_a_training_on_a_recording_is_counted_once(rng: np.random.Generator) -> None:
    """A bootstrap of both counts it three times, an error 1.7 times too large."""
    errors = [precision(arms, DIFFERENCE).standard_error for arms in rng.normal(0, 1, (300, 2, 6, 50))]
    assert np.mean(np.square(errors)) == pytest.approx(2 / (6 * 50), rel=0.2)


@pytest.mark.parametrize("num_units", [2, 3, 10])
@pytest.mark.parametrize("preference", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_equal_arms_are_rarely_told_apart(
    rng: np.random.Generator, num_units: int, preference: float, alpha: float
) -> None:
    """Also where recordings prefer arms, and at the level of the first of ten tests."""
    shape = (NUM_SIMULATED, 2, num_units, 40)
    values = rng.normal(0, 0.03, (*shape[:3], 1)) + rng.normal(0, 0.25, shape)
    values += preference * rng.normal(0, 1, (*shape[:2], 1, 40)) + rng.normal(0, 0.3, (len(values), 1, 1, 40))
    p = [precision([level, other], DIFFERENCE).p(float(level.mean() - other.mean())) for level, other in values]
    assert np.mean(np.array(p) < alpha) < alpha + 3 * math.sqrt(alpha * (1 - alpha) / NUM_SIMULATED)
    assert np.mean(np.array(p) < 0.5) > 0.25


@pytest.mark.parametrize(("num_few", "num_many"), [(2, 8), (3, 20)])
def test_a_small_arm_that_spreads_more_than_a_large_one_is_rarely_told_apart_from_it(
    rng: np.random.Generator, num_few: int, num_many: int
) -> None:
    """Few units that are alike by luck beside many: an error with the degrees of freedom of all was far too small."""
    arms = []
    for num_units, spread in ((num_few, 2), (num_many, 1)):
        shape = (NUM_SIMULATED, num_units, 100)
        units = spread * (rng.normal(0, 0.03, (*shape[:2], 1)) + rng.normal(0, 0.25, shape))
        arms.append(units + 0.1 * rng.normal(0, 1, (NUM_SIMULATED, 1, 100)))
    p = [precision(pair, DIFFERENCE).p(float(pair[0].mean() - pair[1].mean())) for pair in zip(*arms, strict=True)]
    assert np.mean(np.array(p) < 0.05) < 0.05 + 2 * math.sqrt(0.05 * 0.95 / NUM_SIMULATED)


def test_two_trainings_of_an_arm_are_described_and_not_tested(rng: np.random.Generator) -> None:
    found = compared({"loss=l1": random_values(rng, 1, 2) + 1, "loss=l2": random_values(rng, 1, 8)}, is_searched=False)
    assert found.excludes_zero and found.num_units == 2
    assert found.p_adjusted is None and not found.is_distinguishable
    assert found.why_untested == "not tested: a test needs three trainings or configurations of each arm"


def test_one_lucky_configuration_does_not_stand_for_its_arm(rng: np.random.Generator) -> None:
    values = rng.normal(0.5, 0.01, (2, 3, 5, 200))
    values[0, 0] += 0.3
    found = compared({"loss=l1": values[0], "loss=l2": values[1]})
    of_recordings = values.mean(axis=(1, 2))
    of_trainings = values.mean(axis=3).reshape(2, -1)
    assert stats.ttest_rel(*of_recordings).pvalue < 1e-6
    assert stats.ttest_ind(*of_trainings).pvalue < 0.05
    assert found.difference > 0.09
    assert not found.is_distinguishable
    assert found.low is not None and found.low < 0


def test_more_seeds_do_not_replace_configurations(rng: np.random.Generator) -> None:
    of_configurations = rng.normal(0, 1, (2, 3, 1, 1))
    few, many = (
        compared(dict(zip(("loss=l1", "loss=l2"), of_configurations + np.zeros((2, 3, num_seeds, 5)), strict=True)))
        for num_seeds in (1, 50)
    )
    assert (few.low, few.high, few.p) == pytest.approx((many.low, many.high, many.p))


def test_a_configuration_counts_once_however_many_seeds_it_has(rng: np.random.Generator) -> None:
    arms = two_arms(rng, num_configurations=2, num_seeds=1)
    table = scores(arms)
    again = table[(table["loss"] == "l1") & (table["configuration"] == 0)]
    found = only(contrasts(pd.concat([table, again.assign(seed=1), again.assign(seed=2)]), ["loss"], {"loss": "l2"}))
    expected = compared(arms)
    assert (found.difference, found.low, found.p) == pytest.approx((expected.difference, expected.low, expected.p))
    assert (found.num_configurations, found.num_seeds) == (2, 1)


def test_recordings_that_are_hard_for_everyone_do_not_widen_the_interval(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    hard = rng.normal(0, 10, 30)
    plain, harder = compared(arms), compared({name: values + hard for name, values in arms.items()})
    assert (plain.low, plain.high, plain.p) == pytest.approx((harder.low, harder.high, harder.p))


def test_recordings_that_prefer_an_arm_widen_the_interval(rng: np.random.Generator) -> None:
    arms = two_arms(rng, num_configurations=5)
    taste = rng.normal(0, 1, 30)
    arms["loss=l1"] = arms["loss=l1"] + taste - taste.mean()
    plain, found = compared(two_arms(np.random.default_rng(0), num_configurations=5)), compared(arms)
    assert None not in (plain.low, plain.high, found.low, found.high)
    assert found.difference == pytest.approx(plain.difference)
    assert found.high - found.low > 1.5 * (plain.high - plain.low)  # type: ignore[operator]


def test_p_and_interval_agree(rng: np.random.Generator) -> None:
    """Where one of them says that there is a difference, so does the other."""
    baseline, values = two_arms(rng).values()
    arms = {f"loss=l{n:02}": values + shift for n, shift in enumerate(np.linspace(-0.3, 0.3, 60))}
    found = contrasts(scores(arms | {"loss=base": baseline}), ["loss"], {"loss": "base"})[:60]
    is_outside = [each.low is not None and each.high is not None and not each.low <= 0 <= each.high for each in found]
    assert is_outside == [each.p is not None and each.p < 0.05 for each in found]
    assert 10 < sum(is_outside) < 50


def test_the_effect_size_is_hedges_g_of_the_units(rng: np.random.Generator) -> None:
    arms = two_arms(rng, num_configurations=4)
    units = [values.mean(axis=(1, 2)) for values in arms.values()]
    sd = math.sqrt(np.mean([each.var(ddof=1) for each in units]))
    # Hedges 1981: exactly, with the gamma function, of 6 degrees of freedom.
    correction = math.gamma(3) / (math.sqrt(3) * math.gamma(2.5))
    assert compared(arms).effect_size == pytest.approx(correction * (units[0].mean() - units[1].mean()) / sd)


# Trainings that are compared with themselves


def rendered(rng: np.random.Generator, differences: Values) -> dict[str, Values]:
    """Trainings that differ a lot, rendered in two ways that differ by so much; shape as `random_values`."""
    original = 10 * random_values(rng, *differences.shape)
    return {"phase=zero": original + differences, "phase=original": original}


def compared_within(arms: dict[str, Values]) -> Contrast:
    return only(contrasts(scores(arms), ["phase"], {"phase": "original"}, within=["phase"]))


def test_what_trainings_are_like_in_general_is_no_error_of_their_renderings(rng: np.random.Generator) -> None:
    of_units = rng.normal(0.05, 0.01, (4, 1, 1)) + np.zeros(30)
    found, expected = compared_within(rendered(rng, of_units)), stats.ttest_1samp(of_units[:, 0, 0], 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_seeds_and_configurations_of_the_difference_are_what_its_renderings_are_known_by(
    rng: np.random.Generator,
) -> None:
    differences = rng.normal(0, 0.05, (3, 1, 1)) + rng.normal(0, 0.001, (3, 4, 30))
    found = compared_within(rendered(rng, differences))
    expected = precision([differences.mean(axis=1)], [1])
    assert found.high is not None
    assert found.high - found.difference == pytest.approx(expected.half_width())
    assert (found.num_configurations, found.num_seeds, found.num_recordings) == (3, 4, 30)


def test_renderings_are_averaged_over_arms_and_nothing_else_is_compared(rng: np.random.Generator) -> None:
    arms = {
        f"loss={loss} {name}": values
        for loss, better in (("l1", 0.1), ("l2", 0.3))
        for name, values in rendered(rng, better + rng.normal(0, 0.01, (3, 1, 30))).items()
    }
    found = only(contrasts(scores(arms), ["loss", "phase"], {"phase": "original"}, within=["phase"]))
    assert (found.factor, found.num_cells) == ("phase", 2)
    assert found.difference == pytest.approx(0.2, abs=0.01)


def test_a_training_that_was_rendered_in_one_way_alone_says_nothing(rng: np.random.Generator) -> None:
    arms = rendered(rng, rng.normal(0, 0.01, (3, 1, 30)))
    whole = compared_within(arms)
    arms["phase=zero"] = np.concatenate([arms["phase=zero"], random_values(rng, 1, 1) + 5])
    assert compared_within(arms) == whole


def test_a_difference_that_is_the_same_everywhere_has_no_interval(rng: np.random.Generator) -> None:
    found = compared_within(rendered(rng, np.full((3, 1, 30), -0.05)))
    assert found.difference == pytest.approx(-0.05)
    assert found.why_no_interval is not None and "no spread" in found.why_no_interval


def test_two_differences_have_no_effect_size(rng: np.random.Generator) -> None:
    found = compared_within(rendered(rng, rng.normal(0, 0.05, (2, 1, 30))))
    assert found.p is not None and found.effect_size is None


# The interval of an arm


def margin_of(values: Values) -> float:
    return margins(scores({"loss=l1": values}), ["loss"])["l1",]


def test_an_arms_interval_is_that_of_its_configurations_where_recordings_are_alike(rng: np.random.Generator) -> None:
    of_configurations = rng.normal(0, 1, 4)
    low, high = stats.ttest_1samp(of_configurations, 0).confidence_interval()
    seeds = np.tile(of_configurations[:, None, None], (1, 3, 20))
    assert margin_of(seeds) == pytest.approx((high - low) / 2)


def test_an_arms_interval_is_that_of_recordings_where_trainings_are_alike(rng: np.random.Generator) -> None:
    of_recordings = rng.normal(0, 1, 20)
    low, high = stats.ttest_1samp(of_recordings, 0).confidence_interval()
    assert margin_of(np.tile(of_recordings, (1, 3, 1))) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("num_units", [2, 3, 10])
@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_an_arms_interval_contains_the_truth(rng: np.random.Generator, num_units: int, spread: float) -> None:
    shape = (NUM_SIMULATED, num_units, 40)
    values = rng.normal(0, 0.03, (*shape[:2], 1)) + rng.normal(0, 0.25, shape)
    values += rng.normal(0, spread, (NUM_SIMULATED, 1, 40))
    covered = np.mean([abs(each.mean()) <= margin(each) for each in values])
    assert 0.95 - 3 * math.sqrt(0.05 * 0.95 / NUM_SIMULATED) < covered < 0.99


@pytest.mark.parametrize("shape", [(1, 1, 30), (3, 1, 1)])
def test_one_training_or_one_recording_has_no_margin(rng: np.random.Generator, shape: tuple[int, int, int]) -> None:
    assert math.isnan(margin_of(rng.normal(0, 1, shape)))


# What the answer must not depend on


def test_against_the_other_baseline_the_sign_changes(rng: np.random.Generator) -> None:
    table = scores(two_arms(rng))
    one, other = (only(contrasts(table, ["loss"], {"loss": baseline})) for baseline in ("l2", "l1"))
    assert one.low is not None and one.high is not None
    assert (one.level, one.baseline) == (other.baseline, other.level)
    assert (other.difference, other.low, other.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert (other.p, other.p_adjusted) == pytest.approx((one.p, one.p_adjusted))


def test_the_order_of_rows_does_not_matter(rng: np.random.Generator) -> None:
    table = scores(crossed(rng))
    shuffled = table.sample(frac=1, random_state=1)
    baseline = {"loss": "a", "size": "x"}
    assert contrasts(table, ["loss", "size"], baseline) == contrasts(shuffled, ["loss", "size"], baseline)


def test_scores_are_not_changed(rng: np.random.Generator) -> None:
    table = scores(two_arms(rng))
    before = table.copy()
    contrasts(table, ["loss"], {})
    pd.testing.assert_frame_equal(table, before)


def test_one_factor_constant_is_as_if_it_were_not_there(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    table = scores(arms).assign(size="x")
    found = only(contrasts(table, ["loss", "size"], {"loss": "l2", "size": "x"}))
    assert found == compared(arms)


# What is missing


def test_a_recording_without_a_value_somewhere_is_left_out_everywhere(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    whole = {name: values[..., 1:] for name, values in arms.items()}
    arms["loss=l1"][2, 1, 0] = math.nan
    found, without = compared(arms), compared(whole)
    assert found.difference == pytest.approx(without.difference)
    assert (found.low, found.p) == pytest.approx((without.low, without.p))
    assert (found.num_recordings, found.num_recordings_left_out, found.num_rows_left_out) == (29, 1, 1)


def test_a_row_that_is_missing_is_as_one_without_a_value(rng: np.random.Generator) -> None:
    table = scores(two_arms(rng))
    empty = table.assign(value=table["value"].where(table.index != 7))
    missing, found = (only(contrasts(each, ["loss"], {"loss": "l2"})) for each in (table.drop(index=7), empty))
    assert (missing.difference, missing.p) == (found.difference, found.p)
    assert (missing.num_rows_left_out, found.num_rows_left_out) == (0, 1)


def test_a_training_without_any_value_counts_nowhere(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    expected = compared({name: values[:2] if name == "loss=l1" else values for name, values in arms.items()})
    arms["loss=l1"][2] = math.nan
    found = compared(arms)
    assert (found.difference, found.p) == (expected.difference, expected.p)
    assert (found.num_configurations, found.num_rows_left_out) == (2, 60)


def test_rows_left_out_are_those_of_the_arms_compared(rng: np.random.Generator) -> None:
    arms = {f"loss={loss}": random_values(rng, 3, 1) for loss in ("l1", "l2", "vae")}
    arms["loss=vae"][0, 0, :5] = math.nan
    l1, vae, rest = contrasts(scores(arms), ["loss"], {"loss": "l2"})
    assert [each.num_rows_left_out for each in (l1, vae, rest)] == [0, 5, 5]
    assert [each.num_recordings for each in (l1, vae, rest)] == [30, 25, 25]


def test_one_training_has_no_interval_and_says_why(rng: np.random.Generator) -> None:
    found = compared({"loss=l1": random_values(rng, 1, 1), "loss=l2": random_values(rng, 3, 1)})
    assert (found.low, found.high, found.p, found.p_adjusted, found.effect_size) == (None,) * 5
    assert found.why_no_interval == "only one training of loss=l1, so the spread between trainings is unknown"
    assert math.isfinite(found.difference)
    assert not found.is_distinguishable


def test_one_recording_has_no_interval_and_says_why(rng: np.random.Generator) -> None:
    found = compared({name: values[..., :1] for name, values in two_arms(rng).items()})
    assert found.p is None
    assert found.why_no_interval is not None and "only one recording" in found.why_no_interval


def test_no_recording_in_common_has_no_difference_and_says_why(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    arms["loss=l1"][0, 0, :15] = math.nan
    arms["loss=l2"][0, 0, 15:] = math.nan
    found = compared(arms)
    assert math.isnan(found.difference)
    assert found.why_no_interval is not None and "no recording" in found.why_no_interval


def test_values_that_never_vary_have_no_interval_whatever_rounding_leaves() -> None:
    found = compared({"loss=l1": np.full((3, 3, 7), 0.1), "loss=l2": np.full((3, 2, 7), 0.3)})
    assert found.p is None
    assert found.why_no_interval is not None and "no spread" in found.why_no_interval
    assert found.difference == pytest.approx(-0.2)


def test_two_rows_of_one_recording_are_refused(rng: np.random.Generator) -> None:
    table = scores(two_arms(rng))
    with pytest.raises(ValueError, match="duplicate"):
        contrasts(pd.concat([table, table.head(1)]), ["loss"], {"loss": "l2"})


# Several factors


def test_a_main_effect_is_the_mean_over_the_cells_that_both_levels_have(rng: np.random.Generator) -> None:
    arms = crossed(rng, "ab", "xyz")
    del arms["loss=b size=z"]
    found = contrasts(scores(arms), ["loss", "size"], {"loss": "a"}, is_searched=False)[0]
    per_cell = [arms[f"loss=b size={size}"].mean() - arms[f"loss=a size={size}"].mean() for size in "xy"]
    assert (found.factor, found.level, found.baseline, found.at) == ("loss", "b", "a", {})
    assert found.difference == pytest.approx(np.mean(per_cell))
    assert (found.num_cells, found.num_cells_left_out) == (2, 1)


def test_more_cells_make_a_main_effect_surer(rng: np.random.Generator) -> None:
    of_units = np.array([-1.0, 0.0, 1.0])
    arms = {f"loss={loss} size={size}": np.tile(of_units[:, None, None], 4) for loss in "ab" for size in "wxyz"}
    main, at_baseline = contrasts(scores(arms), ["loss", "size"], {"loss": "a", "size": "w"})[:2]
    assert main.high is not None and at_baseline.high is not None
    # Four times the units, and with them the degrees of freedom: 16 for 4.
    expected = stats.t.ppf(0.975, 16) / stats.t.ppf(0.975, 4) / 2
    assert main.high / at_baseline.high == pytest.approx(expected)


def test_tested_are_main_effects_and_departures_from_the_baseline_arm(rng: np.random.Generator) -> None:
    found = contrasts(scores(crossed(rng)), ["loss", "size"], {"loss": "a", "size": "x"}, is_searched=False)
    tested = [(each.factor, each.level, each.baseline, dict(each.at)) for each in found if each.is_planned]
    assert tested == [
        ("loss", "b", "a", {}),
        ("loss", "c", "a", {}),
        ("loss", "b", "a", {"size": "x"}),
        ("loss", "c", "a", {"size": "x"}),
        ("size", "y", "x", {}),
        ("size", "y", "x", {"loss": "a"}),
    ]
    assert [(each.level, each.baseline) for each in found if not each.is_planned] == [("c", "b")]


def test_a_departure_that_is_the_main_effect_is_not_tested_twice(rng: np.random.Generator) -> None:
    arms = crossed(rng, "ab", "xy")
    del arms["loss=b size=y"]
    found = contrasts(scores(arms), ["loss", "size"], {"loss": "a", "size": "x"})
    assert [(each.factor, dict(each.at), each.num_cells_left_out) for each in found] == [
        ("loss", {}, 1),
        ("size", {}, 1),
    ]


def test_levels_that_never_meet_are_not_compared(rng: np.random.Generator) -> None:
    arms = {name: random_values(rng, 1, 3) for name in ("loss=a size=x", "loss=b size=y")}
    assert contrasts(scores(arms), ["loss", "size"], {"loss": "a", "size": "x"}) == []


def test_one_training_in_one_cell_takes_the_interval_from_the_main_effect_alone(rng: np.random.Generator) -> None:
    arms = crossed(rng, "ab", "xy")
    arms["loss=b size=y"] = random_values(rng, 1, 1)
    found = contrasts(scores(arms), ["loss", "size"], {"loss": "a", "size": "x"})
    why = "only one training of loss=b size=y, so the spread between trainings is unknown"
    assert [each.why_no_interval for each in found] == [why, None, why, None]


# The family of tests


def test_holm_adjusts_over_all_tested_contrasts_and_no_others(rng: np.random.Generator) -> None:
    arms = {f"loss=l{n}": random_values(rng, 4, 1) + 0.05 * n for n in range(5)}
    found = contrasts(scores(arms), ["loss"], {"loss": "l0"})
    tested = sorted((each for each in found if each.is_planned), key=lambda each: each.p or 0)
    assert len(tested) == 4
    expected, largest = [], 0.0
    for rank, each in enumerate(tested):
        assert each.p is not None
        largest = max(largest, min(1, (len(tested) - rank) * each.p))
        expected.append(largest)
    assert [each.p_adjusted for each in tested] == pytest.approx(expected)
    assert [each.p_adjusted for each in found if not each.is_planned] == [None] * 6


def test_a_contrast_without_an_interval_does_not_burden_the_others(rng: np.random.Generator) -> None:
    arms = two_arms(rng)
    alone = compared(arms)
    found = contrasts(scores(arms | {"loss=vae": random_values(rng, 1, 1)}), ["loss"], {"loss": "l2"})
    assert [each.p_adjusted for each in found] == [alone.p_adjusted, None, None]


@pytest.mark.parametrize("baseline", [{}, {"loss": "never_trained"}, {"size": "x"}])
def test_without_a_baseline_all_pairs_are_descriptive(rng: np.random.Generator, baseline: dict[str, str]) -> None:
    arms = {f"loss={loss}": random_values(rng, 3, 1) + far for loss, far in (("a", 0), ("b", 5), ("c", 10))}
    found = contrasts(scores(arms), ["loss"], baseline)
    assert [(each.level, each.baseline) for each in found] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert all(each.p is not None and each.p < 0.01 for each in found)
    assert not any(each.is_planned or each.is_distinguishable for each in found)


def test_a_difference_that_one_test_finds_can_be_lost_among_many() -> None:
    pattern = np.array([-1.0, 0, 1, -1, 0, 1])[:, None, None] + np.zeros(3)
    arms = {"loss=base": pattern, "loss=a": pattern + 1.2} | {f"loss=no_{n}": pattern for n in range(5)}
    few = contrasts(scores({name: arms[name] for name in ("loss=base", "loss=a")}), ["loss"], {"loss": "base"})
    many = contrasts(scores(arms), ["loss"], {"loss": "base"})
    assert few[0].p == many[0].p
    assert few[0].is_distinguishable
    assert not many[0].is_distinguishable


@pytest.mark.parametrize(
    ("num_configurations", "is_searched", "scope"),
    [(1, True, "configuration"), (1, False, "arm"), (2, True, "arm")],
)
def test_one_configuration_that_a_search_chose_is_not_the_arm(
    rng: np.random.Generator, num_configurations: int, is_searched: bool, scope: str
) -> None:
    assert compared(two_arms(rng, num_configurations), is_searched=is_searched).scope == scope


def test_a_large_sweep_is_compared_within_a_second(rng: np.random.Generator) -> None:
    values = rng.normal(0.5, 0.2, (10, 3, 5, 500))
    names = ["loss", "configuration", "seed", "recording"]
    index = pd.MultiIndex.from_product([[str(n) for n in range(length)] for length in values.shape], names=names)
    table = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
    started = time.process_time()
    assert len(contrasts(table, ["loss"], {"loss": "0"})) == 45
    assert time.process_time() - started < 1


# Trainings that are missing, and trainings that nobody had planned


def test_an_arm_of_which_seeds_diverged_has_no_interval_and_no_test(rng: np.random.Generator) -> None:
    arms = {f"loss={loss}": random_values(rng, 1, 3) + far for loss, far in (("l1", 1), ("l2", 0), ("l3", 1))}
    why = "2 of 5 seeds of loss=l1 diverged"
    l1, l3, pair = contrasts(scores(arms), ["loss"], {"loss": "l2"}, is_searched=False, broken={("l1",): why})
    assert (l1.why_no_interval, l1.low, l1.p, l1.p_adjusted, l1.is_distinguishable) == (why, None, None, None, False)
    assert l1.difference == pytest.approx(1, abs=0.2)
    assert pair.why_no_interval == why
    # The broken contrast keeps its place in the family: the other one is adjusted as it will be when that is repaired.
    assert l3.p is not None and l3.p_adjusted == pytest.approx(2 * l3.p)
    assert l3.is_distinguishable


def test_an_arm_that_lost_all_of_its_seeds_does_not_vanish(rng: np.random.Generator) -> None:
    arms = crossed(rng, "ab", "xy")
    del arms["loss=b size=y"]
    why = "3 of 3 seeds of loss=b size=y diverged"
    found = contrasts(
        scores(arms), ["loss", "size"], {"loss": "a", "size": "x"}, is_searched=False, broken={("b", "y"): why}
    )
    reasons = {(each.factor, tuple(each.at)): each.why_no_interval for each in found}
    assert reasons == {("loss", ()): why, ("loss", ("size",)): None, ("size", ()): why, ("size", ("loss",)): None}
    alone = {name: values for name, values in arms.items() if name != "loss=a size=y"}
    table = scores({name: values for name, values in alone.items() if name.endswith("x")}).drop(columns="size")
    (_, gone) = contrasts(table, ["loss"], {"loss": "a"}, is_searched=False, broken={("c",): "all diverged"})
    assert math.isnan(gone.difference) and gone.why_no_interval == "all diverged"


def test_what_is_exploratory_is_not_tested_and_keeps_its_place_among_the_tests(rng: np.random.Generator) -> None:
    arms = {f"loss={loss}": random_values(rng, 1, 3) for loss in ("l1", "l2", "l3")}
    why = "4 trials of loss=l3 are outstanding"
    l1, l3, _ = contrasts(scores(arms), ["loss"], {"loss": "l2"}, is_searched=False, unsettled={("l3",): why})
    assert l3.low is not None and l3.p is not None and l3.p_adjusted is None
    assert l3.why_untested == f"exploratory: {why}"
    assert l1.p is not None and l1.p_adjusted == pytest.approx(min(1, 2 * l1.p))
    del arms["loss=l3"]
    l1, l3 = contrasts(scores(arms), ["loss"], {"loss": "l2"}, is_searched=False, unsettled={("l3",): why})[:2]
    assert l1.p is not None and l1.p_adjusted == pytest.approx(min(1, 2 * l1.p)), "also before any of it was judged"
    assert math.isnan(l3.difference)


def test_those_who_look_repeatedly_spend_no_more_than_alpha_however_often(rng: np.random.Generator) -> None:
    assert 0.99 < sum(1 / look_penalty(look) for look in range(1, 1000)) < 1
    arms = {f"loss={loss}": random_values(rng, 1, 3) + far for loss, far in (("l1", 1), ("l2", 0))}
    found = unadjusted(scores(arms), ["loss"], {"loss": "l2"}, unsettled={("l1",): "more was granted"})
    (second,), (unknown,) = adjust_p(found, 2), adjust_p(found, None)
    assert second.p is not None and second.p_repeated == pytest.approx(second.p * 4 * math.pi**2 / 6)
    assert second.p_adjusted is None and not second.is_distinguishable
    assert unknown.p_repeated is None


# Before the sweep


@pytest.mark.parametrize(("num_configurations", "num_seeds"), [(1, 5), (5, 1), (3, 3)])
@pytest.mark.parametrize("preference", [0.0, 0.2])
def test_the_smallest_detectable_difference_is_detected_four_times_in_five(
    rng: np.random.Generator, num_configurations: int, num_seeds: int, preference: float
) -> None:
    difference = smallest_detectable(
        num_configurations, num_seeds, 40, sd_configurations=0.05, sd_seeds=0.04, sd_preference=preference
    )
    assert difference is not None
    shape = (NUM_SIMULATED, 2, num_configurations, num_seeds, 40)
    spread = 0.05 if num_configurations > 1 else 0.0
    values = (
        rng.normal(0, spread, (*shape[:3], 1, 1)) + rng.normal(0, 0.04, (*shape[:4], 1)) + rng.normal(0, 0.25, shape)
    )
    values += rng.normal(0, preference, (*shape[:2], 1, 1, 40))
    units = values.mean(axis=3) if num_configurations > 1 else values[:, :, 0]
    found = [
        precision([one, other], DIFFERENCE).p(one.mean() - other.mean() + difference) < 0.05 for one, other in units
    ]
    assert 0.74 < np.mean(found) < 0.84


def test_more_of_anything_detects_less() -> None:
    def detectable(configurations: int = 3, seeds: int = 3, recordings: int = 40, **other: int) -> float:
        return smallest_detectable(configurations, seeds, recordings, **other) or math.nan

    plain = detectable()
    assert detectable(configurations=4) < plain
    assert detectable(seeds=4) < plain
    assert detectable(recordings=80) < plain
    assert detectable(num_cells=2) < plain
    assert detectable(num_contrasts=2) > plain


def test_more_tests_than_anyone_plans_detect_less_still() -> None:
    """A power solver that loses its way at few degrees of freedom says otherwise."""
    found = [smallest_detectable(1, 3, 200, num_contrasts=number) for number in (1, 2, 5, 10, 18, 100)]
    assert None not in found
    assert found == sorted(found, key=lambda each: each or 0)


@pytest.mark.parametrize("design", [(1, 1, 500), (3, 3, 1)])
def test_one_training_an_arm_or_one_recording_detects_nothing(design: tuple[int, int, int]) -> None:
    assert smallest_detectable(*design) is None


def test_trainings_do_not_replace_recordings() -> None:
    """Arms that fare differently on recordings are known no better than the few recordings tell."""
    found = smallest_detectable(1, 100_000, 20, sd_preference=0.3)
    # A power of 80 % at 5 %, of a difference between 20 pairs.
    expected = TTestPower().solve_power(effect_size=None, nobs=20, alpha=0.05, power=0.8) * 0.3 * math.sqrt(2)
    assert found == pytest.approx(expected, rel=0.01)


def test_the_foretelling_imports_nothing_slow() -> None:
    code = (
        "import sys, reports.statistics.precision\n"
        "print('heavy:', sorted({'pandas', 'statsmodels', 'scipy.stats', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout


# What a search finds


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "values", [[0.3, 0.1, 0.7, 0.5, 0.2], [0.3, 0.3, 0.1, 0.3], [0.4, math.nan, 0.2, math.nan, 0.9], [0.5]]
)
def test_the_expected_best_is_the_mean_over_all_choices(values: list[float], mode: str) -> None:
    best = max if mode == "max" else min
    costs = [float(3 * n + 1) for n in range(len(values))]
    found = expected_best(values, costs, "max" if mode == "max" else "min")
    assert list(found["n"]) == list(range(1, len(values) + 1))
    for n, cost, expected in found[["n", "cost", "expected_best"]].itertuples(index=False):
        choices = [[value for value in choice if value == value] for choice in itertools.combinations(values, n)]
        assert expected == pytest.approx(np.mean([best(choice) for choice in choices if choice]))
        assert cost == pytest.approx(np.mean([sum(choice) for choice in itertools.combinations(costs, n)]))


def test_the_expected_best_of_a_long_search_is_exact() -> None:
    found = expected_best(np.arange(1, 2001).tolist(), [1.0] * 2000, "max")
    # The mean of the largest of n numbers drawn from 1 … N.
    expected = found["n"] * 2001 / (found["n"] + 1)
    assert found["expected_best"].to_numpy() == pytest.approx(expected.to_numpy())


def test_where_every_trial_diverged_there_is_no_best() -> None:
    found = expected_best([math.nan, math.nan], [2.0, 4.0], "max")
    assert found["expected_best"].isna().all()
    assert list(found["cost"]) == [3, 6]


def test_the_expected_best_of_thousands_of_trials_takes_memory_for_some_sizes_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, costs = np.random.default_rng(0).normal(size=3000), np.ones(3000)
    tracemalloc.start()
    in_blocks = expected_best(values.tolist(), costs.tolist(), "max")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * 3000 * 3000 / 2
    monkeypatch.setattr("reports.statistics.expected_best.BLOCK_SIZES", 3000)
    pd.testing.assert_frame_equal(in_blocks, expected_best(values.tolist(), costs.tolist(), "max"))
