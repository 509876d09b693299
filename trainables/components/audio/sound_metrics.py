"""How far sounds are from those that were meant: a value per clip, of waveforms or of their short-time spectra."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from trainables.components.audio.log_power_metrics import lsd_db
from trainables.components.audio.spectrogram import (
    DB_PER_NAT,
    POWER_FLOOR,
    RANGE_NATS,
    mel_filters,
    power,
    spectrum,
)

MEL_BANDS = 80
CEPSTRA = 13
"""Coefficients that are compared, from c₁ on: c₀ is the level."""
SI_SDR_RANGE_DB = 100
"""16 bits resolve no more."""

Sounds = Float[Tensor, "clips samples"]
PerClip = Float[Tensor, " clips"]
LogMel = Float[Tensor, "clips frames 80"]
Spectra = Complex[Tensor, "clips frames bins"]


def mel_lsd_db(estimate: Sounds, target: Sounds) -> PerClip:
    """Log-spectral distance in dB of two sounds in 80 mel bands, both floored 80 dB below the target's maximum."""
    return lsd_db(*_log_mels(estimate, target))


def mcd_db(estimate: Sounds, target: Sounds) -> PerClip:
    """Mel cepstral distortion in dB: 10 / ln 10 · √(2 Σ (c_k − ĉ_k)²), k = 1..13, mean over frames (Kubichek, 1993).

    ln amplitude in 80 mel bands b, floored as in `mel_lsd_db`, is Σ c_k cos(π k (b + ½) / 80): c is its DCT-II, √(2/80)
    times the orthonormal one. 0 is perfect, at any level; 3 to 8 dB is usual for vocoders.
    """
    estimate_log, target_log = _log_mels(estimate, target)
    # The transform is linear, and ln amplitude is half of ln power.
    difference = (estimate_log - target_log) / 2 @ _cosines(target.device)
    return DB_PER_NAT * (2 * difference.square().sum(dim=2)).sqrt().mean(dim=1)


def spectral_convergence(estimate: Sounds, target: Sounds) -> PerClip:
    """‖A − Â‖ / ‖A‖ of amplitudes A = √(P + 1e-6): 0 is perfect, 1 as good as silence (Sturmel and Daudet, 2011)."""
    estimate_amplitude, amplitude = ((power(sounds) + POWER_FLOOR).sqrt() for sounds in (estimate, target))
    error, total = (spectra.square().sum(dim=(1, 2)) for spectra in (amplitude - estimate_amplitude, amplitude))
    return (error / total).sqrt()


def si_sdr_db(estimate: Sounds, target: Sounds) -> PerClip:
    """Scale-invariant signal-to-distortion ratio in dB: 10 log₁₀ ‖αs‖² / ‖αs − ŝ‖² (Le Roux et al., 2019).

    α = ⟨ŝ, s⟩ / ‖s‖². Higher is better, from −100 (they share nothing, or one of them is silent) to 100. It compares
    phases too: of a sound whose phase Griffin-Lim found it says nothing.
    """
    # It is ρ² / (1 − ρ²), ρ being the cosine of the angle between them; single precision would end it at 70 dB.
    shared = F.cosine_similarity(estimate.double(), target.double()).square()
    return (DB_PER_NAT * torch.logit(shared, eps=10 ** (-SI_SDR_RANGE_DB / 10))).float()


def phase_error_rad(estimate: Sounds, target: Sounds) -> PerClip:
    """Mean |φ − φ̂| in radians, wrapped to 0..π and weighted by the target's amplitude: 0 is perfect, π/2 chance."""
    estimate_spectrum, target_spectrum = spectrum(estimate), spectrum(target)
    return _mean_angle(target_spectrum * estimate_spectrum.conj(), target_spectrum.abs())


def frequency_error_rad(estimate: Sounds, target: Sounds) -> PerClip:
    """The same of instantaneous frequency, in radians a hop: how far φ turns between frames, wherever it begins.

    0 is perfect, and chance for noises is 1.0: frames overlap, so that a bin's frequency decides a part of it.
    """
    estimate_advance, target_advance = _advance(spectrum(estimate)), _advance(spectrum(target))
    return _mean_angle(target_advance * estimate_advance.conj(), target_advance.abs().sqrt())


def _log_mels(estimate: Sounds, target: Sounds) -> tuple[LogMel, LogMel]:
    """ln power of both in mel bands, floored 80 dB below the target's maximum."""
    filters = mel_filters(MEL_BANDS, target.device)
    estimate_log, target_log = ((power(sounds) @ filters + POWER_FLOOR).log() for sounds in (estimate, target))
    floor = target_log.amax(dim=(1, 2), keepdim=True) - RANGE_NATS
    return torch.maximum(estimate_log, floor), torch.maximum(target_log, floor)


def _cosines(device: torch.device) -> Float[Tensor, "80 13"]:
    band, order = torch.arange(MEL_BANDS) + 0.5, torch.arange(1, CEPSTRA + 1)
    return (2 / MEL_BANDS * torch.cos(math.pi / MEL_BANDS * band[:, None] * order)).to(device)


def _advance(spectra: Spectra) -> Complex[Tensor, "clips steps bins"]:
    return spectra[:, 1:] * spectra[:, :-1].conj()


def _mean_angle(between: Spectra, weights: Float[Tensor, "clips frames bins"]) -> PerClip:
    """Weighted mean of angles without their sign; silence has none, and counts as a right angle."""
    angle = torch.where(between == 0, math.pi / 2, between.angle().abs())
    return (weights * angle).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=torch.finfo(weights.dtype).tiny)
