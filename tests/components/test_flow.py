"""The flow: where its straight paths lead, what a condition and its guidance do, and what is resumed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.test_contracts import assert_equal
from trainables.components.flow.latent_flow import LatentFlow
from trainables.components.flow.training import FlowRecipe, FlowTraining
from trainables.components.flow.velocity import VelocityNetwork

CENTRES = torch.tensor([[2.0, 0.0], [-2.0, 0.0]])
CONDITIONS = torch.eye(2)
SPREAD = 0.2


def make_flow(width: int = 64) -> LatentFlow:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LatentFlow(lambda: VelocityNetwork(2, 2, width=width, num_blocks=2))


def draw_data(count: int = 1000) -> tuple[Tensor, Tensor]:
    """Latents around two centres, of which the condition names one."""
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(5))
    return CENTRES[labels] + SPREAD * noise, CONDITIONS[labels]


@pytest.fixture(scope="module")
def trained() -> LatentFlow:
    flow = make_flow()
    FlowTraining(flow, 0, FlowRecipe()).run(*draw_data(), 1000)
    return flow


def sample(flow: LatentFlow, condition: int, *, seed: int = 0, num_steps: int = 32, guidance: float = 1.0) -> Tensor:
    conditions = CONDITIONS[condition].expand(500, -1)
    return flow.sample(conditions, torch.Generator().manual_seed(seed), num_steps=num_steps, guidance=guidance)


@pytest.mark.parametrize("condition", [0, 1])
def test_samples_have_the_mean_and_the_deviation_of_their_condition(trained: LatentFlow, condition: int) -> None:
    samples = sample(trained, condition)
    torch.testing.assert_close(samples.mean(dim=0), CENTRES[condition], atol=0.15, rtol=0)
    torch.testing.assert_close(samples.std(dim=0), torch.full((2,), SPREAD), atol=0.15, rtol=0)


def test_one_step_gives_the_mean_of_the_condition_and_more_steps_give_samples(trained: LatentFlow) -> None:
    once, often = (sample(trained, 0, num_steps=steps) for steps in (1, 32))
    torch.testing.assert_close(once.mean(dim=0), CENTRES[0], atol=0.2, rtol=0)
    assert once.std(dim=0).max() < 0.8 * often.std(dim=0).min()


def test_without_guidance_the_condition_counts_nothing_and_both_centres_come(trained: LatentFlow) -> None:
    samples = sample(trained, 0, guidance=0.0)
    assert torch.equal(samples, sample(trained, 1, guidance=0.0))
    assert 0.3 < (samples[:, 0] > 0).double().mean() < 0.7


def test_more_guidance_moves_samples_away_from_the_other_centre(trained: LatentFlow) -> None:
    assert sample(trained, 0, guidance=2.0)[:, 0].mean() > sample(trained, 0)[:, 0].mean()


def test_the_generator_decides_what_is_sampled(trained: LatentFlow) -> None:
    assert torch.equal(sample(trained, 0), sample(trained, 0))
    assert not torch.equal(sample(trained, 0), sample(trained, 0, seed=1))


def test_an_untrained_flow_returns_its_noise_and_has_the_loss_of_no_velocity() -> None:
    flow = make_flow()
    noise = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sample(flow, 0), noise)
    latents, conditions = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1)), torch.zeros(4000, 2)
    assert flow.validation_loss(latents, conditions) == pytest.approx(2, rel=0.05)


def test_held_out_latents_have_a_lower_loss_than_before(trained: LatentFlow) -> None:
    latents, conditions = draw_data(400)
    assert trained.validation_loss(latents, conditions) < 0.5 * make_flow().validation_loss(latents, conditions)


def test_training_goes_on_from_a_saved_state_to_the_last_bit() -> None:
    latents, conditions = draw_data(100)
    whole = make_flow(width=16)
    training = FlowTraining(whole, 3, FlowRecipe(condition_noise=0.5))
    training.run(latents, conditions, 5)
    state: dict[str, Any] = copy.deepcopy({"flow": whole.state_dict(), "training": training.state_dict()})
    expected = training.run(latents, conditions, 5)
    resumed = make_flow(width=16)
    resumed_training = FlowTraining(resumed, 9, FlowRecipe(condition_noise=0.5))
    resumed.load_state_dict(state["flow"])
    resumed_training.load_state_dict(state["training"])
    assert resumed_training.run(latents, conditions, 5) == expected
    assert_equal(resumed.state_dict(), whole.state_dict())
    assert_equal(resumed_training.state_dict(), training.state_dict())


def test_the_average_follows_the_weights_and_no_gradient_is_left() -> None:
    flow = make_flow(width=16)
    before = copy.deepcopy(flow.averaged.state_dict())
    FlowTraining(flow, 0, FlowRecipe()).run(*draw_data(100), 3)
    averaged, current = flow.averaged.state_dict(), flow.network.state_dict()
    assert not torch.equal(averaged["last.weight"], before["last.weight"])
    assert not torch.equal(averaged["last.weight"], current["last.weight"])
    assert all(parameter.grad is None for parameter in flow.parameters())
