"""Contracts that every trainable, loss and normalization inherits by being registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.loader import find_trainables, load_trainable
from trainables.components.losses import LOSSES
from trainables.components.normalizations import NORMALIZATIONS
from trainables.components.sigmas import SIGMAS
from trainables.corpora.corpus import Corpus, open_corpus
from trainables.trainable import Trainable

TRAINABLES = {name: load_trainable(name, Path()) for name in find_trainables()}


@pytest.fixture(scope="module")
def corpus(tiny_corpus: Path, tiny_home: Path) -> Corpus:
    return open_corpus({"name": "folder", "root": str(tiny_corpus)}, tiny_home)


@pytest.fixture(params=TRAINABLES)
def kind(request: pytest.FixtureRequest, corpus: Corpus) -> type[Trainable]:
    found = TRAINABLES[request.param]
    found.prepare([found.Config(**found.DEBUG)], corpus)
    return found


def make(kind: type[Trainable], corpus: Corpus, *, seed: int = 0, **settings: Any) -> Trainable:
    return kind(kind.Config(**{**kind.DEBUG, **settings}), corpus, device="cpu", seed=seed)


class TestTrainable:
    def test_the_size_of_a_checkpoint_is_known_before(
        self, kind: type[Trainable], corpus: Corpus, tmp_path: Path
    ) -> None:
        trainable = make(kind, corpus)
        trainable.batches_per_epoch = 2
        trainable.step()
        torch.save(trainable.state_dict(), tmp_path / "state.pt")
        expected = kind.checkpoint_bytes(kind.Config(**kind.DEBUG))
        assert expected is not None and (tmp_path / "state.pt").stat().st_size == pytest.approx(expected, rel=0.1)

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
        one, same, other = (make(kind, corpus, seed=seed).step() for seed in (1, 1, 2))
        assert one == same
        assert one["train/loss"] != other["train/loss"]

    @pytest.mark.parametrize("loss", LOSSES)
    def test_going_on_from_a_saved_state_is_the_same_to_the_last_bit(
        self, kind: type[Trainable], corpus: Corpus, loss: str, tmp_path: Path
    ) -> None:
        settings = {"loss": loss} if "loss" in kind.Config.model_fields else {}
        whole = make(kind, corpus, **settings)
        expected = [whole.step() for _ in range(4)]
        first = make(kind, corpus, **settings)
        assert [first.step() for _ in range(2)] == expected[:2]
        torch.save(first.state_dict(), tmp_path / "state.pt")
        second = make(kind, corpus, seed=9, **settings)
        second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert [second.step() for _ in range(2)] == expected[2:]
        assert_equal(second.state_dict(), whole.state_dict())

    def test_every_probe_is_rendered_within_full_scale(self, kind: type[Trainable], corpus: Corpus) -> None:
        media = make(kind, corpus).render(corpus.probes(3))
        assert media is not None
        names = corpus.clips["clip"].to_numpy()[corpus.probes(3)]
        assert set(media.audio) == {f"{name}_{end}" for name in names for end in ("original", "reconstruction")}
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
        assert table["judge_probability"].between(0, 1).all()
        assert set(table["judge_accuracy"]) <= {0.0, 1.0}


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
        generator = torch.Generator().manual_seed(0)
        level = torch.linspace(-12, 3, 8)
        return level + torch.randn(20, 6, 8, generator=generator) * torch.linspace(0.5, 3, 6)[:, None]

    def test_it_is_undone_exactly(self, name: str) -> None:
        normalization = NORMALIZATIONS[name]()
        clips = self.clips()
        normalization.fit(clips.split(7))
        torch.testing.assert_close(normalization.invert(normalization.apply(clips)), clips, atol=1e-4, rtol=1e-5)

    def test_silence_stays_finite(self, name: str) -> None:
        normalization = NORMALIZATIONS[name]()
        silence = torch.full((4, 6, 8), -13.8155)
        normalization.fit(silence.split(3))
        assert normalization.apply(silence).isfinite().all()
        torch.testing.assert_close(normalization.invert(normalization.apply(silence)), silence)

    def test_its_statistics_survive_a_checkpoint(self, name: str) -> None:
        fitted, loaded = NORMALIZATIONS[name](), NORMALIZATIONS[name]()
        clips = self.clips()
        fitted.fit(clips.split(7))
        loaded.load_state_dict(fitted.state_dict())
        assert torch.equal(fitted.apply(clips), loaded.apply(clips))


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
