"""The contracts of losses: of magnitudes, with each standard deviation that they take, and of phases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.components.losses.registries import LOSSES, PHASE_LOSSES, SIGMAS
from trainables.testing.promise import Broken, Promise

SIGMA_FLOOR = 0.05
LOG_SIGMA = -1.0
"""The decoder's map for the standard deviation, the same for every pixel."""
SILENCE_NATS = -13.8
"""About the log-power of silence."""
SHIFTS = (0.1, -0.1, 1.0)
PHASE_APART = 0.05
"""The smallest loss that two unrelated phases may have."""


@dataclass(frozen=True)
class LossCase:
    """A loss, with the name of one standard deviation if it takes any."""

    name: str
    sigma: str | None = None

    def value(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the loss of estimates of shape (clips, frames, bins)."""
        if self.sigma is None:
            return LOSSES[self.name](estimate, target)
        deviation = SIGMAS[self.sigma](SIGMA_FLOOR)(estimate, target, torch.full_like(target, LOG_SIGMA))
        return LOSSES[self.name](estimate, target, deviation)

    def __str__(self) -> str:
        return self.name if self.sigma is None else f"{self.name} with sigma {self.sigma}"


@dataclass(frozen=True)
class PhaseLossCase:
    """A loss of phases, with one of the representations that it takes."""

    name: str
    takes: str

    def value(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the loss of phases of shape (clips, channels, frames, bins)."""
        return PHASE_LOSSES[self.name].loss(estimate, target)

    def phases(self, seed: int = 0) -> Tensor:
        """Make the phases of three clips, in units of π or as cosine and sine; shape (3, channels, 6, 8)."""
        angle = 2 * torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(seed)) - 1
        if self.takes != "cos_sin":
            return angle[:, None]
        return torch.stack([(torch.pi * angle).cos(), (torch.pi * angle).sin()], dim=1)

    def __str__(self) -> str:
        return f"{self.name} of {self.takes}"


def loss_cases(name: str) -> Iterator[LossCase]:
    """Yield a case of a loss for every standard deviation that it takes."""
    for sigma in SIGMAS if LOSSES[name].has_sigma else [None]:
        yield LossCase(name, sigma)


def phase_loss_cases(name: str) -> Iterator[PhaseLossCase]:
    """Yield a case of a loss of phases for every representation that it takes."""
    for takes in PHASE_LOSSES[name].takes:
        yield PhaseLossCase(name, takes)


def random_clips(clips: int, seed: int = 0) -> Tensor:
    """Draw clips of shape (clips, 6, 8) from a normal distribution."""
    return torch.randn(clips, 6, 8, generator=torch.Generator().manual_seed(seed))


def check_minimum(case: LossCase) -> None:
    """Check that the loss of the target itself is smaller than that of estimates around it."""
    target = random_clips(3)
    at_target = case.value(target, target).item()
    for shift in SHIFTS:
        if (value := case.value(target + shift, target).item()) <= at_target:
            raise Broken(f"{value:.4g} for an estimate that is {shift} off, {at_target:.4g} for the target itself")


def check_gradient(case: LossCase) -> None:
    """Check that gradients are finite at the target, near it and far from it, for silence too."""
    for target in (torch.zeros(2, 6, 8), torch.full((2, 6, 8), SILENCE_NATS), random_clips(2)):
        for offset in (0.0, 1e-6, 10.0):
            estimate = (target + offset).requires_grad_(True)
            case.value(estimate, target).backward()
            if estimate.grad is None or not estimate.grad.isfinite().all():
                raise Broken(f"a gradient that is not finite, {offset:g} from the target")


def check_batch(case: LossCase) -> None:
    """Check that the loss is a mean over clips."""
    estimate, target = random_clips(1, seed=1), random_clips(1)
    alone, thrice = (case.value(estimate.repeat(n, 1, 1), target.repeat(n, 1, 1)) for n in (1, 3))
    _check_same(alone, thrice)


def _check_same(alone: Tensor, thrice: Tensor) -> None:
    if not torch.allclose(alone, thrice, rtol=1.3e-6, atol=1e-5):
        raise Broken(f"{alone.item():.6g} for a clip, {thrice.item():.6g} for a batch that has it three times")


def check_phase_minimum(case: PhaseLossCase) -> None:
    """Check that the loss is 0 at the target, and larger for another phase."""
    target, other = case.phases(), case.phases(seed=1)
    if abs(at_target := case.value(target, target).item()) > 1e-6:
        raise Broken(f"{at_target:.4g} for the target itself")
    if (elsewhere := case.value(other, target).item()) <= PHASE_APART:
        raise Broken(f"{elsewhere:.4g} for another phase")


def check_phase_gradient(case: PhaseLossCase) -> None:
    """Check that gradients are finite at the target and far from it."""
    target = case.phases()
    for estimate in (target.clone(), torch.zeros_like(target), target + 10):
        estimate.requires_grad_(True)
        case.value(estimate, target).backward()
        if estimate.grad is None or not estimate.grad.isfinite().all():
            raise Broken("a gradient that is not finite")


def check_phase_batch(case: PhaseLossCase) -> None:
    """Check that the loss is a mean over clips."""
    estimate, target = case.phases(seed=1)[:1], case.phases()[:1]
    alone, thrice = (case.value(estimate.repeat(n, 1, 1, 1), target.repeat(n, 1, 1, 1)) for n in (1, 3))
    _check_same(alone, thrice)


LOSS = (
    Promise("the loss is smallest at the target", check_minimum),
    Promise("gradients are finite, at the target too", check_gradient),
    Promise("it does not depend on how often a clip is in the batch", check_batch),
)
PHASE_LOSS = (
    Promise("the loss is smallest at the target", check_phase_minimum),
    Promise("gradients are finite, at the target too", check_phase_gradient),
    Promise("it does not depend on how often a clip is in the batch", check_phase_batch),
)
