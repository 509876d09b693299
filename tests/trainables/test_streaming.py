"""Trainables on clips that are streamed, as if they were larger than the memory: the contracts hold for them, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.worker.attempt import TrialRun
from tests.support.spaces import trial_spec
from tests.trainables.test_contracts import TRAINABLES
from trainables.autoencoder.trainable import Autoencoder
from trainables.components.training import batches
from trainables.components.training.batch_trainable import BatchTrainable
from trainables.components.training.batches import Batches
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.sound_to_image.gan_game import GanGame
from trainables.sound_to_image.trainable import SoundToImage
from trainables.support.randomness import seed_everything
from trainables.testing.promise import Promise
from trainables.testing.trainables import TrainableCase, check_metrics, check_resume, check_seed
from trainables.trainable import Trainable

BATCHES = 2
"""Fewer batches an epoch than a pass has, so that epochs end in the middle of passes."""
CASES = {name: (kind, {}) for name, kind in TRAINABLES.items()} | {
    "autoencoder, augmented": (Autoencoder, {"augment": "gain+mix", "time_roll": True})
}


class InTheMiddle(TrainableCase):
    """A trainable whose epochs end in the middle of passes."""

    @property
    def config(self) -> Any:
        return self.kind.Config(**{**self.kind.DEBUG, **self.settings, "batch_size": 4})

    def make(self, seed: int = 0) -> Trainable:
        trainable = super().make(seed)
        trainable.batches_per_epoch = BATCHES
        return trainable


def batches_of(trainable: Trainable) -> Batches:
    if isinstance(trainable, SoundToImage):
        assert isinstance(trainable.game, GanGame)
        return trainable.game.batches
    assert isinstance(trainable, BatchTrainable)
    return trainable.batches


@pytest.fixture
def streamed(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """The corpus, of which nothing fits into memory, with blocks and a buffer that are smaller than its train split."""
    monkeypatch.setattr(batches, "BLOCK_CLIPS", 3)
    monkeypatch.setattr(batches, "BUFFER_CLIPS", 6)
    return replace(corpus, in_memory_bytes=0)


@pytest.mark.parametrize(
    "promise", [Promise(check.__name__, check) for check in (check_metrics, check_seed, check_resume)], ids=str
)
@pytest.mark.parametrize("case", CASES)
def test_a_promise_holds(streamed: Corpus, case: str, promise: Promise[TrainableCase]) -> None:
    kind, settings = CASES[case]
    kind.prepare([kind.Config(**{**kind.DEBUG, **settings})], streamed)
    promise.check(InTheMiddle(kind, settings, streamed))


@pytest.mark.parametrize("name", TRAINABLES)
def test_streaming_changes_the_order_and_nothing_else(streamed: Corpus, corpus: Corpus, name: str) -> None:
    kind = TRAINABLES[name]
    kind.prepare([kind.Config(**kind.DEBUG)], corpus)
    trained, plain = (InTheMiddle(kind, {}, source).make() for source in (streamed, corpus))
    rows = {}
    for batch in batches_of(plain).epoch():
        rows |= {clip: parts for clip, *parts in zip(batch.positions.tolist(), *batch.rows, strict=True)}
    streamed_clips = []
    for batch in batches_of(trained).epoch():
        streamed_clips += batch.positions.tolist()
        for clip, *parts in zip(batch.positions.tolist(), *batch.rows, strict=True):
            assert all(torch.equal(part, row) for part, row in zip(parts, rows[clip], strict=True))
    assert sorted(streamed_clips) == sorted(rows) and streamed_clips != list(rows)


def test_an_epoch_that_ends_inside_of_a_pass_leaves_the_place_in_the_checkpoint(streamed: Corpus) -> None:
    kind = TRAINABLES["classifier"]
    kind.prepare([kind.Config(**kind.DEBUG)], streamed)
    trainable = InTheMiddle(kind, {}, streamed).make()
    trainable.step()
    assert trainable.state_dict()["batches"]["given"] == BATCHES
    assert trainable.waited_s is not None and trainable.waited_s > 0


@pytest.mark.parametrize("in_memory_gib", [1.0, 0.0])
def test_a_trial_says_how_long_it_waited_for_data(
    tiny_corpus: Path, tiny_home: Path, tmp_path: Path, in_memory_gib: float
) -> None:
    settings = {"name": "folder", "root": str(tiny_corpus), "in_memory_gib": in_memory_gib}
    assert open_corpus(settings, tiny_home).in_memory_bytes == in_memory_gib * 2**30
    spec = trial_spec(
        tmp_path,
        folder=str(tmp_path / "0001"),
        home=str(tiny_home),
        trainable="classifier",
        config={"batch_size": 8},
        corpus=settings,
        objective="val/probability",
    )
    seed_everything(0)
    run = TrialRun(spec)
    metrics = run.step()["metrics"]
    run.close()
    assert 0 < metrics["time/wait_s"] < metrics["time/epoch_s"]
