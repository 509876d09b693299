"""Reconstructions as people and judges perceive them: the media of probe clips, and the table of a split."""

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

from trainables.components.assessment.panel_metrics import score_sounds
from trainables.components.audio import spectrogram
from trainables.components.audio.log_power_metrics import (
    COMMON_SIZE,
    average_by_recording,
    lsd_db,
    score_recordings,
    squared_errors,
)
from trainables.components.audio.onsets import onset_correlation
from trainables.components.audio.sound_metrics import (
    mcd_db,
    mel_lsd_db,
    phase_error_rad,
    si_sdr_db,
    spectral_convergence,
)
from trainables.components.judges.networks import JudgeName
from trainables.components.judges.panel import PanelJudge, open_panel
from trainables.components.judges.sound_judge import Judge, open_judge
from trainables.components.pictures import spectrogram_pictures
from trainables.components.shapes import FullSpectrograms
from trainables.corpora.features import clip_power, read_waveforms
from trainables.corpora.splits import Split
from trainables.trainable import Media

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PEAK = 0.99
"""The peak of a sound that would otherwise clip."""
BATCH_CLIPS = 64

JUDGES: dict[str, JudgeName] = {"judge": "A", "judge_b": "B"}
"""Judges by the prefix of their columns."""
SOUND_METRICS: dict[str, Callable[..., Tensor]] = {
    "mel_lsd_db": mel_lsd_db,
    "mcd_db": mcd_db,
    "spectral_convergence": spectral_convergence,
    "si_sdr_db": si_sdr_db,
    "phase_error_rad": phase_error_rad,
}


@dataclass(frozen=True)
class Rendered:
    """A batch of clips as rendered by a model.

    Attributes:
        log_power: magnitudes in nats, on the full grid.
        sounds: waveforms at any level: they may exceed ±1.
    """

    log_power: FullSpectrograms
    sounds: Float[Tensor, "clips samples"]


def render(
    corpus: Corpus,
    clips: NDArray[np.int64],
    rendered: Rendered,
    pictures: Float[Tensor, "clips 3 height width"] | None = None,
) -> Media:
    """Return for each clip its original and its reconstructed sound, pictures of their spectrograms, and a table row.

    The spectrograms are drawn one by one, and once more on one picture.

    `judge_probability` and `mel_lsd_db` are computed from the sound. `lsd_db` and the picture are computed from the
    magnitudes on the common grid, as `val/lsd_db` is.

    Args:
        corpus: provides the originals.
        clips: rows of the corpus's table.
        rendered: reconstructions of these clips.
        pictures: the pictures that sounds were generated from, within ±1, to place beside the spectrograms.
    """
    sounds = rendered.sounds.cpu()
    originals = read_waveforms(corpus.waveforms(), clips)
    targets = spectrogram.log_power(clip_power(corpus.waveforms(), clips), COMMON_SIZE)
    estimates = spectrogram.resize(rendered.log_power.cpu(), COMMON_SIZE)
    probabilities = open_judge(corpus).classify_waveforms(sounds)
    true_class_probabilities = probabilities[torch.arange(len(clips)), torch.from_numpy(corpus.labels(clips))].tolist()
    names = [str(name) for name in corpus.clips["clip"].to_numpy()[clips]]
    audio = {}
    for suffix, batch in (("original", originals), ("reconstruction", sounds)):
        for name, sound in zip(names, batch, strict=True):
            audio[f"{name}_{suffix}"] = limit_to_full_scale(sound)
    images = {}
    for name, target, estimate in zip(names, targets, estimates, strict=True):
        pair = spectrogram_pictures.draw_pair(target, estimate)
        images[name] = spectrogram_pictures.stack(*pair)
        images |= dict(zip((f"{name}_original", f"{name}_reconstruction"), pair, strict=True))
    if pictures is not None:
        for name, picture in zip(names, pictures, strict=True):
            images[name] = spectrogram_pictures.join_photo(picture, images[name])
    image_column = "spectrogram" if pictures is None else "image"
    columns = {"original": "_original", "reconstruction": "_reconstruction", image_column: ""}
    distances = lsd_db(estimates, targets).tolist(), mel_lsd_db(sounds, originals).tolist()
    rows = [
        {"clip": name, "judge_probability": probability, "lsd_db": lsd, "mel_lsd_db": mel_lsd}
        | {column: name + suffix for column, suffix in columns.items()}
        for name, probability, lsd, mel_lsd in zip(names, true_class_probabilities, *distances, strict=True)
    ]
    return Media(audio=audio, images=images, clips=rows, rate_hz=corpus.rate_hz)


def evaluate(
    corpus: Corpus,
    split: Split,
    make: Callable[[NDArray[np.int64]], Rendered],
    device: torch.device,
    clips: NDArray[np.int64] | None = None,
    motion: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Evaluate the rendered sounds of a split, or of a part of it.

    Args:
        corpus: provides the originals.
        split: the test split is also scored by judge B.
        make: renders clips, given as rows of the corpus's table.
        device: of the judges.
        clips: a part of the split; None for all of it.
        motion: the motion of every clip of the corpus; with it, `onset_correlation` is a column too.

    Returns:
        One row per recording, with the columns `recording`, `class`, `judge_probability`, `judge_accuracy`, for judge B
        and for each added judge the same with another prefix, the names of `SOUND_METRICS` and of added metrics of
        sounds, and `lsd_db` and `fvu`, which compare the spectrogram of the sound on the common grid.
    """
    clips = corpus.indices(split) if clips is None else clips
    judges_by_prefix: dict[str, Judge | PanelJudge] = {
        prefix: open_judge(corpus, name, device=device)
        for prefix, name in JUDGES.items()
        if name == "A" or split == "test"
    }
    judges_by_prefix |= open_panel(corpus, "sound")
    probabilities_by_judge: dict[str, list[Tensor]] = {prefix: [] for prefix in judges_by_prefix}
    metrics, added = [], []
    for part in np.split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS)):
        sounds = make(part).sounds
        originals = read_waveforms(corpus.waveforms(), part).to(sounds.device)
        target = spectrogram.log_power(clip_power(corpus.waveforms(), part).to(sounds.device), COMMON_SIZE)
        estimate = spectrogram.log_power(spectrogram.power(sounds), COMMON_SIZE)
        columns = [metric(sounds, originals) for metric in SOUND_METRICS.values()]
        if motion is not None:
            columns.append(onset_correlation(sounds, torch.from_numpy(motion[part])))
        columns += [lsd_db(estimate, target), *squared_errors(estimate, target)]
        metrics.append(torch.stack(columns, dim=1).cpu())
        added.append(score_sounds(corpus, sounds, originals))
        for prefix, judge in judges_by_prefix.items():
            probabilities_by_judge[prefix].append(judge.classify_waveforms(sounds).cpu())
    recordings = corpus.clips["recording"].to_numpy(np.str_)[clips]
    unique, first, of_clip = np.unique(recordings, return_index=True, return_inverse=True)
    *means, error, total = average_by_recording(torch.cat(metrics).double().numpy(), of_clip).T
    table = pd.DataFrame({"recording": unique, "class": corpus.clips["class"].to_numpy()[clips[first]]})
    for prefix, probabilities in probabilities_by_judge.items():
        verdict = score_recordings(torch.cat(probabilities), corpus.labels(clips), recordings)
        table[f"{prefix}_probability"] = verdict.probability
        table[f"{prefix}_accuracy"] = verdict.is_right
    names = [*SOUND_METRICS]
    if motion is not None:
        names.append("onset_correlation")
    names.append("lsd_db")
    table = table.assign(**dict(zip(names, means, strict=True)), fvu=error / total)
    if not corpus.additions.metrics:
        return table
    # A clip in which an added metric finds no signal does not count.
    return table.join(pd.concat(added, ignore_index=True).groupby(of_clip).mean())


def limit_to_full_scale(sound: Float[Tensor, " samples"]) -> NDArray[np.float32]:
    """Scale a sound to just below full scale if it would clip; leave its level otherwise."""
    scaled: NDArray[np.float32] = (sound * min(1.0, PEAK / sound.abs().max().clamp(min=1e-9).item())).numpy()
    return scaled
