from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.components.audio.grid import mel_bands
from trainables.components.losses.base import Loss
from trainables.components.losses.reconstruction import kl_divergence, register_loss, sample_latents
from trainables.components.losses.registries import LOSSES, SIGMAS
from trainables.components.losses.spectral import BANDS_PER_BIN, MEL_BANDS, _bands
from trainables.errors import InputError


def test_l1_and_l2_are_means_over_every_pixel() -> None:
    estimate, target = torch.zeros(2, 3, 4), torch.full((2, 3, 4), 3.0)
    assert LOSSES["l1"](estimate, target).item() == 3
    assert LOSSES["l2"](estimate, target).item() == 9


FLOOR = 0.05


def noisy(target: torch.Tensor, deviation: float) -> torch.Tensor:
    return target + deviation * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_vae_loss_is_the_likelihood_that_torch_knows(sigma: str) -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    estimate = noisy(target, 0.5)
    deviation = SIGMAS[sigma](FLOOR)(estimate, target, torch.zeros_like(target))
    expected = -torch.distributions.Normal(estimate, deviation).log_prob(target).mean()
    torch.testing.assert_close(LOSSES["vae"](estimate, target, deviation), expected)


def test_the_optimal_sigma_makes_the_batch_most_likely() -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    estimate = noisy(target, 0.5)
    best = SIGMAS["optimal"](0.0)(estimate, target, None)
    assert best.item() == pytest.approx(0.5, rel=0.02)
    likelihoods = [LOSSES["vae"](estimate, target, best * factor) for factor in (0.9, 1.0, 1.1)]
    assert likelihoods[1] == min(likelihoods)


def test_in_evaluation_the_optimal_sigma_is_that_of_training_whatever_is_scored() -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    sigma = SIGMAS["optimal"](0.05)
    for _ in range(60):
        trained = sigma(noisy(target, 0.5), target, None)
    sigma.eval()
    scored = [sigma(noisy(target, deviation)[:count], target[:count], None) for deviation, count in ((0.1, 4), (3, 1))]
    assert scored[0] == scored[1] == pytest.approx(float(trained), rel=0.02)
    loaded = SIGMAS["optimal"](0.05).eval()
    loaded.load_state_dict(sigma.state_dict())
    assert loaded(target, target, None) == scored[0]


def test_a_state_of_an_earlier_version_without_an_average_loads_and_training_computes_it() -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    sigma = SIGMAS["optimal"](0.0)
    sigma.load_state_dict({})
    sigma(noisy(target, 0.5), target, None)
    assert sigma.eval()(target, target, None).item() == pytest.approx(0.5, rel=0.2)


def test_a_learned_sigma_finds_the_optimal_one() -> None:
    target = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    estimate, sigma = noisy(target, 0.3), SIGMAS["learned"](0.0)
    optimizer = torch.optim.Adam(sigma.parameters(), lr=0.05)
    assert sigma(estimate, target, None).item() == 1
    for _ in range(100):
        optimizer.zero_grad()
        LOSSES["vae"](estimate, target, sigma(estimate, target, None)).backward()
        optimizer.step()
    assert sigma(estimate, target, None).item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("sigma", ["optimal", "learned", "per_pixel"])
def test_no_sigma_falls_below_its_floor(sigma: str) -> None:
    target = torch.zeros(2, 24, 64)
    made = SIGMAS[sigma](FLOOR)
    for parameter in made.parameters():
        torch.nn.init.constant_(parameter, -50.0)
    assert made(target, target, torch.full_like(target, -50.0)).min() >= FLOOR


def test_perfect_pixels_do_not_make_the_likelihood_explode() -> None:
    target = torch.zeros(2, 24, 64)
    estimate = torch.full_like(target, 1e-3).requires_grad_()
    LOSSES["vae"](estimate, target, SIGMAS["optimal"](FLOOR)(estimate, target, None)).backward()
    assert estimate.grad is not None
    assert estimate.grad.norm() < 1 / FLOOR


def random_log_power(frames: int, bins: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(3, frames, bins, generator=torch.Generator().manual_seed(seed)) - 4


def pool(power: np.ndarray, frames: int, bins: int) -> np.ndarray:
    clips, rows, columns = power.shape
    return power.reshape(clips, rows // frames, frames, columns // bins, bins).mean(axis=(2, 4))


def test_the_multi_resolution_loss_is_that_of_its_formula() -> None:
    estimate, target = random_log_power(12, 16, 0), random_log_power(12, 16, 1)
    terms = []
    for frames, bins in ((1, 1), (4, 1), (1, 4)):
        one, other = (np.sqrt(pool(batch.double().exp().numpy(), frames, bins)) for batch in (estimate, target))
        convergence = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(one, other, strict=True)]
        terms.append(np.mean(convergence) + np.abs(np.log(one) - np.log(other)).mean())
    assert LOSSES["multi_resolution"](estimate, target).item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_the_mel_loss_is_that_of_the_full_resolution_whose_blocks_are_constant() -> None:
    estimate, target = random_log_power(12, 128, 0), random_log_power(12, 128, 1)
    terms = []
    for count in (10, 20, 40, 80):
        bands = mel_bands(count, torch.device("cpu")).double()
        full = (batch.double().exp().repeat_interleave(4, dim=2) for batch in (estimate, target))
        logs = [(power @ bands).log() for power in full]
        terms.append(float((logs[0] - logs[1]).abs().mean()))
    assert LOSSES["mel"](estimate, target).item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_a_grid_gets_as_many_mel_bands_as_it_has_bins_for() -> None:
    for bins, expected in ((64, 40), (128, 80), (512, 80)):
        counts = [count for count in MEL_BANDS if count <= BANDS_PER_BIN * bins]
        assert max(counts) == expected
        assert len(_bands(expected, bins, torch.device("cpu")).T.unique(dim=0)) > 0.95 * expected
    estimate, target = random_log_power(12, 64, 0), random_log_power(12, 64, 1)
    few = [estimate.exp() @ _bands(count, 64, torch.device("cpu")) for count in (10, 20, 40)]
    own = [target.exp() @ _bands(count, 64, torch.device("cpu")) for count in (10, 20, 40)]
    terms = [(one.log() - other.log()).abs().mean() for one, other in zip(few, own, strict=True)]
    assert LOSSES["mel"](estimate, target).item() == pytest.approx(float(torch.stack(terms).mean()), rel=1e-4)


@pytest.mark.parametrize("nats", [0.5, -2.0])
def test_a_change_of_loudness_costs_what_the_formulas_say(nats: float) -> None:
    target = random_log_power(12, 128, 0)
    assert LOSSES["mel"](target + nats, target).item() == pytest.approx(abs(nats), rel=1e-3)
    expected = abs(1 - math.exp(nats / 2)) + abs(nats) / 2
    assert LOSSES["multi_resolution"](target + nats, target).item() == pytest.approx(expected, rel=1e-3)


def test_free_bits_cost_nothing_and_pull_at_nothing() -> None:
    mean = torch.tensor([[0.1, 3.0], [-0.1, -3.0]], requires_grad=True)
    log_variance = torch.zeros(2, 2)
    kl = kl_divergence(mean, log_variance, 100, free_bits=0.2)
    assert kl.item() == pytest.approx((0.2 + 4.5) / 100)
    kl.backward()
    assert mean.grad is not None
    assert mean.grad[:, 0].abs().max() == 0 and mean.grad[:, 1].abs().min() > 0


def test_the_kl_divergence_is_that_of_torch_per_pixel() -> None:
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean() / 100
    torch.testing.assert_close(kl_divergence(mean, log_variance, 100), expected)
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3), 100).item() == 0


def test_latents_are_drawn_with_their_mean_and_variance() -> None:
    mean, log_variance = torch.full((20_000, 1), 2.0), torch.full((20_000, 1), -1.0)
    latents = sample_latents(mean, log_variance, torch.Generator().manual_seed(0))
    assert latents.mean().item() == pytest.approx(2, abs=0.02)
    assert latents.var().log().item() == pytest.approx(-1, abs=0.03)


def test_only_the_vae_loss_makes_the_latent_a_distribution() -> None:
    assert [name for name, loss in LOSSES.items() if loss.is_variational] == ["vae"]


def test_a_loss_of_ones_own_cannot_take_the_name_of_a_shipped_one() -> None:
    shipped: Loss = LOSSES["l1"]
    with pytest.raises(InputError, match="'l1' is registered twice"):
        register_loss("l1")(lambda estimate, target: (estimate - target).abs().sum())
    assert LOSSES["l1"] is shipped
