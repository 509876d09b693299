"""Angles, their differences in time, and the losses on them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.components.audio.phase import (
    angle_from_cos_sin,
    angle_from_frequency,
    anti_wrapping_loss,
    cos_sin,
    cosine_distance,
    instantaneous_frequency,
    unwrap,
    wrap,
)
from trainables.components.audio.spectrogram import phase
from trainables.components.representation.scene import TrainingClips
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms

SAMPLES = 44100


def random(seed: int, clips: int = 2) -> Tensor:
    """Angles within ±π."""
    return math.pi * (2 * torch.rand(clips, 192, 512, generator=torch.Generator().manual_seed(seed)) - 1)


def whole_turns() -> Tensor:
    return 2 * math.pi * torch.randint(-3, 4, (2, 192, 512), generator=torch.Generator().manual_seed(9))


ANGLES = {
    "noise": random(0),
    "one clip": random(1, clips=1),
    "silence": phase(torch.zeros(1, SAMPLES)),
    "a tone": phase(torch.sin(0.2 * torch.arange(SAMPLES))[None]),
}
EVERY_KIND = pytest.mark.parametrize("angle", ANGLES.values(), ids=ANGLES)


def assert_same_direction(angle: Tensor, expected: Tensor) -> None:
    assert wrap(angle - expected).abs().max() < 1e-4


@EVERY_KIND
def test_wrapping_takes_whole_turns_off(angle: Tensor) -> None:
    turns = 2 * math.pi * torch.arange(-95, 97)[:, None]
    assert wrap(angle + turns).abs().max() <= math.pi + 1e-4
    assert_same_direction(wrap(angle + turns), angle)


@EVERY_KIND
def test_unwrapping_is_that_of_numpy(angle: Tensor) -> None:
    expected = np.unwrap(angle.double().numpy(), axis=1)
    torch.testing.assert_close(unwrap(angle.double()), torch.from_numpy(expected))
    # In single precision a jump of π to the last digit may go either way, as long as it is no longer one.
    assert unwrap(angle).diff(dim=1).abs().max() <= math.pi + 1e-4
    assert_same_direction(unwrap(angle), angle)


@EVERY_KIND
def test_angles_come_back_from_their_frequency(angle: Tensor) -> None:
    frequency = instantaneous_frequency(angle)
    assert frequency.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(math.pi * frequency[:, 0], angle[:, 0])
    back = angle_from_frequency(frequency)
    assert back.dtype == angle.dtype and back.abs().max() <= math.pi + 1e-6
    assert_same_direction(back, angle)


def test_a_tone_has_one_frequency() -> None:
    # 50 of 1,024 samples: in a hop of 230 it turns 11.23 times, and what is left is 0.46 of half a turn.
    tone = torch.sin(2 * math.pi * 50 / 1024 * torch.arange(SAMPLES))[None]
    frequency = instantaneous_frequency(phase(tone))[0, 4:-4, 49]
    torch.testing.assert_close(frequency, torch.full_like(frequency, 2 * (50 * 230 / 1024 - 11)), atol=1e-3, rtol=0)


@EVERY_KIND
def test_angles_come_back_from_pairs_of_any_length(angle: Tensor) -> None:
    assert_same_direction(angle_from_cos_sin(3 * cos_sin(angle)), angle)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "anti_wrapping": anti_wrapping_loss,
    "cosine_distance": lambda estimate, target, weight=None: cosine_distance(
        cos_sin(estimate), cos_sin(target), weight
    ),
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@EVERY_LOSS
@pytest.mark.parametrize("weight", [None, torch.rand(2, 192, 512)], ids=["plain", "weighted"])
def test_a_loss_is_zero_for_the_target_and_more_for_anything_else(
    loss: Callable[..., Tensor], weight: Tensor | None
) -> None:
    target = random(0)
    values = [loss(target + error * random(1), target, weight).item() for error in (0, 0.01, 0.1, 1)]
    assert values[0] == 0
    assert values == sorted(set(values))


@EVERY_LOSS
def test_whole_turns_cost_nothing(loss: Callable[..., Tensor]) -> None:
    estimate, target = random(0), random(1)
    torch.testing.assert_close(loss(estimate + whole_turns(), target), loss(estimate, target), atol=1e-4, rtol=0)
    assert loss(target + whole_turns(), target) < 1e-4


@EVERY_LOSS
def test_no_batch_size_changes_a_loss(loss: Callable[..., Tensor]) -> None:
    estimate, target, weight = random(0), random(1), torch.rand(2, 192, 512) * torch.tensor([1, 50])[:, None, None]
    alone = [loss(estimate[k : k + 1], target[k : k + 1], weight[k : k + 1]) for k in range(2)]
    torch.testing.assert_close(loss(estimate, target, weight), torch.stack(alone).mean())


@EVERY_LOSS
def test_only_what_has_weight_counts(loss: Callable[..., Tensor]) -> None:
    target, loud = random(0), torch.zeros(2, 192, 512)
    loud[:, 20:60, 100:200] = 3
    estimate = torch.where(loud > 0, target, random(1))
    assert loss(estimate, target, loud) == 0
    assert loss(estimate, target, torch.zeros_like(loud)) == 0, "silence"
    torch.testing.assert_close(loss(random(1), target, torch.full_like(loud, 7)), loss(random(1), target))


def test_an_angle_that_knows_nothing_costs_a_quarter_turn_a_term() -> None:
    assert anti_wrapping_loss(random(0), random(1)).item() == pytest.approx(3 * math.pi / 2, rel=0.01)
    assert cosine_distance(cos_sin(random(0)), cos_sin(random(1))).item() == pytest.approx(1, abs=0.01)


def test_anti_wrapping_sees_a_constant_error_in_one_term_only() -> None:
    assert anti_wrapping_loss(random(0) + 1, random(0)).item() == pytest.approx(1, abs=1e-4)


def test_the_cosine_distance_is_one_minus_the_cosine_whatever_the_length() -> None:
    estimate, target = random(0), random(1)
    expected = (1 - (estimate - target).cos()).mean()
    torch.testing.assert_close(cosine_distance(5 * cos_sin(estimate), cos_sin(target)), expected)


@pytest.mark.parametrize("error", [0.0, math.pi, -math.pi, 3 * math.pi, 1e4])
def test_gradients_of_anti_wrapping_are_finite(error: float) -> None:
    estimate = (random(0) + error).requires_grad_()
    anti_wrapping_loss(estimate, random(0), torch.rand(2, 192, 512)).backward()
    assert estimate.grad is not None and estimate.grad.isfinite().all()


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-6, 1.0, 1e6])
def test_gradients_of_the_cosine_distance_are_bounded(length: float) -> None:
    estimate = (length * cos_sin(random(0))).requires_grad_()
    cosine_distance(estimate, cos_sin(random(1))).backward()
    assert estimate.grad is not None
    assert estimate.grad.abs().max() <= 2e3 / random(0).numel()


def test_the_mean_frequency_of_a_corpus_is_that_of_the_circle(corpus: Corpus) -> None:
    mean = TrainingClips(corpus).mean_frequency
    sounds = read_waveforms(corpus.waveforms(), corpus.indices("train"))
    away = math.pi * (instantaneous_frequency(phase(sounds)) - mean)
    resultant = torch.polar(torch.ones_like(away), away).mean(dim=0)
    assert resultant.imag.abs().max() < 1e-4 and resultant.real.min() >= -1e-4
