"""The contract of trainables."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainables.components.audio.clip import USUAL_CLIP
from trainables.corpora.corpus import Corpus
from trainables.support.randomness import random_states, restore_random_states, seed_everything
from trainables.testing.promise import Broken, Promise, difference
from trainables.trainable import Trainable

SIZE_TOLERANCE = 0.1
"""The largest relative error of `checkpoint_bytes`."""


@dataclass(frozen=True)
class TrainableCase:
    """A trainable with settings, on a corpus.

    Attributes:
        kind: the class.
        settings: the arguments of `Config`; those in `DEBUG` of the trainable replace them.
        corpus: the corpus to train on; None for a trainable that needs none.
    """

    kind: type[Trainable]
    settings: Mapping[str, Any]
    corpus: Corpus | None

    @property
    def config(self) -> Any:
        """The settings, as small as the trainable allows."""
        return self.kind.Config(**{**self.settings, **self.kind.DEBUG})

    @property
    def seed_of_resumed(self) -> int:
        """Another seed for a trainable that loads a state, so that a state that lacks a generator is noticed.

        A command gets its seed again, as it does in a sweep: its state is in its own files.
        """
        return 9 if self.kind.STATE_IS_WHOLE else 0

    def make(self, seed: int = 0) -> Trainable:
        """Construct the trainable as a worker does: after seeding the global generators."""
        seed_everything(seed)
        return self.kind(self.config, self.corpus, device="cpu", seed=seed)


def serialize(state: Mapping[str, Any]) -> io.BytesIO:
    """Return a state in the bytes that a checkpoint has, ready to be read."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    buffer.seek(0)
    return buffer


def check_descriptions(case: TrainableCase) -> None:
    """Check that every field of `Config` has a description."""
    if missing := [name for name, field in case.kind.Config.model_fields.items() if not field.description]:
        raise Broken(f"no description of: {', '.join(missing)}")


def check_metrics(case: TrainableCase) -> None:
    """Check that `step` returns every metric that `METRICS` declares, and finite numbers only."""
    metrics = _step(case)
    if missing := [name for name in case.kind.reported(case.config) if name not in metrics]:
        raise Broken(f"METRICS declares, and step did not return: {', '.join(missing)}")
    if wrong := [f"{name} = {value!r}" for name, value in metrics.items() if not _is_finite(value)]:
        raise Broken(f"no finite numbers: {', '.join(wrong)}")


def _step(case: TrainableCase, seed: int = 0) -> dict[str, float]:
    """Return the metrics of the first step of a new trainable."""
    with closing(case.make(seed)) as trainable:
        return trainable.step()


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def check_seed(case: TrainableCase) -> None:
    """Check that two runs from one seed return the same metrics."""
    # `make` seeds the global generators, so each trainable is made just before its step.
    one, other = (_step(case, seed=1) for _ in range(2))
    if changed := [name for name in one if one[name] != other.get(name)]:
        raise Broken(f"two runs from seed 1 differ in {', '.join(changed)}")


def check_resume(case: TrainableCase) -> None:
    """Check that a run that resumes from a saved state equals one that never stopped, to the last bit."""
    with tempfile.TemporaryDirectory() as folder:
        with closing(case.make()) as whole:
            whole.place(Path(folder, "whole"), 4)
            expected = [whole.step() for _ in range(4)]
            expected_state = whole.state_dict()
        with closing(case.make()) as first:
            first.place(Path(folder, "resumed"), 4)
            if [first.step() for _ in range(2)] != expected[:2]:
                raise Broken("two runs from one seed differ before anything is saved")
            buffer, states = serialize(first.state_dict()), random_states()
        with closing(case.make(seed=case.seed_of_resumed)) as second:
            second.place(Path(folder, "resumed"), 4)
            second.load_state_dict(torch.load(buffer, weights_only=True))
            restore_random_states(states)
            _compare_epochs(second, expected[2:])
            if case.kind.STATE_IS_WHOLE and (where := difference(second.state_dict(), expected_state)):
                raise Broken(f"{where} differs after a resume")


def _compare_epochs(resumed: Trainable, expected: Sequence[Mapping[str, float]]) -> None:
    """Check that a resumed trainable returns the metrics of an undisturbed one, from epoch 3 on."""
    for epoch, metrics in enumerate(expected, start=3):
        resumed_metrics = resumed.step()
        if changed := [name for name in metrics if metrics[name] != resumed_metrics.get(name)]:
            raise Broken(f"epoch {epoch} differs in {', '.join(changed)} after a resume: state_dict lacks something")


def check_size(case: TrainableCase) -> None:
    """Check that the size of a saved state is within 10 % of what `checkpoint_bytes` returns."""
    clip_format = USUAL_CLIP if case.corpus is None else case.corpus.clip_format
    # A trainable that says nothing about the length of clips need not take it.
    clip = () if clip_format == USUAL_CLIP else (clip_format,)
    expected = case.kind.checkpoint_bytes(case.config, *clip)
    if expected is None:
        return
    with closing(case.make()) as trainable:
        trainable.batches_per_epoch = 2
        trainable.step()
        size_bytes = len(serialize(trainable.state_dict()).getvalue())
    if abs(size_bytes - expected) > SIZE_TOLERANCE * expected:
        raise Broken(f"checkpoint_bytes says {expected:,}, a saved state has {size_bytes:,}")


def check_rendering(case: TrainableCase) -> None:
    """Check the format of the sounds, the pictures and the table that `render` returns."""
    if case.kind.render is Trainable.render:
        return
    corpus = case.corpus
    if corpus is None:
        raise Broken("it renders the clips of a corpus, and the search space has no `corpus:`")
    probes = corpus.probes(3)
    with closing(case.make()) as trainable:
        media = trainable.render(probes)
    if media is None:
        return
    for name, samples in media.audio.items():
        if samples.dtype != np.float32 or samples.ndim != 1:
            raise Broken(f"sound {name}: needs float32 of one dimension, got {samples.dtype} of {samples.ndim}")
        if not 0 <= np.abs(samples).max(initial=0) <= 1:
            raise Broken(f"sound {name}: reaches {np.abs(samples).max():.3g}, full scale is 1")
    for name, picture in media.images.items():
        if picture.dtype != np.uint8 or picture.ndim != 3:
            raise Broken(f"picture {name}: needs uint8 of (height, width, 3), got {picture.dtype} of {picture.shape}")
    names = list(corpus.clips["clip"].to_numpy()[probes])
    if media.clips and [row["clip"] for row in media.clips] != names:
        raise Broken(f"its table of clips is not of the probes {', '.join(names)} in their order")


def check_evaluation(case: TrainableCase) -> None:
    """Check that `evaluate` returns a row for every recording of the test split.

    Without a corpus the trainable draws its own data, and its table says which recordings there are.
    """
    if case.kind.evaluate is Trainable.evaluate:
        return
    with closing(case.make()) as trainable:
        table = trainable.evaluate("test")
    if table is None:
        return
    if "recording" not in table:
        raise Broken("needs a column `recording`, which names what each row is about")
    if case.corpus is None:
        if table["recording"].duplicated().any():
            raise Broken("needs one row for each name in the column `recording`")
    else:
        clips = case.corpus.clips
        expected = sorted(set(clips.loc[clips["split"] == "test", "recording"]))
        if sorted(table["recording"]) != expected:
            raise Broken(f"needs one row for each of the {len(expected)} test recordings, in a column `recording`")
    values = table.drop(columns=["recording", "class"], errors="ignore")
    if wrong := sorted(map(str, set(values) - set(values.select_dtypes("number")))):
        raise Broken(f"columns that are no numbers: {', '.join(wrong)}")


TRAINABLE = (
    Promise("every setting has a description", check_descriptions),
    Promise("a step returns every declared metric, all of them finite", check_metrics),
    Promise("the same seed gives the same metrics", check_seed),
    Promise("a resumed training equals an uninterrupted one, to the last bit", check_resume),
    Promise("a checkpoint has the size that checkpoint_bytes returns", check_size),
    Promise("probe clips are rendered within full scale", check_rendering),
    Promise("evaluate returns a row for each recording of the test split", check_evaluation),
)
