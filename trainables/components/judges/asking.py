"""Ask an added judge for its answer to clips, within a time limit, and check the answer."""

from __future__ import annotations

import math
import threading

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.judges.plugin import AddedJudge, Answer
from trainables.errors import InputError

BATCH_CLIPS = 16

Sounds = NDArray[np.float32]
"""Samples of shape (clips, samples)."""


def ask(judge: AddedJudge, clips: NDArray[np.float32], rate_hz: int) -> Answer:
    """Return a judge's answer to any number of clips; sounds are resampled and scaled to within ±1.

    Args:
        judge: the judge.
        clips: sounds, or pictures in the judge's size.
        rate_hz: the sampling rate of the sounds.

    Raises:
        InputError: the judge raises an error, exceeds its time limit, or gives an answer that can't be used.
    """
    answers = []
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = clips[start : start + BATCH_CLIPS]
        if judge.modality == "sound":
            batch = convert_sounds(batch, rate_hz, judge.rate_hz)
        answers.append(_check(judge, _answer_in_time(judge, batch), len(batch)))
    embeddings = np.concatenate([answer.embeddings for answer in answers])
    scores = [answer.scores for answer in answers if answer.scores is not None]
    return Answer(embeddings, np.concatenate(scores) if scores else None)


def convert_sounds(sounds: Sounds, from_hz: int, to_hz: int) -> Sounds:
    """Resample sounds, and lower the level of those that would exceed ±1."""
    # Imported here: processes without added judges don't need it.
    from scipy.signal import resample_poly

    divisor = math.gcd(from_hz, to_hz)
    if from_hz != to_hz:
        sounds = resample_poly(sounds, to_hz // divisor, from_hz // divisor, axis=1)
    peaks = np.abs(sounds).max(axis=1, keepdims=True)
    scaled: Sounds = (sounds / np.maximum(peaks, 1)).astype(np.float32)
    return scaled


def _answer_in_time(judge: AddedJudge, batch: NDArray[np.float32]) -> Answer:
    """Return the answer to one batch, which a thread computes, so that a judge that hangs can't stop the sweep."""
    results: list[Answer | Exception] = []

    def run() -> None:
        try:
            with torch.inference_mode():
                results.append(judge.answer(batch))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    limit_s = judge.settings.seconds_per_batch
    thread.join(limit_s)
    where = f"judge {judge.settings.name}"
    if not results:
        raise InputError(
            f"{where}: has not answered to {len(batch)} clips within {limit_s:g} s; use a faster network, or raise "
            "seconds_per_batch"
        )
    (result,) = results
    if isinstance(result, Exception):
        what = " ".join(f"{type(result).__name__}: {result}".split())
        raise InputError(f"{where}: its answer failed: {what}; correct {type(judge).__name__}.answer") from result
    return result


def _check(judge: AddedJudge, answer: Answer, num_clips: int) -> Answer:
    """Return an answer if it has the right shape and finite numbers.

    Raises:
        InputError: it has not.
    """
    where, what = f"judge {judge.settings.name}", f"correct {type(judge).__name__}.answer"
    if not isinstance(answer, Answer):
        raise InputError(f"{where}: answered with a {type(answer).__name__}, an Answer is needed; {what}")
    for name, values in (("embeddings", answer.embeddings), ("scores", answer.scores)):
        if values is None:
            continue
        if np.ndim(values) != 2 or len(values) != num_clips:
            raise InputError(
                f"{where}: {name} of shape {np.shape(values)} for {num_clips} clips, needs ({num_clips}, …); {what}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{where}: {name} have values that are not finite (NaN or infinity); {what}")
    if answer.scores is not None and (answer.scores < 0).any():
        raise InputError(f"{where}: scores below 0, such as {answer.scores.min():g}; return probabilities; {what}")
    expected = len(judge.classes)
    if judge.knows_classes and (answer.scores is None or answer.scores.shape[1] != expected):
        given = "none" if answer.scores is None else str(answer.scores.shape[1])
        raise InputError(f"{where}: scores of {given} classes, the corpus has {expected}; {what}")
    return answer
