"""What a network sees of a clip: its magnitude, its phase, or both, on a grid.

Clips are tensors of shape (clips, channels, frames, bins): log-power in nats first, if it is there, then the phase, in
units of π or as its cosine and sine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.phase import angle_from_cos_sin, angle_from_frequency, cos_sin
from trainables.corpora.features import FeatureSplit

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

ChannelsName = Literal["magnitude", "phase", "both"]
PhaseName = Literal["instantaneous_frequency", "angle", "cos_sin"]
Part = Literal["magnitude", "phase"]

Clips = Float[Tensor, "clips channels frames bins"]
Batch = Float[Tensor, "clips frames bins"]
Full = Float[Tensor, "clips 192 512"]
Waveforms = Float[Tensor, "clips samples"]


@dataclass(frozen=True)
class Representation:
    """Assembles what a network sees, and takes it apart again."""

    grid: Grid
    channels: ChannelsName = "magnitude"
    phase: PhaseName = "instantaneous_frequency"

    @property
    def parts(self) -> dict[Part, slice]:
        """Which channels each part has."""
        phase_channels = 2 if self.phase == "cos_sin" else 1
        match self.channels:
            case "magnitude":
                return {"magnitude": slice(0, 1)}
            case "phase":
                return {"phase": slice(0, phase_channels)}
        return {"magnitude": slice(0, 1), "phase": slice(1, 1 + phase_channels)}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, frames and bins of a clip."""
        return (max(part.stop for part in self.parts.values()), *self.grid.shape)

    @property
    def features(self) -> list[Feature]:
        """What has to be computed of a corpus."""
        quantity: Literal["angle", "instantaneous_frequency"]
        quantity = "instantaneous_frequency" if self.phase == "instantaneous_frequency" else "angle"
        wanted = {"magnitude": Feature(self.grid), "phase": Feature(self.grid, quantity)}
        return [wanted[part] for part in self.parts]

    def assemble(self, features: Sequence[Batch]) -> Clips:
        """Clips of features, given in the order of `features`."""
        channels = []
        for part, values in zip(self.parts, features, strict=True):
            if part == "phase" and self.phase == "cos_sin":
                channels += [*cos_sin(math.pi * values).unbind(1)]
            else:
                channels.append(values)
        return torch.stack(channels, dim=1)

    def log_power(self, clips: Clips) -> Batch | None:
        """Their log-power in nats, on the grid; None where they have none."""
        return clips[:, 0] if "magnitude" in self.parts else None

    def angle(self, clips: Clips) -> Full | None:
        """Their phase in radians at full resolution; None where they have none, or one of other frames."""
        if "phase" not in self.parts or self.grid.representation == "audiovision":
            return None
        phase = clips[:, self.parts["phase"]]
        if self.phase == "cos_sin":
            return self.grid.repeat(angle_from_cos_sin(phase))
        values = self.grid.repeat(phase[:, 0])
        return angle_from_frequency(values) if self.phase == "instantaneous_frequency" else math.pi * values

    def own_sound(self, clips: Clips, log_power: Full) -> Waveforms:
        """Sound of the given magnitudes with the clips' own phase; in the report's own way where it has one."""
        if self.grid.representation == "audiovision":
            mel, frequency = (self.grid.repeat(clips[:, channel]) for channel in (0, 1))
            return audiovision.to_waveform(mel, frequency)
        angle = self.angle(clips)
        assert angle is not None, "has no phase"
        return spectrogram.synthesize((log_power / 2).exp(), angle)


class ClipSplit:
    """The clips of one split as a network sees them, drawn in batches."""

    def __init__(
        self, corpus: Corpus, representation: Representation, clips: NDArray[np.int64], device: torch.device
    ) -> None:
        self.clips = clips
        self._representation = representation
        self._features = [FeatureSplit(corpus.features(feature), clips, device) for feature in representation.features]

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, positions: Int64[Tensor, " clips"]) -> Clips:
        """The clips at these positions within the split."""
        return self._representation.assemble([feature_split.batch(positions) for feature_split in self._features])
