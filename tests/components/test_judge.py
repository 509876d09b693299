from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.components.assessment.distributions import frechet_distance
from trainables.components.audio.log_power_metrics import RecordingScores, score_recordings
from trainables.components.audio.sizes import SIZES, Size
from trainables.components.audio.spectrogram import log_power, resize, to_waveform
from trainables.components.judges.sound_judge import Judge, open_judge
from trainables.components.judges.training import prepare_lessons
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.corpora.opening import open_corpus
from trainables.support.progress import silent


@pytest.fixture(scope="module")
def judge(corpus: Corpus) -> Judge:
    return open_judge(corpus)


def told(corpus: Corpus, probabilities: torch.Tensor, clips: np.ndarray) -> RecordingScores:
    return score_recordings(probabilities, corpus.labels(clips), corpus.clips["recording"].to_numpy(str)[clips])


@pytest.mark.parametrize("size", SIZES)
def test_classes_are_told_apart_at_every_size(corpus: Corpus, judge: Judge, size: Size) -> None:
    clips = corpus.indices("validation")
    magnitudes = log_power(clip_power(corpus.waveforms(), clips), size)
    heard = told(corpus, judge.classify_log_power(resize(magnitudes, "192x512")), clips)
    assert heard.accuracy == 1
    assert heard.mean_probability > 0.7


def test_resynthesis_keeps_the_class(corpus: Corpus, judge: Judge) -> None:
    clips = corpus.indices("validation")
    sounds = to_waveform(log_power(clip_power(corpus.waveforms(), clips), "48x128"))
    assert told(corpus, judge.classify_waveforms(sounds), clips).accuracy == 1


def test_a_sound_and_its_magnitudes_are_heard_alike(corpus: Corpus, judge: Judge) -> None:
    clips = corpus.indices("validation")
    by_sound = judge.classify_waveforms(read_waveforms(corpus.waveforms(), clips))
    by_magnitude = judge.classify_log_power(log_power(clip_power(corpus.waveforms(), clips)))
    torch.testing.assert_close(by_sound, by_magnitude, atol=0.05, rtol=0)
    torch.testing.assert_close(by_sound.sum(dim=1), torch.ones(len(clips)))


def test_a_clip_is_heard_the_same_in_every_batch(corpus: Corpus, judge: Judge) -> None:
    sounds = read_waveforms(corpus.waveforms(), np.arange(5))
    torch.testing.assert_close(judge.classify_waveforms(sounds)[3:], judge.classify_waveforms(sounds[3:]))


def test_one_pass_gives_what_is_heard_and_what_the_classes_are_told_from(corpus: Corpus, judge: Judge) -> None:
    # More than a batch of clips.
    magnitudes = log_power(clip_power(corpus.waveforms(), np.resize(corpus.indices("validation"), 70)))
    probabilities, embeddings = judge.classify_and_embed(magnitudes)
    assert torch.equal(probabilities, judge.classify_log_power(magnitudes))
    assert torch.equal(embeddings, judge.embed_log_power(magnitudes))
    assert embeddings.shape == (70, 192)
    linear = torch.load(corpus.folder / f"judge-{judge.id}.pt", weights_only=True)
    logits = embeddings @ linear["classify.1.weight"].T + linear["classify.1.bias"]
    torch.testing.assert_close(logits.softmax(dim=1), probabilities)
    torch.testing.assert_close(judge.embed_log_power(magnitudes[65:]), embeddings[65:])


def test_embeddings_of_flat_spectra_are_further_from_the_real_ones(corpus: Corpus, judge: Judge) -> None:
    real, others = (
        log_power(clip_power(corpus.waveforms(), corpus.indices(split))) for split in ("train", "validation")
    )
    reference = judge.embed_log_power(real)
    distances = [
        frechet_distance(judge.embed_log_power(clips), reference)
        for clips in (real, others, others.mean(dim=(1, 2), keepdim=True).expand_as(others))
    ]
    assert distances[0] < distances[1] < distances[2]


def test_a_judge_is_trained_once(corpus: Corpus, judge: Judge) -> None:
    path = corpus.folder / f"judge-{judge.id}.pt"
    trained = path.stat().st_mtime_ns
    assert open_judge(corpus).id == judge.id
    assert path.stat().st_mtime_ns == trained


def test_the_same_recordings_give_the_same_judge_in_another_home_even_while_evaluating(
    corpus: Corpus, judge: Judge, tiny_corpus: Path, tmp_path: Path
) -> None:
    state = torch.random.get_rng_state()
    elsewhere = open_corpus({"name": "folder", "root": str(tiny_corpus)}, tmp_path)
    with torch.inference_mode():
        again = open_judge(elsewhere)
    assert again.id == judge.id
    sounds = read_waveforms(corpus.waveforms(), np.arange(4))
    torch.testing.assert_close(again.classify_waveforms(sounds), judge.classify_waveforms(sounds), atol=1e-3, rtol=0)
    assert torch.equal(torch.random.get_rng_state(), state), "training leaves the caller's randomness alone"


def test_judges_a_and_b_are_different_ones(corpus: Corpus, judge: Judge) -> None:
    other = open_judge(corpus, "B")
    clips = corpus.indices("validation")
    sounds = read_waveforms(corpus.waveforms(), clips)
    assert other.id != judge.id
    assert told(corpus, other.classify_waveforms(sounds), clips).accuracy == 1
    assert not torch.allclose(other.classify_waveforms(sounds), judge.classify_waveforms(sounds))


def test_a_lesson_is_joined_with_another_clip_of_its_recording(corpus: Corpus) -> None:
    clips = corpus.indices("train")[1:]
    alone = corpus.clips["recording"][clips].value_counts().loc[lambda count: count == 1].index
    lessons = prepare_lessons(corpus, clips, 0, silent)
    order = np.random.default_rng(0).permutation(clips)
    np.testing.assert_array_equal(lessons.labels, corpus.labels(order))
    recordings = corpus.clips["recording"].to_numpy(str)[order]
    assert (recordings[lessons.sibling] == recordings).all()
    is_itself = lessons.sibling.numpy() == np.arange(len(order))
    np.testing.assert_array_equal(is_itself, np.isin(recordings, alone))
    assert len(alone) == 1, "the other half of the clip that was left out"
