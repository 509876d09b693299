from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.components.audio.log_power_metrics import (
    FractionUnexplained,
    Variation,
    average_by_recording,
    lsd_db,
    score_recordings,
)

NATS_PER_DB = math.log(10) / 10


def test_fvu_is_zero_for_the_target_and_one_for_each_clips_mean() -> None:
    target = torch.randn(3, 4, 5) + torch.tensor([0.0, 5.0, -9.0])[:, None, None]
    perfect, constant = FractionUnexplained(), FractionUnexplained()
    perfect.add(target, target)
    constant.add(target.mean(dim=(1, 2), keepdim=True).expand_as(target), target)
    assert perfect.value == 0
    assert constant.value == pytest.approx(1)


def test_fvu_is_a_ratio_of_sums_whatever_the_batches() -> None:
    target = torch.randn(6, 4, 5) * torch.linspace(0.1, 3, 6)[:, None, None]
    estimate = target + 0.3 * torch.randn(6, 4, 5)
    whole, parts = FractionUnexplained(), FractionUnexplained()
    whole.add(estimate, target)
    for part in (slice(0, 1), slice(1, 6)):
        parts.add(estimate[part], target[part])
    assert parts.value == pytest.approx(whole.value)


def test_the_fvu_of_constant_clips_is_not_a_number() -> None:
    fvu = FractionUnexplained()
    fvu.add(torch.randn(2, 4, 5), torch.ones(2, 4, 5))
    assert math.isnan(fvu.value)


def test_variation_is_that_of_all_batches_together() -> None:
    target = torch.randn(6, 4, 5)
    variation = Variation()
    for part in (slice(0, 1), slice(1, 6)):
        variation.add(0.5 * target[part] + 7, target[part])
    assert variation.value == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_between_targets_that_do_not_differ_there_is_no_variation(count: int) -> None:
    # Sums of such numbers are rounded, so that the variance is not exactly 0.
    variation = Variation()
    variation.add(torch.randn(count, 4, 5), (torch.full((4, 5), 0.1) * torch.arange(5)).expand(count, 4, 5))
    assert not variation.do_targets_vary and math.isnan(variation.value)


def test_lsd_is_the_level_difference_of_two_spectra() -> None:
    target = torch.randn(2, 4, 5)
    torch.testing.assert_close(lsd_db(target + 10 * NATS_PER_DB, target), torch.tensor([10.0, 10.0]))


def test_a_recording_counts_once_however_many_clips_it_has() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    heard = score_recordings(probabilities, np.array([0, 0, 0, 1]), np.array(["a", "a", "a", "b"]))
    assert list(heard.recordings) == ["a", "b"]
    assert heard.mean_probability == pytest.approx((0.9 + 0.4) / 2)
    assert heard.accuracy == 0.5


def test_a_recording_is_heard_by_the_mean_over_its_clips() -> None:
    probabilities = torch.tensor([[0.55, 0.45], [0.1, 0.9], [0.52, 0.48]])
    heard = score_recordings(probabilities, np.array([1, 1, 1]), np.array(["a", "a", "a"]))
    assert heard.accuracy == 1


def test_means_by_recording_keep_the_columns_apart() -> None:
    means = average_by_recording(np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]]), np.array([1, 1, 0]))
    assert means.tolist() == [[5, 50], [2, 20]]


def test_a_recording_without_finite_probabilities_is_neither_right_nor_wrong() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [torch.nan, torch.nan], [0.2, 0.8]])
    verdict = score_recordings(probabilities, np.array([0, 0, 0]), np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(verdict.is_right, [1.0, np.nan, 0.0])
    assert np.isnan(verdict.accuracy)
