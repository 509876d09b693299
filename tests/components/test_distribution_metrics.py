from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.distributions import (
    Bins,
    count_bins,
    diversity,
    frechet_distance,
    inception_score,
)
from trainables.components.assessment.kernel_distances import kernel_distance
from trainables.errors import InputError

Distance = Callable[[Tensor, Tensor], float]
every_distance = pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])


def clips(seed: int, count: int, features: int) -> Tensor:
    """Embeddings whose features matter less and less, as those of networks do."""
    drawn = torch.randn(count, features, generator=torch.Generator().manual_seed(seed))
    return drawn * torch.logspace(0, -1, features)


def exactly(mean: Tensor, covariance: Tensor, seed: int) -> Tensor:
    """500 clips that have this very mean and covariance."""
    drawn = torch.randn(500, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centred = drawn - drawn.mean(dim=0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(centred.T.cov()), centred.T, upper=False)
    return mean + white.T @ torch.linalg.cholesky(covariance).T


def by_hand_kernel_distance(generated: Tensor, reference: Tensor) -> float:
    """The sums of the kernel written out, the pairs of a clip with itself left out."""

    def mean_kernel(first: Tensor, second: Tensor, *, of_itself: bool) -> float:
        values = [
            (float(one @ other) / len(one) + 1) ** 3
            for i, one in enumerate(first)
            for j, other in enumerate(second)
            if not of_itself or i != j
        ]
        return sum(values) / len(values)

    return (
        mean_kernel(generated, generated, of_itself=True)
        + mean_kernel(reference, reference, of_itself=True)
        - 2 * mean_kernel(generated, reference, of_itself=False)
    )


def test_frechet_distance_of_gaussians_along_the_same_axes_is_that_of_their_deviations() -> None:
    means = torch.tensor([[0.0, 0, 0], [1, -2, 0]], dtype=torch.float64)
    deviations = torch.tensor([[1.0, 2, 3], [1, 1, 0.5]], dtype=torch.float64)
    generated, reference = (
        exactly(mean, deviation.square().diag(), seed)
        for seed, (mean, deviation) in enumerate(zip(means, deviations, strict=True))
    )
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert frechet_distance(generated, reference) == pytest.approx(expected.item(), rel=1e-5)
    assert frechet_distance(reference, generated) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("count", [8, 400], ids=["fewer than features", "more than features"])
def test_frechet_distance_is_that_of_scipys_root(count: int) -> None:
    generated, reference = clips(1, count, 20) @ clips(3, 20, 20) + 0.1, clips(2, 400, 20)
    first, second = (np.cov(each.double().numpy().T) + 1e-6 * np.eye(20) for each in (generated, reference))
    shift = (generated.double().mean(dim=0) - reference.double().mean(dim=0)).numpy()
    expected = shift @ shift + np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)
    assert frechet_distance(generated, reference) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_to_itself_is_zero_even_with_few_clips_and_dead_features() -> None:
    few = clips(0, 8, 32)
    few[:, :4] = 0
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(1000 * few, 1000 * few) == pytest.approx(0, abs=1e-5 * 1000**2)


@every_distance
def test_the_further_the_clips_are_shifted_the_greater_the_distance(distance: Distance) -> None:
    reference = clips(0, 300, 16)
    distances = [distance(clips(1, 300, 16) + shift, reference) for shift in (0.0, 0.2, 0.5, 1.0)]
    assert distances == sorted(distances)
    assert distances[3] > 10 * abs(distances[0])


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_the_order_of_clips_does_not_matter(distance: Distance) -> None:
    generated, reference = clips(1, 50, 8), clips(0, 60, 8)
    assert distance(generated.flip(0), reference) == pytest.approx(distance(generated, reference), rel=1e-9)


def test_kernel_distance_is_the_sum_written_out() -> None:
    generated, reference = clips(1, 12, 5).double() + 0.3, clips(2, 15, 5).double()
    expected = by_hand_kernel_distance(generated, reference)
    assert kernel_distance(generated, reference) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_few_clips_of_the_same_kind_is_zero_on_average() -> None:
    values = [kernel_distance(clips(2 * seed, 30, 16), clips(2 * seed + 1, 40, 16)) for seed in range(100)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(100)


def test_inception_score_goes_from_one_to_the_number_of_classes() -> None:
    assert inception_score(torch.full((7, 4), 0.25)) == pytest.approx(1)
    assert inception_score(torch.eye(4).repeat(3, 1)) == pytest.approx(4)
    assert inception_score(torch.eye(4)[[2, 2, 2]]) == pytest.approx(1), "sure of one class only"


def test_inception_score_is_the_mean_divergence_that_scipy_knows() -> None:
    probabilities = (3 * clips(0, 40, 6)).softmax(dim=1).double()
    divergences = scipy.stats.entropy(probabilities.numpy(), probabilities.mean(dim=0).numpy()[None], axis=1)
    assert inception_score(probabilities) == pytest.approx(np.exp(divergences.mean()))


def blobs(counts: list[int], seed: int) -> Tensor:
    """Clips around as many places as there are counts, far from each other."""
    places = 100 * torch.eye(len(counts)).repeat_interleave(torch.tensor(counts), dim=0)
    return places + clips(seed, sum(counts), len(counts))


def test_bins_are_where_the_reference_is() -> None:
    bins = count_bins(blobs([5, 0, 60, 7], 1), blobs([30, 20, 40, 10], 2), num_bins=4)
    counted = sorted(zip(bins.reference.tolist(), bins.generated.tolist(), strict=True))
    assert counted == [(10, 7), (20, 0), (30, 5), (40, 60)]


def test_bins_of_the_same_clips_do_not_differ_and_of_others_all_do() -> None:
    reference = blobs([25, 25, 25, 25], 0)
    same = count_bins(reference, reference, num_bins=4)
    assert same.num_different == same.fraction_different == 0
    assert count_bins(blobs([200, 0, 0, 0], 1), reference, num_bins=4).fraction_different == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_seed_decides_on_the_bins(seed: int) -> None:
    generated, reference = clips(1, 200, 4), clips(0, 300, 4)
    first, again, other = (count_bins(generated, reference, num_bins=20, seed=each) for each in (seed, seed, seed + 1))
    assert first.reference.tolist() == again.reference.tolist() != other.reference.tolist()
    assert first.generated.sum() == 200 and first.reference.sum() == 300 and first.reference.min() > 0


def drawn_bins(generated: NDArray[np.float64], reference: NDArray[np.float64], seed: int) -> Bins:
    rng = np.random.default_rng(seed)
    return Bins(rng.multinomial(5000, generated), rng.multinomial(8000, reference))


@pytest.mark.parametrize("num_bins", [2, 5, 50])
def test_bins_differ_where_a_two_by_two_table_does(num_bins: int) -> None:
    expected = []
    for seed in range(40):
        proportions = np.random.default_rng(seed).dirichlet(np.full(num_bins, 1000 / num_bins), 2)
        bins = drawn_bins(*proportions, seed=seed)
        tests = [
            scipy.stats.chi2_contingency([[one, 5000 - one], [other, 8000 - other]], correction=False)
            for one, other in zip(bins.generated, bins.reference, strict=True)
        ]
        expected.append(sum(test.pvalue < 0.05 for test in tests))
        assert bins.num_different == expected[-1]
    assert 0.2 < np.mean(expected) / num_bins < 0.8


def test_one_bin_in_twenty_differs_by_chance() -> None:
    proportions = np.random.default_rng(0).dirichlet(np.full(50, 20.0))
    fractions = [drawn_bins(proportions, proportions, seed).fraction_different for seed in range(40)]
    assert np.mean(fractions) == pytest.approx(0.05, abs=0.015)


def test_an_empty_bin_does_not_differ() -> None:
    bins = Bins(np.array([10, 0, 0]), np.array([0, 0, 10]))
    assert bins.num_different == 2


def test_diversity_is_the_ratio_of_scipys_distances_within_classes() -> None:
    generated, reference = clips(0, 18, 6) + 1, clips(1, 9, 6)
    labels, reference_labels = np.repeat([0, 7, 1], 6), np.repeat([0, 1, 2], 3)
    ours, real = (
        [scipy.spatial.distance.pdist(each[torch.from_numpy(of == label)], "cosine").mean() for label in (0, 1)]
        for each, of in ((generated, labels), (reference, reference_labels))
    )
    assert diversity(generated, reference, labels, reference_labels) == pytest.approx(sum(ours) / sum(real), rel=1e-5)


def test_diversity_falls_to_nothing_as_clips_collapse_into_their_classes_mean() -> None:
    reference, labels = clips(0, 40, 8) + torch.eye(8).repeat(5, 1), np.arange(40) % 8
    means = torch.stack([reference[torch.from_numpy(labels == label)].mean(dim=0) for label in labels])
    values = [diversity(reference.lerp(means, by), reference, labels, labels) for by in (0.0, 0.3, 0.6, 1.0)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0, abs=1e-6)


def test_clips_that_are_all_the_same_give_numbers() -> None:
    same, real = torch.zeros(60, 4), clips(0, 60, 4)
    labels = np.zeros(60, np.int64)
    for generated, reference in ((same, same), (same, real), (real, same)):
        for distance in (frechet_distance, kernel_distance):
            assert np.isfinite(distance(generated, reference))
        assert np.isfinite(diversity(generated, reference, labels, labels))
    assert 0 < count_bins(same, real).fraction_different <= 1


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: frechet_distance(clips(0, 1, 4), clips(1, 9, 4)), "Fréchet distance: 1 clips are too few"),
        (lambda: frechet_distance(clips(0, 9, 4), clips(1, 1, 4)), "1 clips are too few; give 2"),
        (lambda: kernel_distance(clips(0, 1, 4), clips(1, 9, 4)), "kernel distance: 1 clips"),
        (lambda: inception_score(torch.zeros(0, 4)), "inception score: 0 clips"),
        (lambda: count_bins(clips(0, 9, 4), clips(1, 49, 4)), "50 bins: 49 clips"),
        (lambda: diversity(clips(0, 2, 4), clips(1, 2, 4), np.array([0, 1]), np.array([0, 0])), "no class has two"),
    ],
)
def test_too_few_clips_are_refused(measure: Callable[[], float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure()
