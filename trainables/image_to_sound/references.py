"""The baselines of image_to_sound, and the features and judge that its trials share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.assessment.assessor import Assessor
from trainables.components.assessment.pair_baselines import choose_at_random, choose_nearest, choose_of_class
from trainables.components.assessment.reference_lines import measure_reference_line
from trainables.components.assessment.references import FULL, class_means
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE
from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.sound_judge import open_judge
from trainables.components.training.train_once import preparation_device
from trainables.corpora.features import clip_power
from trainables.corpora.pictures import digest_sources, select_visible
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def reference_lines(configs: Sequence[ImageToSoundConfig], corpus: Corpus, progress: Progress) -> list[dict[str, Any]]:
    """Return the baselines, after computing the features, the pictures and the judge that trials share.

    For each validation picture they give: its own sound, the mean of its class, the sound of the nearest training
    picture, a random training sound of the class, and a random training sound.

    Args:
        configs: the settings of every arm.
        corpus: where features, judge and baselines are cached.
        progress: called while something is computed.
    """
    features = dict.fromkeys(feature for config in configs for feature in config.clip_representation.features)
    for feature in {**features, Feature(Grid(COMMON_SIZE)): None}:
        corpus.features(feature, progress)
    for size in dict.fromkeys(config.image_size for config in configs):
        corpus.frames(size, progress)
    device = preparation_device()
    judge = open_judge(corpus, device=device, progress=progress)
    pictures = corpus.frames(configs[0].image_size)
    train, clips = (select_visible(corpus, pictures, corpus.indices(split)) for split in ("train", "validation"))
    assessor = Assessor(corpus, "validation", judge, device, clips)
    common = Grid(COMMON_SIZE)

    def assess_clips(chosen: NDArray[np.int64]) -> dict[str, float]:
        parts = (chosen[positions.numpy()] for positions in assessor.positions())
        estimates = (log_power(clip_power(corpus.waveforms(), part).to(device)) for part in parts)
        return assessor.assess(estimates, FULL)

    def assess_class_means() -> dict[str, float]:
        labels = torch.from_numpy(corpus.labels(clips))
        log_power_by_class = class_means(corpus, common)
        return assessor.assess((log_power_by_class[labels[part]].to(device) for part in assessor.positions()), common)

    lines = {
        "real clips": lambda: assess_clips(clips),
        "class mean": assess_class_means,
        "nearest image's sound": lambda: assess_clips(choose_nearest(corpus, "picture", clips, train)),
        "another sound of the class": lambda: assess_clips(choose_of_class(corpus, clips, train)),
        "any sound": lambda: assess_clips(choose_at_random(corpus, clips, train)),
    }
    cache_key = f"pairs-{digest_sources(corpus)}-{judge.id}"
    return [measure_reference_line(corpus, name, "", cache_key, measure) for name, measure in lines.items()]
