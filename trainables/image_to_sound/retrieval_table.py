"""What pictures and sounds that nobody trained on find of each other, and what comes back from a round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.assessment.pairs import PairSplit
from trainables.components.assessment.retrieval import SearchResult, search
from trainables.components.audio.spectrogram import resize
from trainables.components.judges.sound_judge import Judge
from trainables.image_to_sound.model import Distribution, Latents, SoundFromPicture

LogPower = Float[Tensor, "clips frames bins"]


def found_in(
    picture_latents: Latents, sound_latents: Latents, labels: Tensor, count: int | None = None
) -> dict[str, SearchResult]:
    """What the halves of pairs find among those of all of them; the first `count` pairs are asked for."""
    own = torch.arange(len(picture_latents), device=picture_latents.device)[:count]
    return {
        "image_to_sound": search(picture_latents[own], sound_latents, own, labels[own], labels),
        "sound_to_image": search(sound_latents[own], picture_latents, own, labels[own], labels),
    }


@torch.no_grad()
def retrieval_table(
    model: SoundFromPicture,
    splits: Sequence[PairSplit],
    make: Callable[[Distribution], LogPower],
    judge: Judge,
    autocast: torch.autocast,
) -> pd.DataFrame:
    """A row for each recording of the first split, whose first pairs look among those of all splits' recordings.

    Columns: `image_to_sound_…` and `sound_to_image_…` with recalls, rank and average precision of the class;
    `image_round_trip_…`, the same of the image that is found by the sound made of it; `image_round_trip_accuracy`,
    whether the first one is of the class; `sound_round_trip_accuracy`, whether the judge hears the class in the sound
    that is made of the image which a sound finds first.

    Args:
        make: magnitudes of pictures' latents, on the model's grid.
    """
    firsts = [(split, split.first_of_each_recording()) for split in splits]
    picture_distributions = [model.seen(split.pictures(first), autocast) for split, first in firsts]
    sound_latents = torch.cat(
        [model.heard(model.normalized(split.sounds(first)), autocast)[0] for split, first in firsts]
    )
    labels = torch.cat([split.labels[first] for split, first in firsts]).to(sound_latents.device)
    own, count = firsts[0][1], len(firsts[0][1])
    pair = model.standardized(torch.cat([mean for mean, _ in picture_distributions])), model.standardized(sound_latents)
    log_power = torch.cat([make(distribution) for distribution in picture_distributions])
    hits_by_prefix = found_in(*pair, labels, count)
    grid = model.config.clip_representation.grid
    clips = resize(grid.to_full(log_power[:count]), model.config.spectrogram)[:, None]
    of_made = model.standardized(model.heard(model.normalized(clips), autocast)[0])
    position = torch.arange(count, device=sound_latents.device)
    hits_by_prefix["image_round_trip"] = search(of_made, pair[0], position, labels[:count], labels)
    predicted_labels = judge.hear_log_power(grid.to_full(log_power)).argmax(dim=1).to(sound_latents.device)
    columns = {
        "recording": splits[0].recordings[own.numpy()],
        "image_round_trip_accuracy": _of_class(labels[hits_by_prefix["image_round_trip"].first], labels[:count]),
        "sound_round_trip_accuracy": _of_class(
            predicted_labels[hits_by_prefix["sound_to_image"].first], labels[:count]
        ),
    }
    for prefix, hits in hits_by_prefix.items():
        columns |= hits.columns(prefix)
    return pd.DataFrame(columns)


def _of_class(predicted_labels: Tensor, labels: Tensor) -> np.ndarray:
    return (predicted_labels == labels).double().cpu().numpy()
