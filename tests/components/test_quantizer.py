"""Residual vector quantization, compared to what its definition says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.components.networks.quantizer import CodebookUse, ResidualQuantizer, sum_by_code
from trainables.components.training.loop import Buffers, descend


def make(num_latents: int = 8, *, stages: int = 2, size: int = 16, vector_size: int = 4) -> ResidualQuantizer:
    return ResidualQuantizer(num_latents, vector_size=vector_size, num_codebooks=stages, codebook_size=size)


class RecordedOperations(TorchDispatchMode):
    """The names of all operations of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(operation))
        return operation(*args, **(kwargs or {}))


def draw(clips: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(clips, 8, generator=torch.Generator().manual_seed(seed))


def train(quantizer: ResidualQuantizer, steps: int, noise: torch.Generator, first_seed: int = 0) -> None:
    quantizer.train()
    for step in range(steps):
        quantizer(draw(seed=first_seed + step), noise)
    quantizer.eval()


def error(quantizer: ResidualQuantizer) -> float:
    latents = draw(seed=10_000)
    return float((quantizer(latents).latents - latents).square().mean())


def test_every_codebook_takes_the_code_nearest_to_what_is_left() -> None:
    quantizer = make()
    train(quantizer, 3, torch.Generator().manual_seed(0))
    latents = draw(5, seed=7)
    quantized = quantizer(latents)
    for vector, codes, whole in zip(
        latents.reshape(-1, 4), quantized.codes, quantized.latents.reshape(-1, 4), strict=True
    ):
        left = vector
        for codebook, code in zip(quantizer.codes, codes, strict=True):
            distances = torch.stack([(left - other).square().sum() for other in codebook])
            assert int(distances.argmin()) == int(code)
            left = left - codebook[code]
        torch.testing.assert_close(whole, vector - left)


def test_the_gradient_passes_to_the_encoder_and_the_commitment_pulls_it_to_the_codes() -> None:
    quantizer = make()
    train(quantizer, 3, torch.Generator().manual_seed(0))
    latents = draw(5, seed=7).requires_grad_()
    quantized = quantizer(latents)
    (gradient,) = torch.autograd.grad((quantized.latents * torch.arange(8.0)).sum(), latents, retain_graph=True)
    torch.testing.assert_close(gradient, torch.arange(8.0).expand(5, 8))
    (gradient,) = torch.autograd.grad(quantized.commitment, latents)
    torch.testing.assert_close(gradient, 2 * (latents - quantized.latents).detach() / latents.numel())


def test_codes_move_to_the_means_of_their_clusters() -> None:
    quantizer, noise = make(2, stages=1, size=2, vector_size=2), torch.Generator().manual_seed(3)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 1.0]])
    quantizer.train()
    for step in range(1000):
        offsets = 0.1 * torch.randn(64, 2, generator=torch.Generator().manual_seed(step))
        quantizer(centres.repeat(32, 1) + offsets, noise)
    ordered = quantizer.codes[0][quantizer.codes[0][:, 0].argsort(descending=True)]
    torch.testing.assert_close(ordered, centres, atol=0.05, rtol=0)


def test_more_codebooks_leave_less_error() -> None:
    errors = []
    for stages in (1, 2, 4):
        quantizer = make(stages=stages)
        train(quantizer, 50, torch.Generator().manual_seed(0))
        errors.append(error(quantizer))
    assert errors[0] < 1 and errors[1] < 0.8 * errors[0] and errors[2] < 0.8 * errors[1]


def test_a_step_that_is_skipped_leaves_codebooks_and_statistics_as_they_were() -> None:
    quantizer, noise = make(), torch.Generator().manual_seed(0)
    network = nn.ModuleDict({"first": nn.Linear(8, 8), "norm": nn.BatchNorm1d(8), "quantizer": quantizer}).train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step(latents: Tensor) -> None:
        before = Buffers(network)
        quantized = quantizer(network["norm"](network["first"](latents)), noise)
        descend(optimizer, network, quantized.latents.square().mean() + quantized.commitment, before=before)

    for seed in range(2):
        step(draw(seed=seed))
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    step(draw().index_fill(0, torch.tensor([3]), torch.nan))
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    step(draw(seed=3))
    assert not torch.equal(quantizer.codes, kept["quantizer.codes"])
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_dead_codes_are_replaced_by_vectors_of_the_batch() -> None:
    quantizer, noise = make(stages=1), torch.Generator().manual_seed(0)
    train(quantizer, 1, noise)
    quantizer.codes[0, 3:] = 1000.0
    quantizer.sums[0, 3:] = 1000.0 * quantizer.uses[0, 3:, None]
    before, use = CodebookUse(quantizer), CodebookUse(quantizer)
    before.add(quantizer(draw(seed=9)).codes)
    assert before.metrics()["codes_used"] <= 3 / 16
    # The mean use falls below the share of a dead code after ln(0.02) / ln(0.99) = 390 steps.
    train(quantizer, 450, noise)
    assert quantizer.codes.abs().max() < 10
    use.add(quantizer(draw(seed=9)).codes)
    assert use.metrics()["codes_used"] == 1


def test_a_state_resumes_to_the_last_bit() -> None:
    whole, noise = make(), torch.Generator().manual_seed(5)
    train(whole, 4, noise)
    state, drawn = {name: value.clone() for name, value in whole.state_dict().items()}, noise.get_state()
    train(whole, 4, noise, first_seed=4)
    resumed, other = make(), torch.Generator()
    resumed.load_state_dict(state)
    other.set_state(drawn)
    train(resumed, 4, other, first_seed=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_validation_changes_no_code() -> None:
    quantizer = make()
    train(quantizer, 2, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(draw(seed=9), torch.Generator().manual_seed(1))
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def test_the_use_of_codebooks_is_that_of_its_definition() -> None:
    quantizer = make(size=16)
    even, one = CodebookUse(quantizer), CodebookUse(quantizer)
    even.add(torch.arange(16)[:, None].repeat(4, 2))
    one.add(torch.zeros(64, 2, dtype=torch.int64))
    # Two vectors a clip, with a code of two codebooks each.
    bits = 2 * 2 * 4
    assert even.metrics() == pytest.approx(
        {"codebook_perplexity": 16, "codes_used": 1, "latent_bits": bits, "active_vectors": 2}
    )
    assert one.metrics() == pytest.approx(
        {"codebook_perplexity": 1, "codes_used": 1 / 16, "latent_bits": 0, "active_vectors": 0}
    )
    # Different codes of the two vectors carry nothing if they are those of every clip; here one vector's do.
    same, one_vector = CodebookUse(quantizer), CodebookUse(quantizer)
    same.add(torch.tensor([[3, 4], [5, 6]] * 8))
    one_vector.add(torch.tensor([[3, 4], [5, 6], [3, 4], [5, 7]]))
    assert (same.metrics()["active_vectors"], one_vector.metrics()["active_vectors"]) == (0, 1)


def test_sums_by_code_do_not_depend_on_how_a_device_adds() -> None:
    vectors, codes = draw(100).reshape(-1, 4), torch.randint(16, (200,), generator=torch.Generator().manual_seed(0))
    with FakeTensorMode(allow_non_fake_inputs=True), RecordedOperations() as operations:
        sum_by_code(torch.empty(200, 4, device="cuda"), torch.empty(200, dtype=torch.int64, device="cuda"), 16)
    assert not any("index_add" in name for name in operations.names), "a card adds in any order"
    expected = torch.stack([vectors[codes == code].sum(dim=0) for code in range(16)])
    torch.testing.assert_close(sum_by_code(vectors, codes, 16), expected)
