"""What estimates sound and look like: the media of probe clips, and the tables of a whole split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components import pictures, spectrogram
from trainables.components.judge import open_judge
from trainables.components.judge_networks import JudgeName
from trainables.components.metrics import COMMON_SIZE, by_recording, hearing, lsd_db, mel_lsd_db, squared_errors
from trainables.corpora.features import clip_power, read_waveforms
from trainables.corpora.recordings import RATE_HZ
from trainables.corpora.splits import Split
from trainables.trainable import Media

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PEAK = 0.99
BATCH_CLIPS = 64

Spectrograms = Float[Tensor, "clips frames bins"]
JUDGES: dict[str, JudgeName] = {"judge": "A", "judge_b": "B"}


def render(corpus: Corpus, clips: NDArray[np.int64], estimates: Spectrograms) -> Media:
    """Sounds, pictures and a row of numbers for each clip, from estimates of its log-power in nats.

    The judge hears the sound; `lsd_db` is that of the estimate itself, as in `val/lsd_db`.
    """
    sounds = spectrogram.to_waveform(estimates).cpu()
    originals = read_waveforms(corpus.waveforms(), clips)
    targets = spectrogram.log_power(clip_power(corpus.waveforms(), clips), COMMON_SIZE)
    compared = spectrogram.resized(estimates.cpu(), COMMON_SIZE)
    heard = open_judge(corpus).hear_waveforms(sounds)
    probability = heard[torch.arange(len(clips)), torch.from_numpy(corpus.labels(clips))].tolist()
    names = [str(name) for name in corpus.clips["clip"].to_numpy()[clips]]
    return Media(
        audio={
            f"{name}_{kind}": _within_full_scale(sound)
            for kind, batch in (("original", originals), ("reconstruction", sounds))
            for name, sound in zip(names, batch, strict=True)
        },
        images={name: pictures.compared(*pair) for name, *pair in zip(names, targets, compared, strict=True)},
        clips=[
            {"clip": name, "judge_probability": chance, "lsd_db": distance, "spectrogram": name}
            for name, chance, distance in zip(names, probability, lsd_db(compared, targets).tolist(), strict=True)
        ],
        rate_hz=RATE_HZ,
    )


def evaluate(corpus: Corpus, split: Split, estimate: Callable[[NDArray[np.int64]], Spectrograms]) -> pd.DataFrame:
    """Judge the sounds that follow from estimates of a split's clips; a row a recording.

    Columns: `recording`, `class`, `judge_probability` and `judge_accuracy` by judge A, `judge_b_…` by judge B,
    `mel_lsd_db`, and `fvu` of the sound's own spectrogram on the common grid.
    """
    clips = corpus.indices(split)
    judges = {prefix: open_judge(corpus, name) for prefix, name in JUDGES.items()}
    heard: dict[str, list[Tensor]] = {prefix: [] for prefix in judges}
    distances = []
    for part in np.split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS)):
        sounds = spectrogram.to_waveform(estimate(part)).cpu()
        targets = spectrogram.log_power(clip_power(corpus.waveforms(), part), COMMON_SIZE)
        errors = squared_errors(spectrogram.log_power(spectrogram.power(sounds), COMMON_SIZE), targets)
        distances.append(torch.stack([mel_lsd_db(sounds, read_waveforms(corpus.waveforms(), part)), *errors], dim=1))
        for prefix, judge in judges.items():
            heard[prefix].append(judge.hear_waveforms(sounds))
    recordings = corpus.clips["recording"].to_numpy(np.str_)[clips]
    names, first, of_clip = np.unique(recordings, return_index=True, return_inverse=True)
    mel_lsd, error, total = by_recording(torch.cat(distances).double().numpy(), of_clip).T
    table = pd.DataFrame({"recording": names, "class": corpus.clips["class"].to_numpy()[clips[first]]})
    for prefix, probabilities in heard.items():
        verdict = hearing(torch.cat(probabilities), corpus.labels(clips), recordings)
        table[f"{prefix}_probability"] = verdict.probability
        table[f"{prefix}_accuracy"] = verdict.is_right.astype(float)
    return table.assign(mel_lsd_db=mel_lsd, fvu=error / total)


def _within_full_scale(sound: Float[Tensor, " samples"]) -> NDArray[np.float32]:
    """The sound at its own level, or just below full scale where it would clip."""
    scaled: NDArray[np.float32] = (sound * min(1.0, PEAK / sound.abs().max().clamp(min=1e-9).item())).numpy()
    return scaled
