"""Contracts that every trainable, loss, normalization, phase and corpus inherits by being registered."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from orchestrator.plugins.loader import find_trainables, load_declaration, load_trainable
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.losses.registries import LOSSES, PHASE_LOSSES
from trainables.components.representation.registries import NORMALIZATIONS, PHASES
from trainables.corpora.corpus import Corpus
from trainables.support.randomness import seed_everything
from trainables.testing.additions import WAVEFORM_AUGMENTATION, AdditionCase
from trainables.testing.corpus import CORPUS
from trainables.testing.losses import LOSS, PHASE_LOSS, LossCase, PhaseLossCase, loss_cases, phase_loss_cases
from trainables.testing.promise import Promise
from trainables.testing.representation import NORMALIZATION, PHASE, NormalizationCase, PhaseCase
from trainables.testing.trainables import TRAINABLE, TrainableCase, check_resume
from trainables.trainable import Trainable

MAKES_SOUNDS = ("Autoencoder", "ImageToSound")
CONDITIONAL = {"prior": "conditional", "route": "sample"}
TRAINABLES = {name: load_trainable(name, Path()) for name in find_trainables()}


@dataclass(frozen=True)
class WithLoss(TrainableCase):
    """A trainable in its smallest settings, but with a certain loss."""

    loss: str

    @property
    def config(self) -> Any:
        return self.kind.Config(**{**self.settings, **self.kind.DEBUG, "loss": self.loss})

    @property
    def is_allowed(self) -> bool:
        try:
            return self.config is not None
        except ValidationError:
            return False


@pytest.fixture(params=TRAINABLES)
def kind(request: pytest.FixtureRequest, corpus: Corpus) -> type[Trainable]:
    found = TRAINABLES[request.param]
    found.prepare([found.Config(**found.DEBUG)], corpus)
    return found


def make(kind: type[Trainable], corpus: Corpus, *, seed: int = 0, **settings: Any) -> Trainable:
    seed_everything(seed)
    return kind(kind.Config(**{**kind.DEBUG, **settings}), corpus, device="cpu", seed=seed)


class TestTrainable:
    @pytest.mark.parametrize("promise", TRAINABLE, ids=str)
    def test_a_promise_holds(self, kind: type[Trainable], corpus: Corpus, promise: Promise[TrainableCase]) -> None:
        promise.check(TrainableCase(kind, {}, corpus))

    @pytest.mark.parametrize("loss", LOSSES)
    def test_going_on_from_a_saved_state_is_the_same_with_every_loss(
        self, kind: type[Trainable], corpus: Corpus, loss: str
    ) -> None:
        case = WithLoss(kind, {}, corpus, loss)
        if "loss" in kind.Config.model_fields and case.is_allowed:
            check_resume(case)

    def test_a_step_returns_declared_metrics_and_both_losses(self, kind: type[Trainable], corpus: Corpus) -> None:
        metrics = make(kind, corpus).step()
        assert {"train/loss", "val/loss"} <= set(metrics) <= set(kind.METRICS)

    def test_another_seed_gives_other_metrics(self, kind: type[Trainable], corpus: Corpus) -> None:
        one, other = (make(kind, corpus, seed=seed).step() for seed in (1, 2))
        assert one["train/loss"] != other["train/loss"]

    def test_every_probe_is_rendered(self, kind: type[Trainable], corpus: Corpus) -> None:
        media = make(kind, corpus).render(corpus.probes(3))
        assert media is not None
        names = corpus.clips["clip"].to_numpy()[corpus.probes(3)]
        ends = ("original", "reconstruction") if kind.__name__ in MAKES_SOUNDS else ("original",)
        assert set(media.audio) == {f"{name}_{end}" for name in names for end in ends}
        assert all(np.abs(samples).max() > 0 for samples in media.audio.values())
        assert [row["clip"] for row in media.clips] == list(names)

    def test_a_split_is_judged_by_classes(self, kind: type[Trainable], corpus: Corpus) -> None:
        table = make(kind, corpus).evaluate("test")
        assert table is not None
        judge = "" if kind.__name__ == "Classifier" else "judge_"
        assert table[f"{judge}probability"].between(0, 1).all()
        assert set(table[f"{judge}accuracy"]) <= {0.0, 1.0}


@pytest.mark.parametrize("name", TRAINABLES)
def test_a_trainable_is_what_its_declaration_says(name: str) -> None:
    declaration, trainable = load_declaration(name, Path()), TRAINABLES[name]
    assert issubclass(trainable, declaration) and declaration is not trainable
    assert declaration.class_name() == trainable.class_name() == trainable.__name__
    assert (declaration.can_render(), declaration.can_evaluate()) == (trainable.can_render(), trainable.can_evaluate())
    assert not {"Config", "METRICS", "RENDERING", "GENERATES", "DEBUG", "reported"} & vars(trainable).keys()


@pytest.mark.parametrize(("name", "settings"), [("autoencoder", {"loss": "vae"}), ("image_to_sound", CONDITIONAL)])
def test_a_trial_from_a_graphics_card_goes_on_on_a_processor(
    corpus: Corpus, name: str, settings: dict[str, Any]
) -> None:
    first = make(TRAINABLES[name], corpus, **settings)
    first.step()
    state = first.state_dict()
    # The state of a generator on a card: its seed and its position.
    other_noise = torch.arange(16, dtype=torch.uint8)
    metrics = []
    for noise in (other_noise, other_noise, other_noise + 1):
        resumed = make(TRAINABLES[name], corpus, seed=9, **settings)
        # A copy, because an optimizer keeps the tensors that it is given.
        resumed.load_state_dict({**deepcopy(state), "noise": noise})
        metrics.append(resumed.step())
    assert metrics[0] == metrics[1] and metrics[0]["train/loss"] != metrics[2]["train/loss"]


@pytest.mark.parametrize("promise", LOSS, ids=str)
@pytest.mark.parametrize("case", [case for name in LOSSES for case in loss_cases(name)], ids=str)
def test_a_loss_holds(case: LossCase, promise: Promise[LossCase]) -> None:
    promise.check(case)


@pytest.mark.parametrize("promise", PHASE_LOSS, ids=str)
@pytest.mark.parametrize("case", [case for name in PHASE_LOSSES for case in phase_loss_cases(name)], ids=str)
def test_a_loss_of_phases_holds(case: PhaseLossCase, promise: Promise[PhaseLossCase]) -> None:
    promise.check(case)


@pytest.mark.parametrize("promise", NORMALIZATION, ids=str)
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_normalization_holds(name: str, promise: Promise[NormalizationCase]) -> None:
    promise.check(NormalizationCase(name))


@pytest.mark.parametrize("promise", PHASE, ids=str)
@pytest.mark.parametrize("name", PHASES)
def test_a_phase_holds(name: str, corpus: Corpus, promise: Promise[PhaseCase]) -> None:
    promise.check(PhaseCase(name, corpus))


@pytest.mark.parametrize("promise", WAVEFORM_AUGMENTATION, ids=str)
@pytest.mark.parametrize("name", WAVEFORM_AUGMENTATIONS)
def test_an_augmentation_of_waveforms_holds(name: str, promise: Promise[AdditionCase]) -> None:
    promise.check(AdditionCase(name))


@pytest.mark.parametrize("name", PHASES)
def test_an_oracle_is_told_something(name: str) -> None:
    assert (PHASES[name].side_info_floats > 0) == (name in ("original", "nearest_own_class"))


@pytest.mark.parametrize("promise", CORPUS, ids=str)
def test_a_corpus_holds(corpus: Corpus, promise: Promise[Corpus]) -> None:
    promise.check(corpus)


def assert_equal(one: Any, other: Any) -> None:
    """The same nested state, tensors compared bit by bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert one == other
