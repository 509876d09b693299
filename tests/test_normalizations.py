from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainables.components.normalizations import NORMALIZATIONS, Normalization


def clips() -> Tensor:
    """30 clips of 12 frames x 8 bins that differ in level between frames, bins and clips."""
    generator = torch.Generator().manual_seed(0)
    level = torch.linspace(-12, 3, 8) + torch.linspace(0, 2, 12)[:, None]
    return level + 2 * torch.randn(30, 1, 1, generator=generator) + torch.randn(30, 12, 8, generator=generator)


def fitted(name: str, data: Tensor, batch: int = 7) -> Normalization:
    normalization = NORMALIZATIONS[name]()
    normalization.fit(data.split(batch))
    return normalization


@pytest.mark.parametrize(("name", "dims"), [("per_frequency", (0, 1)), ("per_bin", (0,))])
def test_each_bin_gets_zero_mean_and_unit_variance(name: str, dims: tuple[int, ...]) -> None:
    data = clips()
    normalized = fitted(name, data).apply(data)
    torch.testing.assert_close(normalized.mean(dims), torch.zeros_like(normalized.mean(dims)), atol=1e-5, rtol=0)
    variance = normalized.var(dims, correction=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-4, rtol=0)


def test_the_extremes_of_the_corpus_land_at_the_margin() -> None:
    data = clips()
    normalized = fitted("range", data).apply(data)
    torch.testing.assert_close(normalized.aminmax(), (torch.tensor(-0.8), torch.tensor(0.8)))


def test_none_changes_nothing() -> None:
    assert torch.equal(fitted("none", clips()).apply(clips()), clips())


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_statistics_do_not_depend_on_the_batches_they_come_in(name: str) -> None:
    data = clips()
    torch.testing.assert_close(fitted(name, data, 1).apply(data), fitted(name, data, 30).apply(data))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_clips_level_survives(name: str) -> None:
    data = clips()
    normalization = fitted(name, data)
    louder = normalization.apply(data + 3) - normalization.apply(data)
    assert louder.min() > 0.05


def test_a_bin_that_hardly_varies_is_not_blown_up() -> None:
    data = clips()
    data[:, :, 3] = -13.8155 + 1e-4 * data[:, :, 3]
    assert fitted("per_frequency", data).apply(data)[:, :, 3].abs().max() < 0.02
