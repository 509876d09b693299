from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import known_ear  # noqa: F401
from trainables.components.assessment.assessor import Assessor
from trainables.components.assessment.media import Rendered, evaluate
from trainables.components.assessment.panel_metrics import describe_additions
from trainables.components.assessment.references import FULL, References
from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.asking import convert_sounds
from trainables.components.judges.panel import PanelJudge, open_panel
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.sound_judge import open_judge
from trainables.corpora.additions import Additions
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.errors import InputError

CPU = torch.device("cpu")


def with_ear(corpus: Corpus, *metrics: str, **settings: Any) -> Corpus:
    return replace(corpus, additions=Additions(({"name": "known_ear", **settings},), metrics))


def open_ear(corpus: Corpus, **settings: Any) -> PanelJudge:
    return open_panel(with_ear(corpus, **settings), "sound")["known_ear"]


def assess(corpus: Corpus) -> dict[str, float]:
    assessor = Assessor(corpus, "validation", open_judge(corpus), CPU)
    clips = corpus.indices("validation")
    magnitudes = (log_power(clip_power(corpus.waveforms(), clips[part.numpy()])) for part in assessor.positions())
    return assessor.assess(magnitudes, FULL)


def test_answers_become_probabilities_of_the_corpus_s_classes(corpus: Corpus) -> None:
    clips = corpus.indices("validation")
    probabilities, embeddings = open_ear(corpus).classify_and_embed(read_waveforms(corpus.waveforms(), clips))
    assert probabilities.argmax(dim=1).tolist() == corpus.labels(clips).tolist()
    torch.testing.assert_close(probabilities.max(dim=1).values, torch.full((len(clips),), 0.9))
    assert embeddings.shape == (len(clips), 3)


def test_a_judge_is_opened_once_in_a_process(corpus: Corpus) -> None:
    assert open_ear(corpus) is open_ear(corpus)
    assert open_ear(corpus, clips=2) is not open_ear(corpus), "with other settings it is another one"


def test_a_judge_that_recognizes_real_clips_is_above_chance(corpus: Corpus) -> None:
    score = open_ear(corpus).score_real_clips()
    assert (score.accuracy, score.is_at_chance) == (1, False)
    assert score.ms_per_clip > 0


def test_a_judge_that_answers_the_same_to_every_clip_is_at_chance(corpus: Corpus) -> None:
    assert open_ear(corpus, fault="deaf").score_real_clips().is_at_chance


def test_a_probe_learns_the_classes_from_embeddings_alone(corpus: Corpus) -> None:
    judge = open_ear(corpus, fault="embeddings only")
    clips = corpus.indices("validation")
    probabilities = judge.classify_waveforms(read_waveforms(corpus.waveforms(), clips))
    assert probabilities.argmax(dim=1).tolist() == corpus.labels(clips).tolist()
    second = open_ear(corpus, fault="embeddings only").classify_waveforms(read_waveforms(corpus.waveforms(), clips))
    assert torch.equal(probabilities, second)
    assert (corpus.folder / f"probe-{judge.id}.npz").exists()


def test_a_table_assigns_outputs_to_classes(corpus: Corpus, tmp_path: Path) -> None:
    table = tmp_path / "map.csv"
    # The outputs of the judge are the classes in their order: hiss, low hum, siren.
    table.write_text("index,display_name,class\n0,Noise,hiss\n1,Hum,low hum\n2,Alarm,siren\n0,Wind,\n")
    clips = corpus.indices("validation")
    judge = open_ear(corpus, classes=table)
    probabilities = judge.classify_waveforms(read_waveforms(corpus.waveforms(), clips))
    assert probabilities.argmax(dim=1).tolist() == corpus.labels(clips).tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,name\n0,hiss\n", "has no column class"),
        ("index,class\n0,hiss\n1,hum\n", r":3: the corpus has no class 'hum'; it has: hiss, low hum, siren"),
        ("index,class\n0,hiss\n1,low hum\n", "no output stands for siren"),
        ("index,class\nfirst,hiss\n", r":2: index 'first' is no number"),
        ("index,class\n0,hiss\n1,low hum\n7,siren\n", "names output 7, the judge has 3"),
    ],
)
def test_a_wrong_table_is_refused(corpus: Corpus, tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "map.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        open_ear(corpus, classes=table).score_real_clips()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "embeddings have values that are not finite"),
        ("classes", "scores of 2 classes, the corpus has 3"),
        ("error", "its answer failed: ZeroDivisionError: no clip"),
        ("clips", r"embeddings of shape \(\d+, 3\) for \d+ clips"),
    ],
)
def test_an_answer_that_cannot_be_used_is_one_message(corpus: Corpus, fault: str, message: str) -> None:
    with pytest.raises(InputError, match=f"judge known_ear: {message}"):
        open_ear(corpus, fault=fault)


def test_a_judge_that_takes_too_long_is_not_waited_for(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"has not answered to \d+ clips within 0.2 s"):
        open_ear(corpus, fault="slow", seconds_per_batch=0.2)


def test_every_judge_has_its_own_metrics(corpus: Corpus) -> None:
    alone = assess(corpus)
    metrics = assess(with_ear(corpus, "kad"))
    assert metrics["known_ear_accuracy"] == 1
    assert metrics["known_ear_probability"] > 0.8
    for prefix in ("", "known_ear_"):
        assert metrics[f"{prefix}kad_low"] <= metrics[f"{prefix}kad"] <= metrics[f"{prefix}kad_high"]
    assert metrics["known_ear_fad"] >= 0
    assert metrics["known_ear_s"] > 0
    # The corpus judge's metrics are the same to the last bit.
    assert {name: metrics[name] for name in alone} == alone


def test_a_judge_gets_the_same_part_of_the_clips_after_every_epoch(corpus: Corpus) -> None:
    few = with_ear(corpus, clips=3)
    assert assess(few)["known_ear_accuracy"] == assess(few)["known_ear_accuracy"] == 1


def test_a_model_that_has_diverged_is_no_fault_of_the_judge(corpus: Corpus) -> None:
    probabilities, embeddings = open_ear(corpus).classify_and_embed(torch.full((2, 44_100), torch.nan))
    assert probabilities.isnan().all() and embeddings.shape == (2, 3)


def test_recordings_of_a_split_are_scored_too(corpus: Corpus) -> None:
    def originals(clips: np.ndarray) -> Rendered:
        return Rendered(torch.zeros(len(clips), 192, 512), read_waveforms(corpus.waveforms(), clips))

    table = evaluate(with_ear(corpus), "test", originals, CPU)
    assert table["known_ear_accuracy"].tolist() == [1] * len(table)
    assert {"judge_b_accuracy", "known_ear_probability"} <= set(table)


def test_reference_lines_have_the_metrics_of_every_judge(corpus: Corpus) -> None:
    line = References(with_ear(corpus)).real_clips_line()
    assert line["val/known_ear_accuracy"] == 1
    assert "val/known_ear_s" not in line
    assert "val/known_ear_accuracy" not in References(corpus).real_clips_line()


def test_ids_follow_from_settings_and_files(corpus: Corpus, tmp_path: Path) -> None:
    table = tmp_path / "map.csv"
    table.write_text("index,class\n0,hiss\n1,low hum\n2,siren\n")
    ids = {describe_additions(with_ear(corpus, **settings)) for settings in ({}, {"clips": 9}, {"classes": table})}
    table.write_text("index,class\n1,hiss\n0,low hum\n2,siren\n")
    ids.add(describe_additions(with_ear(corpus, classes=table)))
    assert len(ids) == 4 and describe_additions(corpus) == ""
    assert describe_additions(with_ear(corpus, seconds_per_batch=5)) in ids


def test_sounds_are_resampled_and_stay_within_full_scale() -> None:
    time_s = np.arange(44_100) / 22_050
    tone = (2 * np.sin(2 * np.pi * 1000 * time_s))[None].astype(np.float32)
    resampled = convert_sounds(tone, 22_050, 16_000)
    assert resampled.shape == (1, 32_000)
    assert np.abs(resampled).max() == pytest.approx(1)
    assert np.abs(np.fft.rfft(resampled[0])).argmax() == 2000


def open_shipped(corpus: Corpus, name: str, **settings: Any) -> None:
    kind = JUDGES[name]
    kind(kind.Settings(name=name, **settings), corpus.classes)


@pytest.mark.parametrize(
    ("name", "package"), [("yamnet", "ai_edge_litert"), ("panns", "panns_inference"), ("clap", "transformers")]
)
def test_a_package_that_is_not_installed_is_named(
    corpus: Corpus, name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    # None in sys.modules makes an import fail as if nothing were installed.
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "file").write_bytes(b"weights")
    with pytest.raises(InputError, match=rf"judge {name}: weights: .*: the package {package} can't be imported.*pip"):
        open_shipped(corpus, name, weights=tmp_path / "file")


def test_weights_of_another_network_are_refused_by_the_imagenet_judge(corpus: Corpus, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"judge imagenet: weights: .*net.pth: is no resnet18: 120 of its 120 tensors"):
        open_shipped(corpus, "imagenet", weights=tmp_path / "net.pth")


def test_the_imagenet_judge_sees_pictures(corpus: Corpus, tmp_path: Path) -> None:
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.resnet18().state_dict(), tmp_path / "net.pth")
    entry = {"name": "imagenet", "weights": tmp_path / "net.pth"}
    with_eye = replace(corpus, additions=Additions((entry,)))
    assert open_panel(with_eye, "sound") == {}
    judge = open_panel(with_eye, "picture")["imagenet"]
    probabilities, embeddings = judge.classify_and_embed(torch.zeros(2, 3, 64, 64))
    assert probabilities.shape == (2, 3) and embeddings.shape == (2, 512)
    assert re.fullmatch(r"imagenet-[0-9a-f]{12}", judge.id)
