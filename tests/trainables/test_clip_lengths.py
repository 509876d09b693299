"""Trainables, their contract and exported models on clips that are shorter or longer than usual."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.plugins.loader import find_trainables, load_trainable
from tests.support import known_ear  # noqa: F401
from trainables.components.assessment.references import References
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.generation import open_model, save_model
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.representation.registries import PHASES
from trainables.corpora.additions import Additions
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.errors import InputError
from trainables.image_to_sound.audio_weights import load_audio
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import SoundFromPicture
from trainables.support.randomness import seed_everything
from trainables.testing.additions import AUGMENTATION, WAVEFORM_AUGMENTATION, AdditionCase
from trainables.testing.corpus import CORPUS
from trainables.testing.representation import PhaseCase, check_sound
from trainables.testing.trainables import TrainableCase, check_size
from trainables.trainable import Trainable

TRAINABLES = {name: load_trainable(name, Path()) for name in find_trainables()}
SAMPLES = {1: 22_020, 4: 88_260}
"""The samples of clips by their length in seconds; frames of the shorter ones have to be padded in the networks."""


@pytest.fixture(scope="module", params=[1, pytest.param(4, marks=pytest.mark.long)])
def odd_corpus(request: pytest.FixtureRequest, tiny_corpus: Path, tiny_home: Path) -> Corpus:
    """The tiny corpus with clips of another length; recordings of 4.2 s have two that overlap, or four."""
    settings = {"name": "folder", "root": str(tiny_corpus), "clip_s": request.param}
    return open_corpus(settings if request.param == 1 else {**settings, "hop_s": 0.15}, tiny_home)


def make(kind: type[Trainable], corpus: Corpus, **settings: Any) -> Trainable:
    seed_everything(0)
    trainable = kind(kind.Config(**{**kind.DEBUG, **settings}), corpus, device="cpu", seed=0)
    trainable.batches_per_epoch = 2
    return trainable


@pytest.mark.parametrize("name", TRAINABLES)
def test_a_trainable_trains_renders_and_is_evaluated(name: str, odd_corpus: Corpus) -> None:
    kind = TRAINABLES[name]
    case = TrainableCase(kind, {}, odd_corpus)
    lines = kind.prepare([case.config], odd_corpus)
    values = [value for line in lines for value in line.values() if isinstance(value, float)]
    assert values and np.isfinite(values).all()
    trainable = make(kind, odd_corpus)
    metrics = trainable.step()
    assert set(kind.reported(trainable.config)) <= set(metrics) and np.isfinite(list(metrics.values())).all()
    media, table = trainable.render(odd_corpus.probes(2)), trainable.evaluate("test")
    assert media is not None and table is not None and media.rate_hz == 22_050
    assert {len(sound) for sound in media.audio.values()} == {SAMPLES[round(odd_corpus.clip_s)]}
    # Pictures have no motion.
    numbers = table.select_dtypes("number").drop(columns="onset_correlation", errors="ignore")
    assert np.isfinite(numbers).all(axis=None)
    check_size(case)


@pytest.mark.parametrize(
    "settings",
    [
        {"linear_path": "pca", "time_roll": True, "loss": "vae", "augment": "shift+mask"},
        {"architecture": "time_slots", "linear_path": "pca", "loss": "rvq", "spectrogram": "48x128", "latent_dim": 16},
        {"channels": "both", "phase": "own", "representation": "audiovision", "adversarial_weight": 0.1},
        {
            "representation": "mel",
            "reduction": "decimate",
            "bottleneck": "attention",
            "magnitude_normalization": "clip",
        },
    ],
    ids=str,
)
def test_an_autoencoder_trains_with_other_parts(settings: dict[str, Any], odd_corpus: Corpus) -> None:
    trainable = make(TRAINABLES["autoencoder"], odd_corpus, **settings)
    metrics = trainable.step()
    assert set(trainable.reported(trainable.config)) <= set(metrics) and np.isfinite(list(metrics.values())).all()
    media = trainable.render(odd_corpus.probes(1))
    assert media is not None
    assert {len(sound) for sound in media.audio.values()} == {odd_corpus.clip_format.samples}


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_makes_sounds_as_long_as_clips(name: str, odd_corpus: Corpus) -> None:
    check_sound(PhaseCase(name, odd_corpus))


def test_a_phase_that_is_passed_through_counts_the_values_of_its_length(odd_corpus: Corpus) -> None:
    table = make(TRAINABLES["autoencoder"], odd_corpus, phase="original").evaluate("test")
    assert table is not None and set(table["side_info_floats"]) == {odd_corpus.clip_format.frames * 512}


def test_a_corpus_and_its_augmentations_hold(odd_corpus: Corpus) -> None:
    for promise in CORPUS:
        promise.check(odd_corpus)
    for names, promises in ((AUGMENTATIONS, AUGMENTATION), (WAVEFORM_AUGMENTATIONS, WAVEFORM_AUGMENTATION)):
        for name in names:
            for addition in promises:
                addition.check(AdditionCase(name, odd_corpus.clip_format))


def test_the_own_judge_and_added_ones_hear_clips_of_any_length(odd_corpus: Corpus) -> None:
    line = References(replace(odd_corpus, additions=Additions(({"name": "known_ear"},)))).real_clips_line()
    assert line["val/known_ear_accuracy"] == 1
    assert line["val/judge_accuracy"] == 1 and line["val/fvu"] < 1e-3


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("autoencoder", {"linear_path": "pca"}),
        ("image_to_sound", {"flow": True, "route": "flow"}),
        ("sound_to_image", {}),
    ],
)
def test_an_exported_model_knows_the_length_of_its_clips(
    name: str, settings: dict[str, Any], odd_corpus: Corpus, tiny_corpus: Path, tmp_path: Path
) -> None:
    trainable = make(TRAINABLES[name], odd_corpus, **settings)
    trainable.step()
    save_model(tmp_path / "model", trainable.exported())
    generator = open_model(tmp_path / "model")
    assert generator.clip_format.samples == odd_corpus.clip_format.samples
    recording = tiny_corpus / "siren" / ("take 0.wav" if generator.takes == "sound" else "take 0.png")
    (made, *_) = generator.generate(generator.read(recording), count=1, seed=0)
    assert made.class_name in odd_corpus.classes
    if generator.makes == "sound":
        assert made.content.shape == (odd_corpus.clip_format.samples,)


def test_weights_of_clips_of_another_length_are_refused(odd_corpus: Corpus, corpus: Corpus, tmp_path: Path) -> None:
    settings = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "linear_path": "pca"}
    torch.save(make(TRAINABLES["autoencoder"], corpus, **settings).state_dict(), tmp_path / "usual.pt")
    with pytest.raises(
        InputError, match=r"audio_init: .*: was trained on clips of 44100 samples at 22050 Hz, and those"
    ):
        make(TRAINABLES["image_to_sound"], odd_corpus, audio_init=str(tmp_path / "usual.pt"))
    torch.save(make(TRAINABLES["autoencoder"], odd_corpus, **settings).state_dict(), tmp_path / "odd.pt")
    make(TRAINABLES["image_to_sound"], odd_corpus, audio_init=str(tmp_path / "odd.pt"))
    classifier = make(TRAINABLES["classifier"], corpus, network="residual")
    torch.save(classifier.state_dict(), tmp_path / "classifier.pt")
    with pytest.raises(InputError, match=r"classifier: .*: was trained on clips of 44100 samples"):
        make(TRAINABLES["sound_to_image"], odd_corpus, classifier=str(tmp_path / "classifier.pt"))


def test_weights_of_another_sampling_rate_are_refused(
    corpus: Corpus, tiny_corpus: Path, tiny_home: Path, tmp_path: Path
) -> None:
    fast = open_corpus({"name": "folder", "root": str(tiny_corpus), "rate_hz": 44_100}, tiny_home)
    assert fast.clip_format.samples == corpus.clip_format.samples, "only the rate tells them apart"
    torch.save(make(TRAINABLES["classifier"], fast, network="residual").state_dict(), tmp_path / "classifier.pt")
    message = (
        r"classifier: .*: was trained on clips of 44100 samples at 44100 Hz, and those here have 44100 at 22050 Hz"
    )
    with pytest.raises(InputError, match=message):
        make(TRAINABLES["sound_to_image"], corpus, classifier=str(tmp_path / "classifier.pt"))

    settings = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "linear_path": "pca"}
    state = make(TRAINABLES["autoencoder"], corpus, **settings).state_dict()
    older = {key: value for key, value in state.items() if key not in corpus.clip_format.settings}
    config = TRAINABLES["image_to_sound"].Config(**{**TRAINABLES["image_to_sound"].DEBUG, **settings})
    assert isinstance(config, ImageToSoundConfig)
    model = SoundFromPicture(config, weights="none", clip_frames=corpus.clip_format.frames)
    for name, saved, rate in (("new", state, "22050 Hz"), ("old", older, "what must be 22050 Hz, since it is older")):
        torch.save(saved, tmp_path / f"{name}.pt")
        load_audio(model, tmp_path / f"{name}.pt", corpus.clip_format)
        with pytest.raises(InputError, match=f"audio_init: .*: was trained on clips of 44100 samples at {rate}, and"):
            load_audio(model, tmp_path / f"{name}.pt", fast.clip_format)
