from __future__ import annotations

import pytest
import torch

from trainables.components.losses import LOSSES, SIGMA_FLOOR, Loss, kl_divergence, register_loss, sampled
from trainables.errors import InputError


def test_l1_and_l2_are_means_over_every_pixel() -> None:
    estimate, target = torch.zeros(2, 3, 4), torch.full((2, 3, 4), 3.0)
    assert LOSSES["l1"](estimate, target).item() == 3
    assert LOSSES["l2"](estimate, target).item() == 9


def test_the_vae_loss_is_the_likelihood_at_the_errors_own_deviation() -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    estimate = target + 0.5 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    sigma = (estimate - target).square().mean().sqrt() + SIGMA_FLOOR
    expected = -torch.distributions.Normal(estimate, sigma).log_prob(target).mean()
    torch.testing.assert_close(LOSSES["vae"](estimate, target), expected)


def test_perfect_pixels_do_not_make_the_likelihood_explode() -> None:
    target = torch.zeros(2, 24, 64)
    estimate = torch.full_like(target, 1e-3).requires_grad_()
    LOSSES["vae"](estimate, target).backward()
    assert estimate.grad is not None
    assert estimate.grad.norm() < 1 / SIGMA_FLOOR


def test_the_kl_divergence_is_that_of_torch_per_pixel() -> None:
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean() / 100
    torch.testing.assert_close(kl_divergence(mean, log_variance, 100), expected)
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3), 100).item() == 0


def test_latents_are_drawn_with_their_mean_and_variance() -> None:
    mean, log_variance = torch.full((20_000, 1), 2.0), torch.full((20_000, 1), -1.0)
    latents = sampled(mean, log_variance, torch.Generator().manual_seed(0))
    assert latents.mean().item() == pytest.approx(2, abs=0.02)
    assert latents.var().log().item() == pytest.approx(-1, abs=0.03)


def test_only_the_vae_loss_makes_the_latent_a_distribution() -> None:
    assert [name for name, loss in LOSSES.items() if loss.is_variational] == ["vae"]


def test_a_loss_of_ones_own_cannot_take_the_name_of_a_shipped_one() -> None:
    shipped: Loss = LOSSES["l1"]
    with pytest.raises(InputError, match="'l1' is registered twice"):
        register_loss("l1")(lambda estimate, target: (estimate - target).abs().sum())
    assert LOSSES["l1"] is shipped
