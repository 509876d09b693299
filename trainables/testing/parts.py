"""The contracts of registered parts: losses, sigmas, normalizations, phases, judges, metrics and augmentations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.components.assessment.added_metrics import METRICS
from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.losses.registries import LOSSES, PHASE_LOSSES, SIGMAS
from trainables.components.representation.registries import NORMALIZATIONS, PHASES
from trainables.corpora.corpus import Corpus
from trainables.support.registry import Registry
from trainables.testing.additions import AUGMENTATION, JUDGE, METRIC, WAVEFORM_AUGMENTATION, AdditionCase, JudgeCase
from trainables.testing.losses import LOSS, PHASE_LOSS, LossCase, loss_cases, phase_loss_cases
from trainables.testing.promise import Check, Promise, list_checks
from trainables.testing.representation import NORMALIZATION, PHASE, NormalizationCase, PhaseCase

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        LOSSES,
        SIGMAS,
        PHASE_LOSSES,
        NORMALIZATIONS,
        PHASES,
        JUDGES,
        METRICS,
        AUGMENTATIONS,
        WAVEFORM_AUGMENTATIONS,
    )
}
"""The registries of parts, by kind, such as `loss`."""


@dataclass(frozen=True)
class Part:
    """A registered part, such as the loss `huber`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def registered_parts() -> set[Part]:
    """Return every part that is registered now."""
    return {Part(kind, name) for kind, registry in REGISTRIES.items() for name in registry}


def part_checks(part: Part, open_corpus: Callable[[], Corpus], clip: ClipFormat = USUAL_CLIP) -> Iterator[Check[Any]]:
    """Yield a check for each promise of a part.

    Args:
        part: the part to check.
        open_corpus: opens the corpus whose clips a phase is checked on; it is not called for other kinds.
        clip: the format of the clips that judges, metrics and augmentations are checked on.
    """
    if part.kind == PHASES.kind:
        yield from list_checks(str(part), PhaseCase(part.name, open_corpus()), PHASE)
    elif part.kind in ADDITIONS:
        kind, promises = ADDITIONS[part.kind]
        yield from list_checks(str(part), kind(part.name, clip), promises)
    else:
        yield from CHECKS[part.kind](part)


def _check_loss(part: Part) -> Iterator[Check[Any]]:
    for case in loss_cases(part.name):
        yield from list_checks(f"{LOSSES.kind} {case}", case, LOSS)


def _check_sigma(part: Part) -> Iterator[Check[Any]]:
    for name, loss in LOSSES.items():
        if loss.has_sigma:
            case = LossCase(name, part.name)
            yield from list_checks(f"{LOSSES.kind} {case}", case, LOSS)


def _check_phase_loss(part: Part) -> Iterator[Check[Any]]:
    for case in phase_loss_cases(part.name):
        yield from list_checks(f"{PHASE_LOSSES.kind} {case}", case, PHASE_LOSS)


def _check_normalization(part: Part) -> Iterator[Check[Any]]:
    yield from list_checks(str(part), NormalizationCase(part.name), NORMALIZATION)


CHECKS: Mapping[str, Callable[[Part], Iterator[Check[Any]]]] = {
    LOSSES.kind: _check_loss,
    SIGMAS.kind: _check_sigma,
    PHASE_LOSSES.kind: _check_phase_loss,
    NORMALIZATIONS.kind: _check_normalization,
}
ADDITIONS: Mapping[str, tuple[type[Any], Sequence[Promise[Any]]]] = {
    JUDGES.kind: (JudgeCase, JUDGE),
    METRICS.kind: (AdditionCase, METRIC),
    AUGMENTATIONS.kind: (AdditionCase, AUGMENTATION),
    WAVEFORM_AUGMENTATIONS.kind: (AdditionCase, WAVEFORM_AUGMENTATION),
}
"""The case and the promises of each kind whose parts get clips of a format."""
