"""What estimates sound and look like: the media of probe clips, and the tables of a whole split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.components.audio.clip import RATE_HZ
from trainables.components.audio.log_power_metrics import COMMON_SIZE, by_recording, hearing, lsd_db, squared_errors
from trainables.components.audio.onsets import onset_correlation
from trainables.components.audio.sound_metrics import (
    mcd_db,
    mel_lsd_db,
    phase_error_rad,
    si_sdr_db,
    spectral_convergence,
)
from trainables.components.judges.networks import JudgeName
from trainables.components.judges.sound_judge import open_judge
from trainables.components.pictures import spectrogram_pictures
from trainables.corpora.features import clip_power, read_waveforms
from trainables.corpora.splits import Split
from trainables.trainable import Media

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PEAK = 0.99
BATCH_CLIPS = 64

Full = Float[Tensor, "clips 192 512"]
JUDGES: dict[str, JudgeName] = {"judge": "A", "judge_b": "B"}
SOUND_METRICS: dict[str, Callable[..., Tensor]] = {
    "mel_lsd_db": mel_lsd_db,
    "mcd_db": mcd_db,
    "spectral_convergence": spectral_convergence,
    "si_sdr_db": si_sdr_db,
    "phase_error_rad": phase_error_rad,
}


@dataclass(frozen=True)
class Rendered:
    """Some clips as a model makes them now.

    Attributes:
        log_power: on the full grid, in nats.
        sounds: within no particular level.
    """

    log_power: Full
    sounds: Float[Tensor, "clips samples"]


def render(
    corpus: Corpus,
    clips: NDArray[np.int64],
    rendered: Rendered,
    shown: Float[Tensor, "clips 3 height width"] | None = None,
) -> Media:
    """Sounds, pictures and a row of numbers for each clip.

    What was `shown`, within −1..1, stands beside the spectrograms.

    The judge hears the sound; `lsd_db` and the picture are those of the magnitudes themselves, as in `val/lsd_db`.
    """
    sounds = rendered.sounds.cpu()
    originals = read_waveforms(corpus.waveforms(), clips)
    targets = spectrogram.log_power(clip_power(corpus.waveforms(), clips), COMMON_SIZE)
    compared = spectrogram.resized(rendered.log_power.cpu(), COMMON_SIZE)
    probabilities = open_judge(corpus).classify_waveforms(sounds)
    probability = probabilities[torch.arange(len(clips)), torch.from_numpy(corpus.labels(clips))].tolist()
    names = [str(name) for name in corpus.clips["clip"].to_numpy()[clips]]
    kind = "spectrogram" if shown is None else "image"
    distances = lsd_db(compared, targets).tolist(), mel_lsd_db(sounds, originals).tolist()
    return Media(
        audio={
            f"{name}_{kind}": within_full_scale(sound)
            for kind, batch in (("original", originals), ("reconstruction", sounds))
            for name, sound in zip(names, batch, strict=True)
        },
        images={
            name: spectrogram_pictures.draw_comparison(*pair)
            if photo is None
            else spectrogram_pictures.join_photo(photo, spectrogram_pictures.draw_comparison(*pair))
            for name, photo, *pair in zip(
                names, [None] * len(clips) if shown is None else shown, targets, compared, strict=True
            )
        },
        clips=[
            {"clip": name, "judge_probability": chance, "lsd_db": lsd, "mel_lsd_db": mel_lsd, kind: name}
            for name, chance, lsd, mel_lsd in zip(names, probability, *distances, strict=True)
        ],
        rate_hz=RATE_HZ,
    )


def evaluate(
    corpus: Corpus,
    split: Split,
    make: Callable[[NDArray[np.int64]], Rendered],
    device: torch.device,
    clips: NDArray[np.int64] | None = None,
    motion: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Judge the sounds of a split's clips, or of a part of them; a row a recording.

    Given the `motion` of every clip of the corpus, `onset_correlation` is a column too.

    Columns: `recording`, `class`, `judge_probability` and `judge_accuracy` by judge A, of the test split `judge_b_…` by
    judge B, those of `SOUND_METRICS`, and `fvu` and `lsd_db` of the sound's own spectrogram on the common grid.
    """
    clips = corpus.indices(split) if clips is None else clips
    judges = {
        prefix: open_judge(corpus, name, device=device)
        for prefix, name in JUDGES.items()
        if name == "A" or split == "test"
    }
    probabilities_by_judge: dict[str, list[Tensor]] = {prefix: [] for prefix in judges}
    measured = []
    for part in np.split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS)):
        sounds = make(part).sounds
        originals = read_waveforms(corpus.waveforms(), part).to(sounds.device)
        target = spectrogram.log_power(clip_power(corpus.waveforms(), part).to(sounds.device), COMMON_SIZE)
        estimate = spectrogram.log_power(spectrogram.power(sounds), COMMON_SIZE)
        columns = [metric(sounds, originals) for metric in SOUND_METRICS.values()]
        if motion is not None:
            columns.append(onset_correlation(sounds, torch.from_numpy(motion[part])))
        columns += [lsd_db(estimate, target), *squared_errors(estimate, target)]
        measured.append(torch.stack(columns, dim=1).cpu())
        for prefix, judge in judges.items():
            probabilities_by_judge[prefix].append(judge.classify_waveforms(sounds).cpu())
    recordings = corpus.clips["recording"].to_numpy(np.str_)[clips]
    unique, first, of_clip = np.unique(recordings, return_index=True, return_inverse=True)
    *means, error, total = by_recording(torch.cat(measured).double().numpy(), of_clip).T
    table = pd.DataFrame({"recording": unique, "class": corpus.clips["class"].to_numpy()[clips[first]]})
    for prefix, probabilities in probabilities_by_judge.items():
        verdict = hearing(torch.cat(probabilities), corpus.labels(clips), recordings)
        table[f"{prefix}_probability"] = verdict.probability
        table[f"{prefix}_accuracy"] = verdict.is_right.astype(float)
    names = [*SOUND_METRICS, *([] if motion is None else ["onset_correlation"]), "lsd_db"]
    return table.assign(**dict(zip(names, means, strict=True)), fvu=error / total)


def within_full_scale(sound: Float[Tensor, " samples"]) -> NDArray[np.float32]:
    """The sound at its own level, or just below full scale where it would clip."""
    scaled: NDArray[np.float32] = (sound * min(1.0, PEAK / sound.abs().max().clamp(min=1e-9).item())).numpy()
    return scaled
