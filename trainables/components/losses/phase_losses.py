"""Losses of phases; some of them treat −π and π as one angle.

To add one, write a function with `@register_phase_loss` here, or in a file that `components:` names.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from trainables.components.audio import phase
from trainables.components.losses.base import PhaseLoss, Phases
from trainables.components.losses.reconstruction import l1, l2
from trainables.components.losses.registries import PHASE_LOSSES
from trainables.components.losses.traits import ANY_PHASE
from trainables.components.representation.channels import PhaseName
from trainables.components.shapes import Scalar


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


@register_phase_loss("l1", in_own_units=True)
def absolute(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean absolute difference; −π and π are far apart."""
    return l1(estimate, target)


@register_phase_loss("l2", in_own_units=True)
def squared(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean squared difference; −π and π are far apart."""
    return l2(estimate, target)


@register_phase_loss("anti_wrapping", takes=("instantaneous_frequency", "angle"))
def anti_wrapping(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean |wrapped error| plus that of the error's differences along both axes, in radians.

    Of angles it is the anti-wrapping loss of Ai and Ling (2023): its terms are the errors of phase, group delay and
    instantaneous frequency. Of instantaneous frequencies, the same formula starts with their third term, and the others
    are differences of that one.
    """
    return phase.anti_wrapping_loss(math.pi * estimate[:, 0], math.pi * target[:, 0])


@register_phase_loss("cosine", takes=("cos_sin",))
def cosine(estimate: Phases, target: Phases) -> Scalar:
    """Return the mean of 1 − cos of the phase error, which ignores the length of the estimated vectors."""
    return phase.cosine_distance(estimate, target)
