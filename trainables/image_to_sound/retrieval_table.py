"""Cross-modal retrieval on held-out pairs, and retrieval after a round trip through the other modality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from trainables.components.assessment.pairs import PairSplit
from trainables.components.assessment.retrieval import SearchResult, search
from trainables.components.audio.spectrogram import resize
from trainables.components.judges.sound_judge import Judge
from trainables.components.shapes import Latents, Spectrograms
from trainables.image_to_sound.model import Distribution, SoundFromPicture


def search_pairs(
    picture_latents: Latents, sound_latents: Latents, labels: Tensor, count: int | None = None
) -> dict[str, SearchResult]:
    """Search each picture among the sounds of all pairs, and each sound among their pictures.

    Args:
        picture_latents: standardized, one a pair.
        sound_latents: standardized, one a pair.
        labels: the class of each pair.
        count: search only the first so many pairs, among all of them.

    Returns:
        The results by direction: `image_to_sound` and `sound_to_image`.
    """
    own = torch.arange(len(picture_latents), device=picture_latents.device)[:count]
    return {
        "image_to_sound": search(picture_latents[own], sound_latents, own, labels[own], labels),
        "sound_to_image": search(sound_latents[own], picture_latents, own, labels[own], labels),
    }


@torch.no_grad()
def retrieval_table(
    model: SoundFromPicture,
    splits: Sequence[PairSplit],
    make: Callable[[Distribution], Spectrograms],
    judge: Judge,
    autocast: torch.autocast,
) -> pd.DataFrame:
    """Search the first pair of each recording of the first split among those of all splits' recordings.

    Args:
        model: encodes pictures and sounds.
        splits: held-out pairs; those after the first only add to what is searched.
        make: generates magnitudes in nats, on the model's grid, from the latents of pictures.
        judge: classifies generated sounds.
        autocast: the precision of the networks.

    Returns:
        A row for each recording of the first split, with the columns
        `image_to_sound_…` and `sound_to_image_…`: recalls, rank and average precision of the class;
        `image_round_trip_…`: the same for a sound that is generated from an image, and searched among images;
        `image_round_trip_accuracy`: whether the first image of that search is of the class;
        `sound_round_trip_accuracy`: whether the judge recognizes the class in the sound that is generated from the
        first image of a sound's search.
    """
    positions = [split.first_of_each_recording() for split in splits]
    picture_distributions, all_sound_latents, all_labels = [], [], []
    for split, first in zip(splits, positions, strict=True):
        picture_distributions.append(model.encode_pictures(split.pictures(first), autocast))
        all_sound_latents.append(model.encode_sounds(model.normalize(split.sounds(first)), autocast)[0])
        all_labels.append(split.labels[first])
    sound_latents = torch.cat(all_sound_latents)
    device, count = sound_latents.device, len(positions[0])
    labels = torch.cat(all_labels).to(device)
    query_labels = labels[:count]
    pictures = model.standardize(torch.cat([mean for mean, _ in picture_distributions]))
    hits_by_prefix = search_pairs(pictures, model.standardize(sound_latents), labels, count)

    generated = torch.cat([make(distribution) for distribution in picture_distributions])
    grid = model.config.clip_representation.grid
    # As a recording is: at full resolution first, which is then reduced to the model's grid.
    clips = resize(grid.to_full(generated[:count]), model.config.spectrogram)[:, None]
    generated_latents = model.standardize(model.encode_sounds(model.normalize(clips), autocast)[0])
    own = torch.arange(count, device=device)
    round_trip = search(generated_latents, pictures, own, query_labels, labels)
    hits_by_prefix["image_round_trip"] = round_trip

    predicted_labels = judge.classify_log_power(grid.to_full(generated)).argmax(dim=1).to(device)
    first_images = hits_by_prefix["sound_to_image"].first
    columns = {
        "recording": splits[0].recordings[positions[0].numpy()],
        "image_round_trip_accuracy": _matches(labels[round_trip.first], query_labels),
        "sound_round_trip_accuracy": _matches(predicted_labels[first_images], query_labels),
    }
    for prefix, hits in hits_by_prefix.items():
        columns |= hits.columns(prefix)
    return pd.DataFrame(columns)


def _matches(predicted_labels: Tensor, labels: Tensor) -> np.ndarray:
    """Return 1.0 where a predicted class is the true one, else 0.0."""
    return (predicted_labels == labels).double().cpu().numpy()
