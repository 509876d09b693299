"""The contracts of judges and metrics that search spaces add, and of what the corpus judge learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.added_metrics import METRICS
from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.judges.asking import ask
from trainables.components.judges.batch import Batch
from trainables.components.judges.plugin import JUDGES, AddedJudge, Answer
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.judges.weights import MEL_BANDS, PAIRED_FRAMES
from trainables.testing.promise import Broken, Promise

CLASSES = ("bell", "engine", "rain")
NUM_CLIPS, NUM_FEATURES = 6, 8
TOLERANCE = 1e-3


@dataclass(frozen=True)
class AdditionCase:
    """A metric or an augmentation, with the format of the clips that it is checked on."""

    name: str
    clip: ClipFormat = USUAL_CLIP


@dataclass(frozen=True)
class JudgeCase:
    """A judge with the settings that it has without any in the search space, and the format of clips."""

    name: str
    clip: ClipFormat = USUAL_CLIP

    def judge(self) -> AddedJudge:
        """Construct the judge for three classes."""
        kind = JUDGES[self.name]
        return kind(kind.Settings(name=self.name), CLASSES)

    def clips(self) -> NDArray[np.float32]:
        """Return noise of several levels as sounds or as pictures."""
        kind, rng = JUDGES[self.name], np.random.default_rng(0)
        shape = (self.clip.samples,) if kind.modality == "sound" else (3, kind.size_px, kind.size_px)
        levels = np.linspace(0.01, 0.5, NUM_CLIPS).reshape(-1, *[1] * len(shape))
        clips: NDArray[np.float32] = (levels * rng.uniform(0, 1, (NUM_CLIPS, *shape))).astype(np.float32)
        return clips


def check_answer(case: JudgeCase) -> None:
    """Check that the answer can be used, also to silence."""
    judge, clips = case.judge(), case.clips()
    for batch in (clips, np.zeros_like(clips)):
        answer = ask(judge, batch, case.clip.rate_hz)
        if not judge.knows_classes and answer.embeddings.shape[1] < 2:
            raise Broken(f"needs at least 2 features for a probe, got {answer.embeddings.shape[1]}")


def check_answer_again(case: JudgeCase) -> None:
    """Check that another instance gives the same answer."""
    clips, rate_hz = case.clips(), case.clip.rate_hz
    one, other = ask(case.judge(), clips, rate_hz), ask(case.judge(), clips, rate_hz)
    if not _are_close(one, other):
        raise Broken("another instance answers differently to the same clips")


def check_answer_alone(case: JudgeCase) -> None:
    """Check that a clip gets the same answer alone and in a batch."""
    judge, clips = case.judge(), case.clips()
    together = ask(judge, clips, case.clip.rate_hz)
    part = Answer(together.embeddings[2:3], None if together.scores is None else together.scores[2:3])
    if not _are_close(part, ask(judge, clips[2:3], case.clip.rate_hz)):
        raise Broken("a clip gets another answer alone")


def check_metric(case: AdditionCase) -> None:
    """Check that a metric has a finite value, for each clip if it is one of sounds."""
    metric, rng = METRICS[case.name], np.random.default_rng(0)
    if metric.of == "embeddings":
        generated, reference = rng.standard_normal((2, 40, NUM_FEATURES)).astype(np.float32)
        value = metric.function(generated, reference, np.arange(len(generated)) // 2).value
        if not np.isfinite(value):
            raise Broken(f"needs a finite value, got {value}")
        return
    sounds, originals = 0.1 * rng.standard_normal((2, NUM_CLIPS, case.clip.samples)).astype(np.float32)
    for batch in (sounds, np.zeros_like(sounds)):
        values = np.asarray(metric.function(batch, originals, case.clip.rate_hz))
        if values.shape != (NUM_CLIPS,) or np.isinf(values).any():
            raise Broken(f"needs {NUM_CLIPS} values, NaN where it doesn't apply, got {values!r}")


def check_direction(case: AdditionCase) -> None:
    """Check that the original is not worse than a noisy one, for a metric of sounds."""
    metric, rng = METRICS[case.name], np.random.default_rng(0)
    if metric.of == "embeddings":
        return
    originals = 0.1 * rng.standard_normal((NUM_CLIPS, case.clip.samples)).astype(np.float32)
    noisy = originals + 0.1 * rng.standard_normal(originals.shape).astype(np.float32)
    values = (metric.function(sounds, originals, case.clip.rate_hz) for sounds in (originals, noisy))
    perfect, worse = map(np.nanmean, values)
    if (perfect < worse) if metric.mode == "max" else (perfect > worse):
        raise Broken(f"mode is {metric.mode}, but originals have {perfect:g} and noisy ones {worse:g}")


def check_augmented(case: AdditionCase) -> None:
    """Check that augmented clips and targets can be learned, and that the clips that were drawn stay as they are."""
    batch = _draw_batch(case, 0)
    changed = _augment(case, batch, seed=0)
    if changed.mels.shape != batch.mels.shape or not changed.mels.isfinite().all():
        raise Broken(f"needs finite clips of shape {tuple(batch.mels.shape)}, got {tuple(changed.mels.shape)}")
    sums = changed.targets.sum(dim=1)
    if changed.targets.shape != batch.targets.shape or changed.targets.min() < 0 or (sums - 1).abs().max() > TOLERANCE:
        raise Broken("the targets of a clip need to be probabilities of the classes, which add up to 1")
    if not torch.equal(batch.mels, _draw_batch(case, 0).mels):
        raise Broken("changes the clips in place; return new ones")


def check_augmented_again(case: AdditionCase) -> None:
    """Check that the generator decides everything."""
    first, second = (_augment(case, _draw_batch(case, 0), seed=0) for _ in range(2))
    if not (torch.equal(first.mels, second.mels) and torch.equal(first.targets, second.targets)):
        raise Broken("another call with the same seed changes the clips differently; draw from the generator alone")


def check_augmented_waveforms(case: AdditionCase) -> None:
    """Check that augmented waveforms are clips still, also of silence and of one clip, and that the old ones stay."""
    drawn = _draw_waveforms(case)
    for waveforms in (drawn, drawn[:1], torch.zeros_like(drawn)):
        before = waveforms.clone()
        changed = _augment_waveforms(case, waveforms)
        if changed.shape != waveforms.shape or changed.dtype != torch.float32 or not changed.isfinite().all():
            raise Broken(f"needs finite float32 of shape {tuple(waveforms.shape)}, got {tuple(changed.shape)}")
        if not torch.equal(waveforms, before):
            raise Broken("changes the clips in place; return new ones")
    if torch.equal(_augment_waveforms(case, drawn), drawn):
        raise Broken("changes no clip")


def check_augmented_waveforms_follow_seed(case: AdditionCase) -> None:
    """Check that equal seeds give equal augmented waveforms, and other seeds other ones."""
    first, second, other = (_augment_waveforms(case, _draw_waveforms(case), seed) for seed in (0, 0, 1))
    if not torch.equal(first, second):
        raise Broken("another call with the same seed changes the clips differently; draw from the generator alone")
    if torch.equal(first, other):
        raise Broken("changes the clips in the same way for another seed; draw from the generator")


def _augment_waveforms(case: AdditionCase, waveforms: Tensor, seed: int = 0) -> Tensor:
    return WAVEFORM_AUGMENTATIONS[case.name](waveforms, torch.Generator().manual_seed(seed))


def _draw_waveforms(case: AdditionCase) -> Tensor:
    return 0.1 * torch.randn(NUM_CLIPS, case.clip.samples, generator=torch.Generator().manual_seed(0))


def _augment(case: AdditionCase, batch: Batch, seed: int) -> Batch:
    return AUGMENTATIONS[case.name](batch, lambda: _draw_batch(case, 1), torch.Generator().manual_seed(seed))


def _draw_batch(case: AdditionCase, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.eye(len(CLASSES)).repeat(NUM_CLIPS // len(CLASSES), 1)
    frames = case.clip.frames // PAIRED_FRAMES
    return Batch(torch.randn(len(targets), frames, MEL_BANDS, generator=generator), targets)


def _are_close(one: Answer, other: Answer) -> bool:
    if not np.allclose(one.embeddings, other.embeddings, rtol=TOLERANCE, atol=TOLERANCE):
        return False
    if one.scores is None or other.scores is None:
        return one.scores is other.scores
    return np.allclose(one.scores, other.scores, rtol=TOLERANCE, atol=TOLERANCE)


JUDGE = (
    Promise("its answers have a row of finite numbers for each clip, also for silence", check_answer),
    Promise("it answers the same in every process", check_answer_again),
    Promise("it answers to a clip alone as in a batch", check_answer_alone),
)
METRIC = (
    Promise("it has a value, for every clip if it is one of sounds", check_metric),
    Promise("noise is not better than the original, by its mode", check_direction),
)
WAVEFORM_AUGMENTATION = (
    Promise("its clips are clips still, and those that it takes are unchanged", check_augmented_waveforms),
    Promise("the seed alone decides how clips are changed", check_augmented_waveforms_follow_seed),
)
AUGMENTATION = (
    Promise("its clips and targets can be learned, and what was drawn is unchanged", check_augmented),
    Promise("the same seed changes the same clips in the same way", check_augmented_again),
)
