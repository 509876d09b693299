"""The training of judges of sounds: on clips as they are, and degraded as models degrade them.

A judge has to classify estimates of any size, blurred and noisy ones, and sounds from Griffin-Lim. Its lessons contain
variants of each clip for all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float16, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.components.audio.clip import count_frames
from trainables.components.audio.sizes import SIZES, Size
from trainables.components.judges.batch import Augmentation, Batch
from trainables.components.judges.networks import Mel, Network, log_mel
from trainables.components.judges.weights import MEL_BANDS, PAIRED_FRAMES
from trainables.corpora.features import Clips, clip_power
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

MAX_CLIPS = 16_384
"""The largest number of clips to learn from. Their variants take 1.6 GB."""
PREPARED_CLIPS = 64
"""The number of clips whose variants are computed at a time."""
RESYNTHESIZED_CLIPS = 64
"""The number of clips that Griffin-Lim resynthesizes; it is slow."""
BLUR_SIGMA = (0.3, 2.0)
"""The range of the blur's standard deviation, in pixels of the smaller size."""
NOISE_NATS = 0.8

BATCH_CLIPS = 32
EPOCHS = 80
STEPS = (80, 6000)
"""The smallest and the largest number of training steps."""
PEAK_LR = 3e-3
JOINED = 0.5
"""The part of the clips whose beginning is replaced by that of a sibling."""
GAIN_NATS = 2.0
MEL_NOISE_NATS = 0.4
MASK_SHARE, MASK_BANDS = 20 / 96, 10
"""The longest stretch that is hidden, as a part of the clip, and the most bands."""

Variants = Float16[Tensor, "variants clips frames 64"]


@dataclass(frozen=True)
class Lessons:
    """The clips that a judge learns from.

    Attributes:
        mels: the log-mel spectrograms of every variant of every clip; the first variant is the clip as it is.
        labels: the class of each clip.
        sibling: for each clip the position of another clip of its recording, or its own if there is none.
    """

    mels: Variants
    labels: Int64[Tensor, " clips"]
    sibling: Int64[Tensor, " clips"]


def prepare_lessons(corpus: Corpus, clips: NDArray[np.int64], seed: int, progress: Progress) -> Lessons:
    """Compute the log-mel spectrograms of clips in all variants.

    Args:
        corpus: the corpus.
        clips: rows of `corpus.clips`; of more than `MAX_CLIPS`, a random part is used.
        seed: the seed of that choice and of the degradation.
        progress: is called while the variants are computed.
    """
    rng = np.random.default_rng(seed)
    clips = rng.permutation(clips)[:MAX_CLIPS]
    waveforms, generator = corpus.waveforms(), torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, len(clips), PREPARED_CLIPS):
        progress("preparing the judge's lessons", start, len(clips))
        parts.append(make_variants(clip_power(waveforms, clips[start : start + PREPARED_CLIPS]), generator))
    mels = torch.cat(parts, dim=1)
    resynthesized = _resynthesize(waveforms, clips[:RESYNTHESIZED_CLIPS])
    # The last variant is resynthesized for the first clips only; for the others it is the clip as it is.
    last = torch.cat([resynthesized, mels[0, len(resynthesized) :]])
    progress("preparing the judge's lessons", len(clips), len(clips))
    return Lessons(torch.cat([mels, last[None]]), torch.from_numpy(corpus.labels(clips)), _find_siblings(corpus, clips))


def make_variants(power: Float[Tensor, "clips full 512"], generator: torch.Generator) -> Variants:
    """Compute the log-mel spectrograms of clips as they are, at each smaller size, and at each of those degraded.

    Degraded clips are blurred and noisy, as the estimates of a weak model are.

    Args:
        power: the power spectrograms of the clips.
        generator: the source of blur and noise.
    """
    # Imported here: it takes four seconds, and trials with a judge in the cache don't need it.
    from torchvision.transforms.v2.functional import gaussian_blur

    log_powers = [spectrogram.log_power(power)]
    for size in [size for size in SIZES if size != "192x512"]:
        pooled = spectrogram.log_power(power, size)
        sigma = torch.empty(()).uniform_(*BLUR_SIGMA, generator=generator).item()
        noise = torch.randn(pooled.shape, generator=generator) * torch.rand(len(pooled), 1, 1, generator=generator)
        spoilt = gaussian_blur(pooled, [9, 9], [sigma, sigma]) + NOISE_NATS * noise
        log_powers += [spectrogram.resize(pooled, "192x512"), spectrogram.resize(spoilt, "192x512")]
    return torch.stack([log_mel(log_power).half() for log_power in log_powers])


def _resynthesize(waveforms: Clips, clips: NDArray[np.int64]) -> Float16[Tensor, "clips frames 64"]:
    """Return log-mel spectrograms of clips after Griffin-Lim, an equal part of them from each size."""
    frames = count_frames(waveforms.shape[1]) // PAIRED_FRAMES
    mels = torch.empty(len(clips), frames, MEL_BANDS, dtype=torch.float16)
    sizes: list[Size] = list(SIZES)
    for offset, size in enumerate(sizes[: len(clips)]):
        part = slice(offset, None, len(sizes))
        sounds = spectrogram.to_waveform(spectrogram.log_power(clip_power(waveforms, clips[part]), size), iterations=16)
        mels[part] = log_mel(spectrogram.log_power(spectrogram.power(sounds))).half()
    return mels


def _find_siblings(corpus: Corpus, clips: NDArray[np.int64]) -> Int64[Tensor, " clips"]:
    """Return for each clip the position of the next clip of its recording, after the last one that of the first."""
    positions = pd.Series(np.arange(len(clips)))
    of_recording = positions.groupby(corpus.clips["recording"].to_numpy(str)[clips])
    following = of_recording.shift(-1).fillna(of_recording.transform("first"))
    return torch.from_numpy(following.to_numpy(np.int64))


def train(
    network: Network,
    lessons: Lessons,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    augmentations: Sequence[Augmentation] = (),
) -> None:
    """Fit a network to the lessons, and leave it in evaluation mode.

    No recordings are held out to choose the best weights: small corpora need all of them for training, and the
    learning rate ends near zero.

    Args:
        network: the network, whose `mean` and `std` are set too.
        lessons: what it is trained on.
        seed: the seed of the batches and of the augmentation.
        device: the device that the network is moved to.
        progress: is called after each step.
        augmentations: are applied beside those that every judge has, in this order.
    """
    generator = torch.Generator().manual_seed(seed)
    plain = lessons.mels[0].float()
    network.mean.copy_(plain.mean(dim=(0, 1)))
    network.std.copy_(plain.std(dim=(0, 1)).clamp(min=0.1))
    network.to(memory_format=torch.channels_last).to(device)
    num_clips, num_classes = len(lessons.labels), network.num_classes
    num_steps = int(np.clip(EPOCHS * num_clips // BATCH_CLIPS, *STEPS))
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_LR, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=num_steps)
    for step in range(1, num_steps + 1):
        if augmentations:
            mels, targets = _draw_augmented(lessons, num_classes, augmentations, generator)
        else:
            mels, targets = _draw(lessons, generator)
        hidden = draw_masks(mels, generator).to(device)
        standardized = network.standardize(mels.to(device)).masked_fill(hidden, 0)
        loss = F.cross_entropy(network(standardized), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress("training the judge", step, num_steps)
    network.eval()


def _draw(lessons: Lessons, generator: torch.Generator) -> tuple[Mel, Int64[Tensor, " clips"]]:
    """Draw a batch of clips in random variants, augmented as for every judge, and return it with the classes."""
    drawn = torch.randint(len(lessons.labels), (BATCH_CLIPS,), generator=generator)
    variant = torch.randint(len(lessons.mels), (BATCH_CLIPS,), generator=generator)
    mels, siblings = (lessons.mels[variant, clips].float() for clips in (drawn, lessons.sibling[drawn]))
    return augment(_join_siblings(mels, siblings, generator), generator), lessons.labels[drawn]


def _draw_augmented(
    lessons: Lessons, num_classes: int, augmentations: Sequence[Augmentation], generator: torch.Generator
) -> tuple[Mel, Float[Tensor, "clips classes"]]:
    """Draw a batch, and apply more augmentations; return it with the probabilities of the classes."""

    def draw() -> Batch:
        mels, labels = _draw(lessons, generator)
        return Batch(mels, F.one_hot(labels, num_classes).float())

    batch = draw()
    for change in augmentations:
        batch = change(batch, draw, generator)
    return batch.mels, batch.targets


def _join_siblings(mel: Mel, sibling: Mel, generator: torch.Generator) -> Mel:
    """Replace the beginning of half of the clips, up to a random frame, by that of their siblings."""
    frames = mel.shape[1]
    cut = torch.randint(frames, (len(mel), 1, 1), generator=generator)
    is_joined = torch.rand(len(mel), 1, 1, generator=generator) < JOINED
    return torch.where(is_joined & (torch.arange(frames)[:, None] < cut), sibling, mel)


def augment(mel: Mel, generator: torch.Generator) -> Mel:
    """Shift log-mel spectrograms in time, cyclically, change their level by up to `GAIN_NATS`, and add noise."""
    clips, frames = mel.shape[:2]
    start = torch.randint(frames, (clips, 1), generator=generator)
    mel = mel[torch.arange(clips)[:, None], (torch.arange(frames) + start) % frames]
    gain = GAIN_NATS * (2 * torch.rand(clips, 1, 1, generator=generator) - 1)
    noise_level = MEL_NOISE_NATS * torch.rand(clips, 1, 1, generator=generator)
    return mel + gain + noise_level * torch.randn(mel.shape, generator=generator)


def draw_masks(mels: Mel, generator: torch.Generator) -> Bool[Tensor, "clips frames 64"]:
    """Draw a band of frames and one of mel bands to hide in each clip (SpecAugment; Park et al., 2019)."""
    count, num_frames = mels.shape[:2]
    frames = _draw_mask(count, num_frames, round(MASK_SHARE * num_frames), generator)
    bands = _draw_mask(count, MEL_BANDS, MASK_BANDS, generator)
    return frames[:, :, None] | bands[:, None]


def _draw_mask(count: int, length: int, longest: int, generator: torch.Generator) -> Bool[Tensor, "batch length"]:
    width = torch.randint(longest + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (length - width)).long()
    position = torch.arange(length)
    return (position >= start) & (position < start + width)
