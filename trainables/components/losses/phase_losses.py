"""Losses of a phase. Unlike those of magnitudes, some of them know that ±π is one angle.

A new one is a function with `@register_phase_loss` here, or in a file named under `components:`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trainables.components.audio import phase
from trainables.components.losses.reconstruction import l1, l2
from trainables.components.representation.representation import PhaseName
from trainables.support.registry import Registry

Phases = Float[Tensor, "clips channels frames bins"]
Scalar = Float[Tensor, ""]


@dataclass(frozen=True)
class PhaseLoss:
    """A loss, called as `loss(estimate, target)`.

    Attributes:
        takes: the representations that it is made for.
        in_own_units: given phases as they were normalized; else in units of π, or as cosine and sine.
    """

    loss: Callable[[Phases, Phases], Scalar]
    takes: tuple[PhaseName, ...]
    in_own_units: bool


PHASE_LOSSES: Registry[PhaseLoss] = Registry("phase loss")
ANY: tuple[PhaseName, ...] = ("instantaneous_frequency", "angle", "cos_sin")


def register_phase_loss(
    name: str, *, takes: tuple[PhaseName, ...] = ANY, in_own_units: bool = False
) -> Callable[[Callable[[Phases, Phases], Scalar]], Callable[[Phases, Phases], Scalar]]:
    """Decorator that makes a function of `estimate, target` known as a loss of phases."""

    def add(loss: Callable[[Phases, Phases], Scalar]) -> Callable[[Phases, Phases], Scalar]:
        PHASE_LOSSES.register(name)(PhaseLoss(loss, takes, in_own_units))
        return loss

    return add


register_phase_loss("l1", in_own_units=True)(l1)
register_phase_loss("l2", in_own_units=True)(l2)


@register_phase_loss("anti_wrapping", takes=("instantaneous_frequency", "angle"))
def anti_wrapping(estimate: Phases, target: Phases) -> Scalar:
    """|wrapped error| of the phase and of its differences along both axes, in radians (Ai and Ling, 2023)."""
    return phase.anti_wrapping_loss(math.pi * estimate[:, 0], math.pi * target[:, 0])


@register_phase_loss("cosine", takes=("cos_sin",))
def cosine(estimate: Phases, target: Phases) -> Scalar:
    """1 − cos of the error, whatever the length of the estimate."""
    return phase.cosine_distance(estimate, target)
