"""Metrics between estimated and target sounds: one value per clip, from waveforms or short-time spectra."""

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
from trainables.components.shapes import PerClip, Waveforms

MEL_BANDS = 80
CEPSTRA = 13
"""The number of cepstral coefficients that are compared, from c₁ on: c₀ is the level."""
SI_SDR_RANGE_DB = 100
"""Values are limited to ±100 dB: 16 bits resolve no more."""

LogMel = Float[Tensor, "clips frames 80"]
Spectra = Complex[Tensor, "clips frames bins"]


def mel_lsd_db(estimate: Waveforms, target: Waveforms) -> PerClip:
    """Compute the log-spectral distance in dB in 80 mel bands, both floored 80 dB below the target's maximum."""
    return lsd_db(*_log_mels(estimate, target))


def mcd_db(estimate: Waveforms, target: Waveforms) -> PerClip:
    """Compute the mel cepstral distortion in dB (Kubichek, 1993); 0 is perfect, 3 to 8 dB are usual for vocoders.

    It is the mean over frames of 10 / ln 10 · √(2 Σ (c_k − ĉ_k)²), k = 1..13. The c_k are a DCT-II, √(2/80) times the
    orthonormal one: ln amplitude in 80 mel bands b, floored as in `mel_lsd_db`, is Σ c_k cos(π k (b + ½) / 80). A
    difference in level alone costs nothing.
    """
    estimate_log, target_log = _log_mels(estimate, target)
    # The transform is linear, and ln amplitude is half of ln power.
    difference = (estimate_log - target_log) / 2 @ _dct_matrix(target.device)
    return DB_PER_NAT * (2 * difference.square().sum(dim=2)).sqrt().mean(dim=1)


def spectral_convergence(estimate: Waveforms, target: Waveforms) -> PerClip:
    """Compute ‖A − Â‖ / ‖A‖ of amplitudes A = √(P + 1e-6) (Sturmel and Daudet, 2011).

    0 is perfect; 1 is as good as silence.
    """
    estimate_amplitude, amplitude = ((power(sounds) + POWER_FLOOR).sqrt() for sounds in (estimate, target))
    error, total = (spectra.square().sum(dim=(1, 2)) for spectra in (amplitude - estimate_amplitude, amplitude))
    return (error / total).sqrt()


def si_sdr_db(estimate: Waveforms, target: Waveforms) -> PerClip:
    """Compute the scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019).

    It is 10 log₁₀ ‖αs‖² / ‖αs − ŝ‖² with α = ⟨ŝ, s⟩ / ‖s‖². Higher is better, from −100 (orthogonal, or one of them
    silent) to 100. It depends on phases: it is meaningless for sounds whose phase is from Griffin-Lim.
    """
    # The ratio is ρ² / (1 − ρ²), with ρ the cosine of the angle between the two; single precision would end at 70 dB.
    shared = F.cosine_similarity(estimate.double(), target.double()).square()
    return (DB_PER_NAT * torch.logit(shared, eps=10 ** (-SI_SDR_RANGE_DB / 10))).float()


def phase_error_rad(estimate: Waveforms, target: Waveforms) -> PerClip:
    """Compute the mean |φ − φ̂| in radians, wrapped to 0..π and weighted by the target's amplitude.

    0 is perfect; chance is π/2.
    """
    estimate_spectrum, target_spectrum = spectrum(estimate), spectrum(target)
    return _mean_angle(target_spectrum * estimate_spectrum.conj(), target_spectrum.abs())


def _log_mels(estimate: Waveforms, target: Waveforms) -> tuple[LogMel, LogMel]:
    """Return ln power of both in mel bands, floored 80 dB below the target's maximum."""
    filters = mel_filters(MEL_BANDS, target.device)
    estimate_log, target_log = ((power(sounds) @ filters + POWER_FLOOR).log() for sounds in (estimate, target))
    floor = target_log.amax(dim=(1, 2), keepdim=True) - RANGE_NATS
    return torch.maximum(estimate_log, floor), torch.maximum(target_log, floor)


def _dct_matrix(device: torch.device) -> Float[Tensor, "80 13"]:
    band, order = torch.arange(MEL_BANDS) + 0.5, torch.arange(1, CEPSTRA + 1)
    return (2 / MEL_BANDS * torch.cos(math.pi / MEL_BANDS * band[:, None] * order)).to(device)


def _mean_angle(between: Spectra, weights: Float[Tensor, "clips frames bins"]) -> PerClip:
    """Return the weighted mean of the absolute angles of products; 0 has no angle and counts as π/2."""
    angle = torch.where(between == 0, math.pi / 2, between.angle().abs())
    return (weights * angle).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=torch.finfo(weights.dtype).tiny)
