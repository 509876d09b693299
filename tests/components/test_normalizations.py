from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from trainables.components.representation.normalization import Normalization
from trainables.components.representation.normalizer import RidgeRegression
from trainables.components.representation.registries import NORMALIZATIONS


def clips() -> Tensor:
    """30 clips of 12 frames x 8 bins that differ in level between frames, bins and clips."""
    generator = torch.Generator().manual_seed(0)
    level = torch.linspace(-12, 3, 8) + torch.linspace(0, 2, 12)[:, None]
    noise = torch.randn(30, 12, 8, generator=generator)
    return (level + 2 * torch.randn(30, 1, 1, generator=generator) + noise)[:, None]


def fitted(name: str, data: Tensor, batch: int = 7) -> Normalization:
    normalization = NORMALIZATIONS[name]()
    normalization.fit(data.split(batch))
    return normalization


def applied(normalization: Normalization, data: Tensor) -> Tensor:
    return normalization.apply(data, normalization.statistics(data, data))


@pytest.mark.parametrize(("name", "dims"), [("per_frequency", (0, 2)), ("per_bin", (0,))])
def test_each_bin_gets_zero_mean_and_unit_variance(name: str, dims: tuple[int, ...]) -> None:
    data = clips()
    normalized = applied(fitted(name, data), data)
    torch.testing.assert_close(normalized.mean(dims), torch.zeros_like(normalized.mean(dims)), atol=1e-5, rtol=0)
    variance = normalized.var(dims, correction=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-4, rtol=0)


def test_the_extremes_of_the_corpus_land_at_the_margin() -> None:
    data = clips()
    torch.testing.assert_close(applied(fitted("range", data), data).aminmax(), (torch.tensor(-0.8), torch.tensor(0.8)))


def test_none_changes_nothing() -> None:
    assert torch.equal(applied(fitted("none", clips()), clips()), clips())


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_statistics_do_not_depend_on_the_batches_they_come_in(name: str) -> None:
    data = clips()
    torch.testing.assert_close(applied(fitted(name, data, 1), data), applied(fitted(name, data, 30), data))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_clips_level_survives_unless_it_is_the_clips_own(name: str) -> None:
    data = clips()
    normalization = fitted(name, data)
    louder = applied(normalization, data + 3) - applied(normalization, data)
    if normalization.num_statistics:
        assert louder.abs().max() < 1e-4
        told = normalization.statistics(data + 3, data + 3) - normalization.statistics(data, data)
        torch.testing.assert_close(told[:, 0], torch.full((30,), 3.0))
    else:
        assert louder.min() > 0.05


def test_a_bin_that_hardly_varies_is_not_blown_up() -> None:
    data = clips()
    data[..., 3] = -13.8155 + 1e-4 * data[..., 3]
    assert applied(fitted("per_frequency", data), data)[..., 3].abs().max() < 0.02


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_statistics_that_were_loaded_follow_the_clips_to_a_card(name: str) -> None:
    """Tensors without values have a device and check it, so that no card is needed."""
    loaded = NORMALIZATIONS[name]()
    loaded.load_state_dict(fitted(name, clips()).state_dict())
    with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True):
        on_card = torch.empty(3, 1, 12, 8, device="cuda")
        statistics = loaded.statistics(on_card, on_card)
        assert loaded.invert(loaded.apply(on_card, statistics), statistics).device == on_card.device


def test_statistics_that_moved_while_rendering_can_be_trained_with() -> None:
    normalization = fitted("per_frequency", clips())
    with torch.inference_mode():
        applied(normalization, clips().to("meta"))
    estimate = torch.ones(1, 1, 12, 8, device="meta", requires_grad=True)
    normalization.invert(estimate, torch.empty(1, 0, device="meta")).sum().backward()


def test_a_clip_is_normalized_by_its_own_its_joint_or_its_magnitudes_statistics() -> None:
    magnitude, phase = clips(), torch.rand(30, 1, 12, 8, generator=torch.Generator().manual_seed(1))
    both = torch.cat([magnitude, phase], dim=1)
    found = {name: NORMALIZATIONS[name]().statistics(phase, both) for name in ("clip", "clip_joint", "clip_magnitude")}
    for name, measured in (("clip", phase), ("clip_joint", both), ("clip_magnitude", magnitude)):
        values = measured.flatten(1)
        expected = torch.stack([values.mean(dim=1), values.std(dim=1, correction=0).log()], dim=1)
        torch.testing.assert_close(found[name], expected)


def test_the_largest_value_of_a_clip_is_one_by_its_largest_deviation() -> None:
    normalized = applied(NORMALIZATIONS["max_abs"](), clips())
    torch.testing.assert_close(normalized.abs().amax(dim=(1, 2, 3)), torch.ones(30))


def test_statistics_that_follow_from_latents_are_predicted_for_clips_never_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(400, 5, generator=generator)
    statistics = latents @ torch.randn(5, 2, generator=generator) + torch.tensor([3.0, -1.0])
    noisy = statistics + 0.1 * torch.randn(400, 2, generator=generator)
    prediction = RidgeRegression.fit(latents[:300], noisy[:300])
    assert (prediction(latents[300:]) - statistics[300:]).abs().max() < 0.1


def test_where_latents_say_nothing_the_mean_is_predicted() -> None:
    prediction = RidgeRegression.fit(torch.zeros(10, 3), torch.arange(20.0).reshape(10, 2))
    torch.testing.assert_close(prediction(torch.zeros(1, 3)), torch.tensor([[9.0, 10.0]]))
