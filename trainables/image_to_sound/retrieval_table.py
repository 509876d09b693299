"""Cross-modal retrieval on held-out pairs, and retrieval after a round trip through the other modality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64
from torch import Tensor

from trainables.components.assessment.assessor import BATCH_CLIPS
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


def compare_latents(picture_latents: Latents, sound_latents: Latents, pairs: PairSplit) -> dict[str, float]:
    """Return the metrics of retrieval, of one pair a recording, and the distances between the latents of all pairs.

    Args:
        picture_latents: standardized, one a pair.
        sound_latents: standardized, one a pair.
        pairs: all pairs of a split.
    """
    firsts = pairs.first_of_each_recording()
    labels, _ = pairs.identify(firsts)
    results = search_pairs(picture_latents[firsts], sound_latents[firsts], labels)
    metrics = {name: value for prefix, hits in results.items() for name, value in hits.metrics(prefix).items()}
    metrics["latent_mse"] = (picture_latents - sound_latents).square().mean().item()
    metrics["modality_gap"] = (picture_latents.mean(dim=0) - sound_latents.mean(dim=0)).norm().item()
    return metrics


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
    first_pairs = [split.first_of_each_recording() for split in splits]
    parts = [
        _encode(model, split, part, make, judge, autocast)
        for split, first in zip(splits, first_pairs, strict=True)
        for part in first.split(BATCH_CLIPS)
    ]
    pictures, sounds, generated, predicted_labels, labels = (torch.cat(each) for each in zip(*parts, strict=True))
    count = len(first_pairs[0])
    query_labels = labels[:count]
    hits_by_prefix = search_pairs(pictures, sounds, labels, count)
    own = torch.arange(count, device=labels.device)
    round_trip = search(generated[:count], pictures, own, query_labels, labels)
    hits_by_prefix["image_round_trip"] = round_trip
    first_images = hits_by_prefix["sound_to_image"].first
    columns = {
        "recording": splits[0].recordings[first_pairs[0].numpy()],
        "image_round_trip_accuracy": _matches(labels[round_trip.first], query_labels),
        "sound_round_trip_accuracy": _matches(predicted_labels[first_images], query_labels),
    }
    for prefix, hits in hits_by_prefix.items():
        columns |= hits.columns(prefix)
    return pd.DataFrame(columns)


def _encode(
    model: SoundFromPicture,
    split: PairSplit,
    part: Int64[Tensor, " pairs"],
    make: Callable[[Distribution], Spectrograms],
    judge: Judge,
    autocast: torch.autocast,
) -> tuple[Latents, Latents, Latents, Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """Return what is searched of some pairs of a split.

    Returns:
        The standardized latents of the pictures, of their sounds, and of the sounds that are generated for the
        pictures; the classes that the judge hears in the generated sounds; the true classes.
    """
    distribution = model.encode_pictures(split.pictures(part), autocast)
    full = model.config.clip_representation.grid.to_full(make(distribution))
    # As a recording is: at full resolution first, which is then reduced to the model's grid.
    clips = split.sounds(part), resize(full, model.config.spectrogram)[:, None]
    latents = (model.encode_sounds(model.normalize(each), autocast)[0] for each in clips)
    sounds, generated = (model.standardize(each) for each in latents)
    predicted_labels = judge.classify_log_power(full).argmax(dim=1).to(sounds.device)
    labels, _ = split.identify(part)
    return model.standardize(distribution[0]), sounds, generated, predicted_labels, labels


def _matches(predicted_labels: Tensor, labels: Tensor) -> np.ndarray:
    """Return 1.0 where a predicted class is the true one, else 0.0."""
    return (predicted_labels == labels).double().cpu().numpy()
