"""What is computed of every clip of a corpus before anything trains, and then only read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.grid import Grid
from trainables.components.audio.phase import instantaneous_frequency

Batch = Float[Tensor, "clips frames bins"]
Waveforms = Float[Tensor, "clips samples"]


@dataclass(frozen=True)
class Feature:
    """One quantity of every clip on a grid, computed once a corpus."""

    grid: Grid
    quantity: Literal["log_power", "instantaneous_frequency", "angle"] = "log_power"

    @property
    def name(self) -> str:
        """Tells it from every other one."""
        return f"{self.quantity}-{self.grid.name}"

    def of(self, waveforms: Waveforms) -> Batch:
        """Log-power in nats, or a phase in units of π; of a block of the full resolution its first phase."""
        if self.quantity == "log_power":
            return self.grid.log_power(waveforms)
        if self.grid.representation == "audiovision":
            phase = audiovision.mel_frequency(waveforms)
        else:
            angle = spectrogram.phase(waveforms)
            phase = angle / math.pi if self.quantity == "angle" else instantaneous_frequency(angle)
        return phase[:, :: self.grid.step, :: self.grid.step]
