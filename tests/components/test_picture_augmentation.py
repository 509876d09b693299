"""What may be done to pictures without changing what they show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from trainables.components.pictures.augmentation import (
    as_bytes,
    as_floats,
    augment,
    cut_out,
    degrade,
    recolour,
    shift,
)

Change = Callable[[Tensor, torch.Generator], Tensor]
CHANGES: dict[str, Change] = {
    "augmented": augment,
    "augmented without colours": partial(augment, colours=False),
    "moved and flipped": partial(augment, colours=False, cutout=False),
    "recoloured": recolour,
    "moved": shift,
    "cut_out": cut_out,
    "spoilt": degrade,
}


def photos(count: int = 64, height: int = 16, width: int = 16) -> Tensor:
    return 2 * torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)) - 1


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_bytes_come_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256).contiguous()
    floats = as_floats(every)
    assert floats.min() == -1 and floats.max() == 1
    assert torch.equal(as_bytes(floats), every)
    assert as_bytes(torch.tensor([-9.0, 9.0]).expand(1, 3, 1, 2)).flatten()[:2].tolist() == [0, 255]


@pytest.mark.parametrize("name", CHANGES)
class TestEveryChange:
    def test_the_generator_decides_and_the_given_stay_as_they_are(self, name: str) -> None:
        given = photos()
        kept, change = given.clone(), CHANGES[name]
        one, same, other = (change(given, drawn(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, same) and not torch.equal(one, other)
        assert torch.equal(given, kept)
        state = torch.random.get_rng_state()
        change(given, drawn())
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_sizes_stay_also_of_pictures_that_are_not_square(self, name: str) -> None:
        for height, width in ((16, 16), (12, 20), (32, 8)):
            assert CHANGES[name](photos(5, height, width), drawn()).shape == (5, 3, height, width)

    def test_it_differs_between_pictures(self, name: str) -> None:
        same = photos(1).expand(64, -1, -1, -1)
        changed = CHANGES[name](same, drawn())
        assert len({tuple(each.flatten().tolist()) for each in changed}) > 8

    def test_gradients_flow_through_it(self, name: str) -> None:
        given = photos().requires_grad_()
        CHANGES[name](given, drawn()).square().sum().backward()
        assert given.grad is not None and given.grad.isfinite().all()
        assert given.grad.flatten(1).abs().amax(dim=1).min() > 0, "into every picture"


def test_a_picture_moves_by_an_eighth_at_most_and_its_edge_comes_in() -> None:
    ramp = torch.arange(16.0).expand(200, 3, 16, 16) + 100 * torch.arange(16.0)[:, None]
    shifts = shift(ramp, drawn())[:, 0, 8, 8] - ramp[0, 0, 8, 8]
    down = (shifts / 100).round()
    across = shifts - 100 * down
    assert sorted({int(each) for each in down}) == sorted({int(each) for each in across}) == [-2, -1, 0, 1, 2]
    assert shift(ramp, drawn()).min() == 0 and shift(ramp, drawn()).max() == 1515


def test_half_of_the_pictures_are_turned_and_none_where_that_is_not_asked_for() -> None:
    left = torch.zeros(400, 3, 16, 16)
    left[..., :8] = 1
    turned = augment(left, drawn(), colours=False, cutout=False)
    assert (turned[:, 0, 8, 0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    kept = augment(left, drawn(), colours=False, cutout=False, flip=False)
    assert (kept[:, 0, 8, 0] == 1).all() and (kept[:, 0, 8, -1] == 0).all()


def test_at_most_a_quarter_is_missing_and_every_place_may_be() -> None:
    is_hidden = cut_out(torch.ones(2000, 3, 16, 16), drawn())[:, 0] == 0
    hidden = is_hidden.flatten(1).sum(dim=1)
    assert 16 <= hidden.min() and hidden.max() == 64
    often = is_hidden.float().mean(dim=0)
    assert often.min() > 0.05, "corners too"
    torch.testing.assert_close(often, often.flip(0, 1), atol=0.06, rtol=0)


def test_other_colours_are_not_other_places() -> None:
    grey = photos()[:, :1].expand(-1, 3, -1, -1)
    changed = recolour(grey, drawn())
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))
    for before, after in zip(grey[:, 0], changed[:, 0], strict=True):
        assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] > 0.999


def test_what_is_spoilt_is_blurred_and_noisy_to_any_degree() -> None:
    edges = torch.zeros(200, 3, 32, 32)
    edges[..., 16:] = 1
    off = (degrade(edges, drawn()) - edges).abs().flatten(1).mean(dim=1)
    assert off.min() < 0.05 and off.max() > 0.12
    flat = degrade(torch.zeros(200, 3, 32, 32), drawn()).flatten(1).std(dim=1)
    assert 0 < flat.min() < 0.02 and 0.18 < flat.max() < 0.22
