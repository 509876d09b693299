"""Losses of phases; some of them treat −π and π as one angle.

To add one, write a function with `@register_phase_loss` here, or in a file that `components:` names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trainables.components.audio import phase
from trainables.components.losses.reconstruction import l1, l2
from trainables.components.losses.registries import ANY_PHASE, PHASE_LOSSES
from trainables.components.representation.channels import PhaseName
from trainables.components.shapes import Scalar

Phases = Float[Tensor, "clips channels frames bins"]


@dataclass(frozen=True)
class PhaseLoss:
    """A loss of phases.

    Attributes:
        loss: the function, called as `loss(estimate, target)`.
        takes: the representations of phases that it can compare.
        in_own_units: whether its arguments are normalized phases; else they are in units of π, or cosine and sine.
    """

    loss: Callable[[Phases, Phases], Scalar]
    takes: tuple[PhaseName, ...]
    in_own_units: bool


def register_phase_loss(
    name: str, *, takes: tuple[PhaseName, ...] = ANY_PHASE, in_own_units: bool = False
) -> Callable[[Callable[[Phases, Phases], Scalar]], Callable[[Phases, Phases], Scalar]]:
    """Return a decorator that registers a function of `estimate, target` as a loss of phases.

    Args:
        name: the loss's name in YAML.
        takes: the representations of phases that it can compare.
        in_own_units: whether its arguments are normalized phases; else they are in units of π, or cosine and sine.
    """

    def add(loss: Callable[[Phases, Phases], Scalar]) -> Callable[[Phases, Phases], Scalar]:
        PHASE_LOSSES.register(name)(PhaseLoss(loss, takes, in_own_units))
        return loss

    return add


register_phase_loss("l1", in_own_units=True)(l1)
register_phase_loss("l2", in_own_units=True)(l2)


@register_phase_loss("anti_wrapping", takes=("instantaneous_frequency", "angle"))
def anti_wrapping(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean |wrapped error| of phases plus that of their differences along both axes, in radians.

    It is the anti-wrapping loss of Ai and Ling (2023).
    """
    return phase.anti_wrapping_loss(math.pi * estimate[:, 0], math.pi * target[:, 0])


@register_phase_loss("cosine", takes=("cos_sin",))
def cosine(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean of 1 − cos of the phase error, which ignores the length of the estimated vectors."""
    return phase.cosine_distance(estimate, target)
