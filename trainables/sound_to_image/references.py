"""The baselines of sound_to_image, and what its trials share: pictures, log-mels, condition network and judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.pair_baselines import choose_at_random, choose_nearest, choose_of_class
from trainables.components.assessment.reference_lines import measure_reference_line
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE
from trainables.components.judges.log_mels import open_mels
from trainables.components.judges.picture_judge import SIZE_PX, open_picture_judge
from trainables.components.pictures.augmentation import Pictures
from trainables.components.training.train_once import preparation_device
from trainables.corpora.pictures import select_visible
from trainables.sound_to_image.assessment import PictureAssessor, real_pictures
from trainables.sound_to_image.condition import open_condition
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.picture_autoencoder import VERSION, PictureAutoencoder, open_picture_autoencoder
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64


def reference_lines(configs: Sequence[SoundToImageConfig], corpus: Corpus, progress: Progress) -> list[dict[str, Any]]:
    """Return the baselines, after computing the pictures, log-mels, condition networks and judge that trials share.

    For each validation sound they give: its own picture, that picture encoded and decoded if a flow generates latents,
    the mean of its class, the picture of the nearest training sound, a random training picture of the class, and a
    random training picture.

    Args:
        configs: the settings of every arm.
        corpus: where pictures, networks and baselines are cached.
        progress: called while something is computed.
    """
    for size in dict.fromkeys([*(config.image_size for config in configs), SIZE_PX]):
        corpus.frames(size, progress)
    corpus.features(Feature(Grid(COMMON_SIZE)), progress)
    open_mels(corpus, progress)
    for trained in dict.fromkeys(config.classifier for config in configs):
        open_condition(corpus, trained, progress)
    judge = open_picture_judge(corpus, device=preparation_device(), progress=progress)
    pictures = corpus.frames(SIZE_PX)
    train, clips = (select_visible(corpus, pictures, corpus.indices(split)) for split in ("train", "validation"))
    assessor = PictureAssessor(corpus, clips, judge)
    sizes = sorted({config.image_size for config in configs if config.generator == "flow"})
    autoencoders = [open_picture_autoencoder(corpus, size, progress) for size in sizes]

    def assess_clips(chosen: NDArray[np.int64]) -> dict[str, float]:
        return assessor.assess(real_pictures(corpus, chosen))

    def assess_class_means() -> dict[str, float]:
        picture_by_class = _class_means(corpus, train)
        labels = torch.from_numpy(corpus.labels(clips))
        return assessor.assess(picture_by_class[part] for part in labels.split(BATCH_CLIPS))

    lines = {
        "real pictures": lambda: assess_clips(clips),
        "class mean": assess_class_means,
        "nearest sound's picture": lambda: assess_clips(choose_nearest(corpus, "sound", clips, train)),
        "another picture of the class": lambda: assess_clips(choose_of_class(corpus, clips, train)),
        "any picture": lambda: assess_clips(choose_at_random(corpus, clips, train)),
    }
    cache_key = f"pairs-{judge.id}"
    real, *others = [measure_reference_line(corpus, name, "", cache_key, measure) for name, measure in lines.items()]
    return [real, *(_reconstruction_line(corpus, assessor, network, cache_key) for network in autoencoders), *others]


def _reconstruction_line(
    corpus: Corpus, assessor: PictureAssessor, autoencoder: PictureAutoencoder, cache_key: str
) -> dict[str, Any]:
    """Return the line of real pictures that were encoded and decoded: what the latents of a flow alone cost."""
    size = autoencoder.image_size

    def measure() -> dict[str, float]:
        return _assess_reconstructions(corpus, assessor, autoencoder)

    return measure_reference_line(corpus, "reconstructed pictures", f"{size}x{size}", f"{cache_key}-{VERSION}", measure)


@torch.no_grad()
def _assess_reconstructions(
    corpus: Corpus, assessor: PictureAssessor, autoencoder: PictureAutoencoder
) -> dict[str, float]:
    """Return the metrics of validation pictures that were encoded and decoded: what the latents alone cost."""
    errors: list[float] = []

    def reconstruct() -> Iterator[Pictures]:
        for pictures in real_pictures(corpus, assessor.clips, autoencoder.image_size):
            reconstructed = autoencoder.decode(autoencoder.encode(pictures))
            errors.append(F.mse_loss(reconstructed, pictures, reduction="none").mean(dim=(1, 2, 3)).sum().item())
            yield reconstructed

    return {**assessor.assess(reconstruct()), "loss": sum(errors) / len(assessor.clips)}


def _class_means(corpus: Corpus, train: NDArray[np.int64]) -> Float[Tensor, "classes 3 height width"]:
    """Return the mean of each class's training pictures; the mean of all of them for a class without pictures."""
    sums = torch.zeros(len(corpus.classes), 3, SIZE_PX, SIZE_PX)
    labels = torch.from_numpy(corpus.labels(train))
    for part, of_part in zip(real_pictures(corpus, train), labels.split(BATCH_CLIPS), strict=True):
        sums.index_add_(0, of_part, part)
    counts = labels.bincount(minlength=len(sums))[:, None, None, None]
    return torch.where(counts > 0, sums / counts.clamp(min=1), sums.sum(dim=0) / len(train))
