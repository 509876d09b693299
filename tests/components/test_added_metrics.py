from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from trainables.components.assessment import added_metrics
from trainables.components.assessment.added_metrics import METRICS, measure_embeddings, measure_sounds, register_metric
from trainables.components.assessment.distributions import SMALL_FEATURES, frechet_distance
from trainables.components.assessment.embeddings import Reference
from trainables.components.assessment.kernel_distances import KernelDistance, cubic_kernel, kernel_distance
from trainables.components.assessment.shipped_metrics import frechet, kernel_audio_distance, kernel_inception_distance
from trainables.errors import InputError

RATE_HZ = 22_050


def draw(count: int, shift: float = 0.0, features: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, features)) + shift).astype(np.float32)


def test_the_frechet_distance_is_that_of_the_covariances() -> None:
    generated, reference = draw(60, 0.5), draw(90, seed=1)
    expected = frechet_distance(torch.from_numpy(generated), torch.from_numpy(reference))
    assert frechet(generated, reference, np.arange(60)).value == pytest.approx(expected, rel=1e-4)


def test_fewer_clips_than_features_are_no_problem() -> None:
    generated, reference = draw(10, 0.5, features=64), draw(20, features=64, seed=1)
    expected = frechet_distance(torch.from_numpy(generated), torch.from_numpy(reference))
    assert frechet(generated, reference, np.arange(10)).value == pytest.approx(expected, rel=1e-3)


def test_the_kernel_distance_is_kid() -> None:
    generated, reference = draw(40, 0.5), draw(50, seed=1)
    expected = kernel_distance(torch.from_numpy(generated), torch.from_numpy(reference))
    assert kernel_inception_distance(generated, reference, np.arange(40)).value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "of_reference"), [(40, 90), (1100, 2048)])
def test_a_value_with_an_interval_is_the_value_without(count: int, of_reference: int) -> None:
    reference = Reference(torch.from_numpy(draw(of_reference, seed=1)), np.zeros(of_reference, np.int64))
    embeddings, recordings = torch.from_numpy(draw(count, 0.3)), np.arange(count) // 2
    plain = reference.distances(embeddings, "fad")
    measured = reference.added_metrics(["fad", "kid"], embeddings, recordings)
    for name in ("fad", "kid"):
        assert measured[name] == pytest.approx(plain[name], rel=1e-9)
        assert measured[f"{name}_low"] < plain[name] < measured[f"{name}_high"]


def test_many_features_are_compared_by_clips_with_the_same_value() -> None:
    generated, reference = draw(30, 0.5, features=600), draw(20, features=600, seed=1)
    assert 600 > SMALL_FEATURES
    centred = [clips - clips.mean(axis=0) for clips in (generated.astype(float), reference.astype(float))]
    first, second = (clips.T @ clips / (len(clips) - 1) for clips in centred)
    values, vectors = np.linalg.eigh(second)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ first @ root).clip(0)).sum()
    shift = (generated.mean(axis=0) - reference.mean(axis=0)).astype(float)
    expected = shift @ shift + np.trace(first + second) - 2 * shared
    assert frechet(generated, reference, np.arange(30)).value == pytest.approx(expected, rel=1e-5)


def test_the_sums_of_a_kernel_are_those_of_its_matrix() -> None:
    generated, reference, folds = (torch.from_numpy(draw(700, seed=0)), torch.from_numpy(draw(600, seed=1)), 3)
    numbers = torch.arange(700) % folds
    distance = KernelDistance(generated, reference, cubic_kernel, numbers)
    assert distance.of_folds([0, 2]) == pytest.approx(kernel_distance(generated[numbers != 1], reference), rel=1e-9)
    own, of_reference = (cubic_kernel(clips.double(), clips.double()) for clips in (generated, reference))
    within = [(values.sum() - values.trace()) / (len(values) * (len(values) - 1)) for values in (own, of_reference)]
    expected = sum(within) - 2 * cubic_kernel(generated.double(), reference.double()).mean()
    assert distance.of_all() == pytest.approx(float(expected), rel=1e-8)


def test_kad_is_unbiased_for_any_number_of_clips() -> None:
    reference = draw(200, seed=1)
    for count in (10, 100):
        values = [
            kernel_audio_distance(draw(count, seed=seed), reference, np.arange(count)).value for seed in range(40)
        ]
        # The mean over draws of the same distribution is 0 within three standard errors of it.
        assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values)) + 0.1
    assert kernel_audio_distance(draw(100, 1.0), reference, np.arange(100)).value > 5


def test_the_interval_covers_what_other_draws_give() -> None:
    reference, shifted = draw(200, seed=99), 0.4
    truth = np.mean(
        [kernel_audio_distance(draw(60, shifted, seed=s), reference, np.arange(60)).value for s in range(60)]
    )
    covered = 0
    for seed in range(20):
        measured = measure_embeddings(["kad"], "", draw(60, shifted, seed=seed), reference, np.arange(60))
        covered += measured["kad_low"] <= truth <= measured["kad_high"]
    assert covered >= 16


def test_clips_of_one_recording_count_once() -> None:
    generated = draw(30, 0.4)
    doubled, groups = np.repeat(generated, 3, axis=0), np.repeat(np.arange(30), 3)
    reference = draw(100, seed=1)
    by_recording = frechet(doubled, reference, groups).standard_error
    by_clip = frechet(doubled, reference, np.arange(90)).standard_error
    assert by_recording > 1.3 * by_clip


def test_embeddings_that_are_not_finite_have_no_distance() -> None:
    generated = draw(10)
    generated[0] = np.inf
    measured = measure_embeddings(["kad", "fad"], "ear_", generated, draw(10), np.arange(10))
    assert set(measured) == {f"ear_{name}{end}" for name in ("kad", "fad") for end in ("", "_low", "_high")}
    assert all(map(math.isnan, measured.values()))


def test_a_metric_of_one_s_own_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "_parts", dict(METRICS._parts))

    @register_metric("peak_error", of="sounds", mode="min", description="difference of the peaks")
    def peak_error(sounds: np.ndarray, originals: np.ndarray, rate_hz: int) -> np.ndarray:
        return np.abs(sounds.max(axis=1) - originals.max(axis=1))

    sounds, originals = np.array([[0.0, 0.5], [0.0, 0.1]]), np.array([[0.0, 0.4], [0.0, 0.3]])
    assert measure_sounds(["peak_error", "kad"], sounds, originals, RATE_HZ)["peak_error"] == pytest.approx([0.1, 0.2])
    described = added_metrics.describe_added({}, [], ["peak_error"], "sound")
    assert described["val/peak_error"].description == "difference of the peaks"


def test_a_metric_that_returns_one_number_for_all_clips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "_parts", dict(METRICS._parts))
    register_metric("mean", of="sounds", mode="min", description="")(lambda sounds, originals, rate_hz: sounds.mean())
    with pytest.raises(InputError, match=r"metric mean: returned shape \(\) for 2 clips; return one value a clip"):
        measure_sounds(["mean"], np.zeros((2, 9)), np.zeros((2, 9)), RATE_HZ)


def test_another_metric_of_a_shipped_name_is_refused() -> None:
    with pytest.raises(InputError, match="metric 'kad' is registered twice"):
        register_metric("kad", of="sounds", mode="min", description="")(lambda sounds, originals, rate_hz: sounds)


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("stoi", "pystoi"), ("visqol", "visqol")])
def test_a_package_that_is_not_installed_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InputError, match=rf"metric {name}: the package {package} can't be imported.*pip install"):
        measure_sounds([name], np.ones((1, 9), np.float32), np.ones((1, 9), np.float32), RATE_HZ)


def speech(seed: int) -> np.ndarray:
    """2 s of noise with the rhythm of syllables, shape (1, samples)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    pitch = sum(np.sin(2 * np.pi * 150 * k * time_s) / k for k in range(1, 20))
    rhythm = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time_s)
    return (0.1 * rhythm * (pitch + 0.1 * rng.standard_normal(len(time_s))))[None].astype(np.float32)


# The lock file has the package of stoi; the others need a compiler, and are tested where somebody installed them.
@pytest.mark.parametrize("name", ["stoi", *filter(find_spec, ("pesq", "visqol"))])
def test_scores_fall_with_noise_and_silence_has_none(name: str) -> None:
    original = speech(0)
    noise = np.random.default_rng(1).standard_normal(original.shape).astype(np.float32)
    sounds = np.concatenate([original, original + 0.1 * noise, np.zeros_like(original)])
    scores = measure_sounds([name], sounds, np.concatenate([original] * 3), RATE_HZ)[name]
    assert scores[0] > scores[1] and math.isnan(scores[2])
