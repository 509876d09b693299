"""The index of training clips."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainables.components.representation import nearest
from trainables.components.representation.nearest import NearestClips

CLASSES = 3


def clips(seed: int, count: int) -> Tensor:
    """Spectrograms in nats: a smooth pattern each, at its own level and contrast."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 6, 8, generator=generator)
    patterns = torch.nn.functional.interpolate(coarse, (24, 64), mode="bilinear")[:, 0]
    level, contrast = (torch.rand(count, 1, 1, generator=generator) for _ in range(2))
    return -9 + 8 * level + (0.5 + 3 * contrast) * patterns


def labels(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def index(train: Tensor, batch: int = 7) -> NearestClips:
    return NearestClips(train, iter(train.split(batch)), labels(len(train)))


def distances(queries: Tensor, train: Tensor) -> Tensor:
    """Between all clips, pixel by pixel, each clip's mean and standard deviation taken out."""
    pixels = [(each.flatten(1) - each.mean(dim=(1, 2))[:, None]).double() for each in (queries, train)]
    first, second = (each / each.std(dim=1, correction=0, keepdim=True) for each in pixels)
    return torch.cdist(first, second)


TRAIN, QUERIES = clips(0, 50), clips(1, 40)


def test_the_nearest_clip_is_the_one_at_the_least_distance() -> None:
    assert len(index(TRAIN)) == 50
    assert torch.equal(index(TRAIN).find(QUERIES), distances(QUERIES, TRAIN).argmin(dim=1))


def test_with_labels_it_is_the_nearest_of_the_class() -> None:
    of_queries = torch.arange(len(QUERIES)).flip(0) % CLASSES
    found = index(TRAIN).find(QUERIES, labels=of_queries)
    assert torch.equal(labels(50)[found], of_queries)
    is_other = of_queries[:, None] != labels(50)
    assert torch.equal(found, distances(QUERIES, TRAIN).masked_fill(is_other, torch.inf).argmin(dim=1))


def test_a_class_without_a_clip_is_looked_for_in_all_of_them() -> None:
    found = index(TRAIN).find(QUERIES[:1], labels=torch.tensor([CLASSES]))
    assert torch.equal(found, index(TRAIN).find(QUERIES[:1]))


def test_a_clip_finds_itself_at_any_level_and_contrast() -> None:
    many = clips(2, 300)
    assert torch.equal(index(many).find(3 + 0.5 * many), torch.arange(300))


def test_neither_batches_nor_parts_of_the_search_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = index(TRAIN).find(QUERIES, labels=labels(40))
    monkeypatch.setattr(nearest, "SEARCHED_VALUES", 150)
    assert torch.equal(index(TRAIN, batch=50).find(QUERIES, labels=labels(40)), expected)
    assert torch.equal(index(TRAIN).find(QUERIES[:1], labels=labels(1)), expected[:1])


def test_a_sample_is_enough_to_find_the_components() -> None:
    many, asked = clips(2, 400), clips(3, 60)
    built = NearestClips(many[::4], many.split(64), labels(400))
    assert (built.find(asked) == distances(asked, many).argmin(dim=1)).float().mean() > 0.95


def test_alike_and_constant_clips_are_no_trouble() -> None:
    flat = torch.full((2, 24, 64), -13.8)
    assert NearestClips(flat, [flat], labels(2)).find(QUERIES).shape == (40,)
    assert index(TRAIN).find(flat).shape == (2,)
