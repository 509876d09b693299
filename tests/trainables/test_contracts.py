"""Contracts that every trainable, loss and normalization inherits by being registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from orchestrator.plugins.loader import find_trainables, load_trainable
from orchestrator.worker.checkpoint import random_states, restore_random_states, seed_everything
from trainables.components.audio.spectrogram import log_power, synthesized
from trainables.components.audio.spectrogram import phase as phase_of
from trainables.components.losses.phase_losses import PHASE_LOSSES
from trainables.components.losses.reconstruction import LOSSES
from trainables.components.losses.sigmas import SIGMAS
from trainables.components.representation.normalizations import NORMALIZATIONS
from trainables.components.representation.normalizer import Normalizer
from trainables.components.representation.phase_rendering import PHASES, Memory, Scene
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.trainable import Trainable

MAKES_SOUNDS = ("Autoencoder", "ImageToSound")
TRAINABLES = {name: load_trainable(name, Path()) for name in find_trainables()}


@pytest.fixture(params=TRAINABLES)
def kind(request: pytest.FixtureRequest, corpus: Corpus) -> type[Trainable]:
    found = TRAINABLES[request.param]
    found.prepare([found.Config(**found.DEBUG)], corpus)
    return found


def make(kind: type[Trainable], corpus: Corpus, *, seed: int = 0, **settings: Any) -> Trainable:
    seed_everything(seed)
    return kind(kind.Config(**{**kind.DEBUG, **settings}), corpus, device="cpu", seed=seed)


def is_allowed(kind: type[Trainable], settings: dict[str, Any]) -> bool:
    try:
        kind.Config(**{**kind.DEBUG, **settings})
    except ValidationError:
        return False
    return True


class TestTrainable:
    def test_the_size_of_a_checkpoint_is_known_before(
        self, kind: type[Trainable], corpus: Corpus, tmp_path: Path
    ) -> None:
        trainable = make(kind, corpus)
        trainable.batches_per_epoch = 2
        trainable.step()
        torch.save(trainable.state_dict(), tmp_path / "state.pt")
        expected = kind.checkpoint_bytes(kind.Config(**kind.DEBUG))
        assert expected is None or (tmp_path / "state.pt").stat().st_size == pytest.approx(expected, rel=0.1)

    def test_every_setting_is_described(self, kind: type[Trainable]) -> None:
        assert not [name for name, field in kind.Config.model_fields.items() if not field.description]

    def test_a_step_returns_declared_and_finite_metrics(self, kind: type[Trainable], corpus: Corpus) -> None:
        metrics = make(kind, corpus).step()
        assert set(metrics) <= set(kind.METRICS)
        assert all(np.isfinite(value) for value in metrics.values())
        assert {"train/loss", "val/loss"} <= set(metrics)

    def test_the_same_seed_gives_the_same_metrics_and_another_gives_others(
        self, kind: type[Trainable], corpus: Corpus
    ) -> None:
        # Each is made just before it runs: what a trainable may draw from the global generators is seeded then.
        one, same, other = (make(kind, corpus, seed=seed).step() for seed in (1, 1, 2))
        assert one == same
        assert one["train/loss"] != other["train/loss"]

    @pytest.mark.parametrize("loss", LOSSES)
    def test_going_on_from_a_saved_state_is_the_same_to_the_last_bit(
        self, kind: type[Trainable], corpus: Corpus, loss: str, tmp_path: Path
    ) -> None:
        settings = {"loss": loss} if "loss" in kind.Config.model_fields else {}
        if not is_allowed(kind, settings) or (not settings and loss != "l2"):
            return  # once is enough where there is nothing to vary
        whole = make(kind, corpus, **settings)
        expected = [whole.step() for _ in range(4)]
        first = make(kind, corpus, **settings)
        assert [first.step() for _ in range(2)] == expected[:2]
        torch.save(first.state_dict(), tmp_path / "state.pt")
        states = random_states()
        second = make(kind, corpus, seed=9, **settings)
        second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        restore_random_states(states)
        assert [second.step() for _ in range(2)] == expected[2:]
        assert_equal(second.state_dict(), whole.state_dict())

    def test_every_probe_is_rendered_within_full_scale(self, kind: type[Trainable], corpus: Corpus) -> None:
        media = make(kind, corpus).render(corpus.probes(3))
        assert media is not None
        names = corpus.clips["clip"].to_numpy()[corpus.probes(3)]
        ends = ("original", "reconstruction") if kind.__name__ in MAKES_SOUNDS else ("original",)
        assert set(media.audio) == {f"{name}_{end}" for name in names for end in ends}
        for samples in media.audio.values():
            assert samples.dtype == np.float32
            assert 0 < np.abs(samples).max() <= 1
        assert [row["clip"] for row in media.clips] == list(names)
        assert all(picture.ndim == 3 and picture.dtype == np.uint8 for picture in media.images.values())

    def test_a_split_is_judged_by_recording(self, kind: type[Trainable], corpus: Corpus) -> None:
        table = make(kind, corpus).evaluate("test")
        assert table is not None
        clips = corpus.clips[corpus.clips["split"] == "test"]
        assert sorted(table["recording"]) == sorted(set(clips["recording"]))
        judge = "" if kind.__name__ == "Classifier" else "judge_"
        assert table[f"{judge}probability"].between(0, 1).all()
        assert set(table[f"{judge}accuracy"]) <= {0.0, 1.0}


WITH_SIGMA = [(name, sigma) for name, loss in LOSSES.items() for sigma in (SIGMAS if loss.has_sigma else [None])]


@pytest.mark.parametrize(("name", "sigma"), WITH_SIGMA)
class TestLoss:
    def value(self, name: str, sigma: str | None, estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if sigma is None:
            return LOSSES[name](estimate, target)
        deviation = SIGMAS[sigma](0.05)(estimate, target, torch.full_like(target, -1.0))
        return LOSSES[name](estimate, target, deviation)

    def test_nothing_is_nearer_than_the_target_itself(self, name: str, sigma: str | None) -> None:
        target = torch.randn(3, 6, 8)
        at_target = self.value(name, sigma, target, target)
        assert all(at_target < self.value(name, sigma, target + shift, target) for shift in (0.1, -0.1, 1.0))

    @pytest.mark.parametrize("target", [torch.zeros(2, 6, 8), torch.full((2, 6, 8), -13.8), torch.randn(2, 6, 8)])
    def test_gradients_are_finite_also_at_the_target(self, name: str, sigma: str | None, target: torch.Tensor) -> None:
        for estimate in (target.clone(), target + 1e-6, target + 10):
            estimate.requires_grad_(True)
            self.value(name, sigma, estimate, target).backward()
            assert estimate.grad is not None and estimate.grad.isfinite().all()

    def test_its_value_does_not_depend_on_how_often_a_clip_is_in_the_batch(self, name: str, sigma: str | None) -> None:
        estimate, target = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
        alone, thrice = (self.value(name, sigma, estimate.repeat(n, 1, 1), target.repeat(n, 1, 1)) for n in (1, 3))
        torch.testing.assert_close(alone, thrice)


@pytest.mark.parametrize("name", NORMALIZATIONS)
class TestNormalization:
    def clips(self) -> torch.Tensor:
        """20 clips with a magnitude and a phase."""
        generator = torch.Generator().manual_seed(0)
        level = torch.linspace(-12, 3, 8)
        magnitude = level + torch.randn(20, 6, 8, generator=generator) * torch.linspace(0.5, 3, 6)[:, None]
        return torch.stack([magnitude, 2 * torch.rand(20, 6, 8, generator=generator) - 1], dim=1)

    def fitted(self, name: str, clips: torch.Tensor) -> Normalizer:
        normalizer = Normalizer({"magnitude": name, "phase": name}, {"magnitude": slice(0, 1), "phase": slice(1, 2)})
        normalizer.fit(lambda: iter(clips.split(7)))
        return normalizer

    def test_it_is_undone_exactly(self, name: str) -> None:
        clips = self.clips()
        normalizer = self.fitted(name, clips)
        statistics = normalizer.statistics(clips)
        undone = normalizer.invert(normalizer.apply(clips, statistics), statistics)
        torch.testing.assert_close(undone, clips, atol=1e-4, rtol=1e-5)

    def test_silence_stays_finite(self, name: str) -> None:
        silence = torch.full((4, 2, 6, 8), -13.8155)
        silence[:, 1] = 0
        normalizer = self.fitted(name, silence)
        statistics = normalizer.statistics(silence)
        normalized = normalizer.apply(silence, statistics)
        assert normalized.isfinite().all() and statistics.isfinite().all()
        torch.testing.assert_close(normalizer.invert(normalized, statistics), silence)

    def test_a_clip_is_the_same_alone(self, name: str) -> None:
        clips = self.clips()
        normalizer = self.fitted(name, clips)
        together, alone = (normalizer.apply(each, normalizer.statistics(each)) for each in (clips, clips[3:4]))
        torch.testing.assert_close(together[3:4], alone)

    def test_what_is_said_to_be_bounded_is(self, name: str) -> None:
        clips = self.clips()
        normalizer = self.fitted(name, clips)
        largest = normalizer.apply(clips, normalizer.statistics(clips)).abs().max().item()
        assert (largest <= 1 + 1e-6) == NORMALIZATIONS[name].is_bounded

    def test_its_statistics_survive_a_checkpoint(self, name: str) -> None:
        clips = self.clips()
        fitted, loaded = self.fitted(name, clips), self.fitted(name, clips + 1)
        loaded.load_state_dict(fitted.state_dict())
        one, other = (each.apply(clips, each.statistics(clips)) for each in (fitted, loaded))
        assert torch.equal(one, other)


REPRESENTATIONS = [(takes, name) for name, loss in PHASE_LOSSES.items() for takes in loss.takes]


@pytest.mark.parametrize(("takes", "name"), REPRESENTATIONS)
class TestPhaseLoss:
    def phases(self, takes: str, seed: int = 0) -> torch.Tensor:
        """Three clips, in units of π or as cosine and sine."""
        angle = 2 * torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(seed)) - 1
        if takes != "cos_sin":
            return angle[:, None]
        return torch.stack([(torch.pi * angle).cos(), (torch.pi * angle).sin()], dim=1)

    def test_nothing_is_nearer_than_the_target_itself(self, takes: str, name: str) -> None:
        target, other = self.phases(takes), self.phases(takes, seed=1)
        loss = PHASE_LOSSES[name].loss
        assert loss(target, target).item() == pytest.approx(0, abs=1e-6) and loss(other, target) > 0.05

    def test_gradients_are_finite_also_at_the_target(self, takes: str, name: str) -> None:
        target = self.phases(takes)
        for estimate in (target.clone(), torch.zeros_like(target), target + 10):
            estimate.requires_grad_(True)
            PHASE_LOSSES[name].loss(estimate, target).backward()
            assert estimate.grad is not None and estimate.grad.isfinite().all()

    def test_its_value_does_not_depend_on_how_often_a_clip_is_in_the_batch(self, takes: str, name: str) -> None:
        estimate, target = self.phases(takes, seed=1)[:1], self.phases(takes)[:1]
        repeated = [PHASE_LOSSES[name].loss(estimate.repeat(n, 1, 1, 1), target.repeat(n, 1, 1, 1)) for n in (1, 3)]
        torch.testing.assert_close(*repeated)


@pytest.mark.parametrize("name", PHASES)
class TestPhase:
    def scene(self, corpus: Corpus, *, silent: bool = False) -> Scene:
        clips = corpus.probes(3)
        real = log_power(clip_power(corpus.waveforms(), clips))
        magnitudes = torch.full_like(real, -13.8155) if silent else real
        memory = Memory(corpus)
        own = synthesized((magnitudes / 2).exp(), phase_of(read_waveforms(corpus.waveforms(), clips)))
        return Scene(magnitudes, clips, memory, lambda: own)

    def test_it_makes_sounds_of_two_seconds_also_of_silence(self, name: str, corpus: Corpus) -> None:
        for silent in (False, True):
            sounds = PHASES[name].sound(self.scene(corpus, silent=silent))
            assert sounds.shape == (3, 44100) and sounds.isfinite().all()
            assert (sounds.abs().max() > 0.01) != silent

    def test_a_clip_sounds_the_same_alone(self, name: str, corpus: Corpus) -> None:
        scene = self.scene(corpus)
        own = scene.own_sound and scene.own_sound()[1:2]
        alone = Scene(scene.log_power[1:2], scene.clips[1:2], scene.memory, lambda: own)
        torch.testing.assert_close(PHASES[name].sound(alone), PHASES[name].sound(scene)[1:2], atol=1e-3, rtol=0)

    def test_an_oracle_is_told_something(self, name: str, corpus: Corpus) -> None:
        assert (PHASES[name].side_info_floats > 0) == (name in ("original", "nearest_own_class"))


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
