"""The tensors that networks process: the magnitude of clips, their phase, or both, on a grid.

Clips have the shape (clips, channels, frames, bins). The first channel is log-power in nats, if it is included. Then
comes the phase, in units of π or as its cosine and sine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.phase import angle_from_cos_sin, angle_from_frequency, cos_sin
from trainables.components.representation.channels import ChannelsName, Part, PhaseName, channels_of_parts, num_channels
from trainables.components.shapes import Clips, FullSpectrograms, Spectrograms, Waveforms
from trainables.corpora.features import FeatureSplit

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


@dataclass(frozen=True)
class Representation:
    """The choice of a grid and of channels, and the conversion from features to clips and back.

    Attributes:
        grid: the frames and bins.
        channels: magnitude, phase, or both.
        phase: the form of the phase; `cos_sin` has two channels.
    """

    grid: Grid
    channels: ChannelsName = "magnitude"
    phase: PhaseName = "instantaneous_frequency"

    @property
    def parts(self) -> dict[Part, slice]:
        """The channels of each part that is included."""
        return channels_of_parts(self.channels, self.phase)

    def shape(self, full_frames: int) -> tuple[int, int, int]:
        """Return the numbers of channels, frames and bins of clips with so many frames at full resolution."""
        return (num_channels(self.channels, self.phase), *self.grid.shape(full_frames))

    @property
    def features(self) -> list[Feature]:
        """The features of a corpus that clips are assembled from, one per part."""
        quantity: Literal["angle", "instantaneous_frequency"]
        quantity = "instantaneous_frequency" if self.phase == "instantaneous_frequency" else "angle"
        feature_by_part = {"magnitude": Feature(self.grid), "phase": Feature(self.grid, quantity)}
        return [feature_by_part[part] for part in self.parts]

    def assemble(self, features: Sequence[Spectrograms]) -> Clips:
        """Stack the values of `features`, in their order, to clips."""
        channels = []
        for part, values in zip(self.parts, features, strict=True):
            if part == "phase" and self.phase == "cos_sin":
                channels += [*cos_sin(math.pi * values).unbind(1)]
            else:
                channels.append(values)
        return torch.stack(channels, dim=1)

    def log_power(self, clips: Clips) -> Spectrograms | None:
        """Return the log-power of clips in nats, on the grid, or None if it is not included."""
        return clips[:, 0] if "magnitude" in self.parts else None

    def angle(self, clips: Clips) -> FullSpectrograms | None:
        """Return the phase of clips in radians at full resolution.

        It is None if the phase is not included, or is on the frames of `audiovision`, which differ from those of
        `spectrogram`.
        """
        if "phase" not in self.parts or self.grid.representation == "audiovision":
            return None
        phase = clips[:, self.parts["phase"]]
        if self.phase == "cos_sin":
            return self.grid.repeat(angle_from_cos_sin(phase))
        values = self.grid.repeat(phase[:, 0])
        return angle_from_frequency(values) if self.phase == "instantaneous_frequency" else math.pi * values

    def own_sound(self, clips: Clips, log_power: FullSpectrograms) -> Waveforms:
        """Synthesize sound from the phase of clips and the given magnitudes.

        Args:
            clips: must include a phase; on an `audiovision` grid, both parts.
            log_power: in nats, on the full grid; unused on an `audiovision` grid, which has its own inversion.
        """
        if self.grid.representation == "audiovision":
            mel, frequency = (self.grid.repeat(clips[:, channel]) for channel in (0, 1))
            return audiovision.to_waveform(mel, frequency)
        angle = self.angle(clips)
        assert angle is not None, "has no phase"
        return spectrogram.synthesize((log_power / 2).exp(), angle)


class ClipSplit:
    """The clips of one split in a representation, read in batches.

    Args:
        corpus: provides the features.
        representation: of the clips.
        clips: the rows of the corpus's table that belong to the split.
        device: where batches are returned.

    Attributes:
        clip_frames: frames of a clip at full resolution.
        shape: channels, frames and bins of a clip in the representation.
        columns: the features that clips are assembled from.
    """

    def __init__(
        self, corpus: Corpus, representation: Representation, clips: NDArray[np.int64], device: torch.device
    ) -> None:
        self.clips = clips
        self.clip_frames = corpus.clip_format.frames
        self.shape = representation.shape(self.clip_frames)
        self._representation = representation
        self.columns = [
            FeatureSplit(corpus.features(feature), clips, device, corpus.in_memory_bytes)
            for feature in representation.features
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, positions: Int64[Tensor, " clips"]) -> Clips:
        """Return the clips at these positions within the split."""
        return self.assemble([column.take(positions) for column in self.columns])

    def assemble(self, rows: Sequence[Tensor]) -> Clips:
        """Return the clips of which the columns have these rows."""
        return self._representation.assemble([values.float() for values in rows])
