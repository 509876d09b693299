"""InfoNCE and the class-contrastive loss against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.image_to_sound.contrastive import FIRST_TEMPERATURE, MIN_TEMPERATURE, Contrast

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
APART = torch.arange(6)
"""Every pair is of another recording."""


def batch(seed: int) -> Tensor:
    return torch.randn(6, 8, generator=torch.Generator().manual_seed(seed))


def logits_of(pictures: Tensor, sounds: Tensor) -> Tensor:
    return F.normalize(pictures, dim=1) @ F.normalize(sounds, dim=1).T / FIRST_TEMPERATURE


def supervised(logits: Tensor) -> float:
    """The formula of SupCon, pair by pair."""
    total = 0.0
    for row, label in zip(logits.tolist(), LABELS, strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        positives = [value - log_sum for value, other in zip(row, LABELS, strict=True) if other == label]
        total -= sum(positives) / len(positives)
    return total / len(logits)


def test_of_instances_it_is_the_cross_entropy_of_finding_the_own_pair() -> None:
    pictures, sounds = batch(0), batch(1)
    logits, own = logits_of(pictures, sounds), torch.arange(6)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(Contrast(0.0)(pictures, sounds, LABELS, APART), expected)


def test_other_clips_of_a_recording_are_no_negatives_of_instances() -> None:
    # Four recordings with a still picture, of five clips each, which the model tells apart without fail.
    latents, recordings = torch.eye(4).repeat_interleave(5, dim=0), torch.arange(4).repeat_interleave(5)
    assert Contrast(0.0)(latents, latents, recordings, recordings).item() < 1e-4
    pictures, sounds, pairs = batch(0), batch(1), torch.tensor([0, 1, 0, 2, 3, 4])
    logits = logits_of(pictures, sounds)
    logits[0, 2] = logits[2, 0] = -torch.inf
    expected = (F.cross_entropy(logits, APART) + F.cross_entropy(logits.T, APART)) / 2
    torch.testing.assert_close(Contrast(0.0)(pictures, sounds, LABELS, pairs), expected)


def test_of_classes_it_is_the_formula_of_supervised_contrastive_learning() -> None:
    pictures, sounds = batch(0), batch(1)
    logits = logits_of(pictures, sounds)
    expected = (supervised(logits) + supervised(logits.T)) / 2
    assert Contrast(1.0)(pictures, sounds, LABELS, APART).item() == pytest.approx(expected, rel=1e-5)


def test_it_is_the_weighted_sum_of_both() -> None:
    pictures, sounds = batch(0), batch(1)
    instance, class_, mixed = (Contrast(share)(pictures, sounds, LABELS, APART) for share in (0.0, 1.0, 0.25))
    torch.testing.assert_close(mixed, 0.75 * instance + 0.25 * class_)


def test_with_classes_alone_nobody_asks_which_sound_of_a_class_it_is() -> None:
    pictures, sounds = batch(0), batch(1)
    order = torch.tensor([5, 4, 0, 3, 1, 2])
    assert torch.equal(LABELS[order], LABELS)
    of_class, of_both = Contrast(1.0), Contrast(0.5)
    torch.testing.assert_close(
        of_class(pictures, sounds[order], LABELS, APART), of_class(pictures, sounds, LABELS, APART)
    )
    assert not torch.allclose(of_both(pictures, sounds[order], LABELS, APART), of_both(pictures, sounds, LABELS, APART))


def test_labels_that_all_differ_make_both_parts_the_same() -> None:
    pictures, sounds, labels = batch(0), batch(1), torch.arange(6)
    torch.testing.assert_close(
        Contrast(1.0)(pictures, sounds, labels, APART), Contrast(0.0)(pictures, sounds, labels, APART)
    )


@pytest.mark.parametrize("class_share", [0.0, 0.5, 1.0])
def test_it_is_symmetric_blind_to_lengths_and_lower_for_pairs_that_agree(class_share: float) -> None:
    contrast, pictures, sounds = Contrast(class_share), batch(0), batch(1)
    loss = contrast(pictures, sounds, LABELS, APART)
    torch.testing.assert_close(contrast(sounds, pictures, LABELS, APART), loss)
    torch.testing.assert_close(contrast(7 * pictures, sounds / 3, LABELS, APART), loss)
    classes = torch.eye(8)[LABELS]
    assert contrast(classes + 0.1 * pictures, classes + 0.1 * sounds, LABELS, APART) < loss


def test_gradients_are_finite_also_of_nothing_and_of_pairs_that_agree() -> None:
    for pictures, sounds in ((torch.zeros(6, 8), torch.zeros(6, 8)), (batch(0), batch(0))):
        contrast = Contrast(0.5)
        pictures.requires_grad_()
        contrast(pictures, sounds, LABELS, APART).backward()
        assert pictures.grad is not None and pictures.grad.isfinite().all()
        assert contrast.log_temperature.grad is not None and contrast.log_temperature.grad.isfinite()


def test_the_temperature_is_learnt_stays_above_its_least_and_comes_back_from_there() -> None:
    contrast, pictures = Contrast(0.0), batch(0)
    optimizer = torch.optim.Adam(contrast.parameters(), lr=0.3)

    def learn(sounds: Tensor, steps: int) -> list[float]:
        values = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = contrast(pictures, sounds, LABELS, APART)
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return values

    agreeing = learn(pictures + 0.3 * batch(2), 40)
    assert agreeing[-1] < agreeing[0], "pairs that agree make it colder"
    at_least = F.cross_entropy(logits_of(pictures, batch(1)) * FIRST_TEMPERATURE / MIN_TEMPERATURE, torch.arange(6))
    others = learn(batch(1), 40)
    assert others[0] < 3 * at_least, "never colder than the least"
    assert others[-1] < others[0] / 2, "strangers make it warmer again"
