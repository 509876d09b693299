"""The network of the learned vocoder: a first rendering of magnitudes, corrected in magnitude and phase.

As in Vocos (Siuzdak, 2024), ConvNeXt blocks run over the frames of a spectrogram, and a head gives the logarithm of the
magnitude and the phase of every bin, which one inverse Fourier transform turns into sound. There is no autoregression.
Vocos finds its phase from magnitudes alone, which takes 10⁶ training steps. This network starts from the phase of a few
iterations of Griffin-Lim instead, sees how inconsistent it is, and predicts a correction, which takes some hundred.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from trainables.components.audio.clip import HOP_SAMPLES
from trainables.components.audio.sizes import BINS
from trainables.components.audio.spectrogram import (
    FFT_SAMPLES,
    POWER_FLOOR,
    griffin_lim,
    spectrum,
    synthesize,
)
from trainables.components.shapes import FullSpectrograms, Waveforms

FIRST_ITERATIONS = 4
"""Iterations of Griffin-Lim before the network. On the demo corpus, 28 more gain .02 dB at 48x128."""
WIDTH = 256
EXPANSION = 3
NUM_BLOCKS = 3
KERNEL_FRAMES = 7
SCALE_NATS = 4.0
"""Log-power is divided by it before the network."""
LARGEST_GAIN_NATS = 2.0
"""The largest correction of the logarithm of an amplitude, 17 dB."""

Spectra = Complex[Tensor, "clips full 512"]
Inputs = Float[Tensor, "clips 2048 full"]
Hidden = Float[Tensor, "clips width full"]


class ConvNextBlock(nn.Module):
    """A depthwise convolution over frames, and a residual network of two layers for each frame (Liu et al., 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.over_frames = nn.Conv1d(WIDTH, WIDTH, KERNEL_FRAMES, padding=KERNEL_FRAMES // 2, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, EXPANSION * WIDTH)
        self.narrow = nn.Linear(EXPANSION * WIDTH, WIDTH)

    def forward(self, hidden: Hidden) -> Hidden:
        """Return the sum of the input and the block's output."""
        frames = self.norm(self.over_frames(hidden).transpose(1, 2))
        changed: Tensor = self.narrow(F.gelu(self.widen(frames)))
        return hidden + changed.transpose(1, 2)


class VocoderNetwork(nn.Module):
    """Turns magnitudes into sound; untrained, it returns what the first iterations of Griffin-Lim return."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(4 * BINS, WIDTH, 1)
        self.blocks = nn.Sequential(*(ConvNextBlock() for _ in range(NUM_BLOCKS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 2 * BINS)
        # No correction at the beginning.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, log_power: FullSpectrograms) -> Waveforms:
        """Render magnitudes, given as log-power in nats on the full grid."""
        with torch.no_grad():
            first = spectrum(griffin_lim((log_power / 2).exp(), iterations=FIRST_ITERATIONS))
            inputs = describe(log_power, first)
        frames = self.norm(self.blocks(self.enter(inputs)).transpose(1, 2))
        gain, rotation = self.head(frames).split(BINS, dim=2)
        bounded = LARGEST_GAIN_NATS * torch.tanh(gain / LARGEST_GAIN_NATS)
        return synthesize((log_power / 2 + bounded).exp(), first.angle() + rotation)


def describe(log_power: FullSpectrograms, first: Spectra) -> Inputs:
    """Return what the network sees: four numbers for each bin and frame.

    They are the log-power that is wanted, the log-power of the first rendering, both relative to the clip's mean so
    that the level does not matter, and cosine and sine of the phase's advance to the next frame, beyond that of a tone
    in the middle of the bin.

    Args:
        log_power: the magnitudes to render, in nats.
        first: the spectrum of the first rendering.
    """
    level = log_power.mean(dim=(1, 2), keepdim=True)
    reached = (first.abs().square() + POWER_FLOOR).log()
    bins = torch.arange(1, BINS + 1, device=log_power.device)
    tone = torch.polar(torch.ones_like(log_power[0, 0]), -2 * math.pi * HOP_SAMPLES / FFT_SAMPLES * bins)
    advance = first[:, 1:] * first[:, :-1].conj() * tone
    unit = F.pad(torch.view_as_real(advance / advance.abs().clamp(min=1e-12)), (0, 0, 0, 0, 0, 1))
    scaled = [(values - level) / SCALE_NATS for values in (log_power, reached)]
    return torch.cat([*scaled, unit[..., 0], unit[..., 1]], dim=2).transpose(1, 2)
