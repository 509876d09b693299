"""Features: values of every clip of a corpus that are computed once, before training, and cached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.grid import Grid
from trainables.components.audio.phase import instantaneous_frequency
from trainables.components.shapes import Spectrograms, Waveforms


@dataclass(frozen=True)
class Feature:
    """One quantity of a clip on a grid.

    Attributes:
        grid: the frames and bins of the result.
        quantity: log-power in nats, instantaneous frequency or angle in units of π.
    """

    grid: Grid
    quantity: Literal["log_power", "instantaneous_frequency", "angle"] = "log_power"

    @property
    def name(self) -> str:
        """The unique name of the feature, used for cache files."""
        return f"{self.quantity}-{self.grid.name}"

    def compute(self, waveforms: Waveforms) -> Spectrograms:
        """Compute log-power in nats or a phase in units of π.

        A phase is decimated, not pooled: an average of phases would mean nothing.
        """
        if self.quantity == "log_power":
            return self.grid.log_power(waveforms)
        if self.grid.representation == "audiovision":
            phase = audiovision.mel_frequency(waveforms)
        elif self.quantity == "angle":
            phase = spectrogram.phase(waveforms) / math.pi
        else:
            phase = instantaneous_frequency(spectrogram.phase(waveforms))
        return phase[:, :: self.grid.step, :: self.grid.step]
