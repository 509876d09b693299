"""The learned vocoder of a corpus: trained once on its train clips, like a judge, then loaded from the cache.

It learns to turn magnitudes of every grid into the clips that they were computed from. The loss compares spectrograms
of several resolutions, and not samples: a phase need not be the clip's own to sound like it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio.grid import Grid
from trainables.components.audio.sizes import SIZES
from trainables.components.audio.spectrogram import POWER_FLOOR, RANGE_NATS, dither, mel_filters, power
from trainables.components.representation.vocoder_network import VocoderNetwork
from trainables.components.shapes import FullSpectrograms, Waveforms
from trainables.components.training.loop import descend
from trainables.components.training.train_once import isolate_training, load_or_train, preparation_device
from trainables.corpora.features import read_waveforms
from trainables.corpora.splits import digest
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSION = 1
"""Raise it with any change that changes a vocoder's sounds: it is part of the name of its file."""
SEED = 5
GRIDS = tuple(Grid(size, representation) for size in SIZES for representation in ("linear", "mel"))
"""The grids whose magnitudes it learns to render; one is drawn for every step."""
BATCH_CLIPS = 4
EPOCHS = 4
STEPS = (20, 3000)
"""The smallest and the largest number of training steps."""
PEAK_LR = 1e-3
MAX_GRAD_NORM = 1.0
MEL_BANDS = 80
RESOLUTIONS = (512, 2048)
"""Samples of the Fourier transforms that are compared beside the mel bands; they overlap by half."""
SPECTRAL_WEIGHT = 0.25

Power = Float[Tensor, "clips frames bands"]


class Vocoder:
    """Renders magnitudes with a trained network.

    Args:
        network: a trained network.
    """

    def __init__(self, network: VocoderNetwork) -> None:
        self._network = network.eval()

    @torch.inference_mode()
    def render(self, log_power: FullSpectrograms) -> Waveforms:
        """Return the sounds of magnitudes, given as log-power in nats on the full grid."""
        network = self._network.to(log_power.device)
        return torch.cat([network(part) for part in log_power.split(BATCH_CLIPS)])


def open_vocoder(corpus: Corpus, progress: Progress = silent) -> Vocoder:
    """Open a corpus's vocoder; the first time, it is trained and cached.

    Args:
        corpus: the corpus whose train clips the vocoder learns from.
        progress: is called during training.
    """
    name = digest(f"{corpus.fingerprint} {SEED} {VERSION}")[:12]
    # The initial weights are replaced; drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        network = VocoderNetwork()
    load_or_train(network, corpus.folder / f"vocoder-{name}.pt", lambda: _train(corpus, progress))
    return Vocoder(network)


def _train(corpus: Corpus, progress: Progress) -> VocoderNetwork:
    device, clips, waveforms = preparation_device(), corpus.indices("train"), corpus.waveforms()
    num_steps = int(np.clip(EPOCHS * len(clips) // BATCH_CLIPS, *STEPS))
    generator = torch.Generator().manual_seed(SEED)
    with isolate_training(SEED, device):
        network = VocoderNetwork().to(device)
        optimizer = torch.optim.AdamW(network.parameters(), PEAK_LR, weight_decay=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=num_steps)
        for step in range(1, num_steps + 1):
            drawn = torch.randint(len(clips), (BATCH_CLIPS,), generator=generator)
            grid = GRIDS[int(torch.randint(len(GRIDS), (), generator=generator))]
            shift = int(torch.randint(waveforms.shape[1], (), generator=generator))
            target = dither(read_waveforms(waveforms, clips[drawn.numpy()]).roll(shift, dims=1), drawn).to(device)
            loss = spectral_loss(network(grid.to_full(grid.log_power(target))), target)
            descend(optimizer, network, loss, MAX_GRAD_NORM)
            schedule.step()
            progress("training the vocoder", step, num_steps)
    return network.eval()


def spectral_loss(estimate: Waveforms, target: Waveforms) -> Float[Tensor, ""]:
    """Compute the mean absolute differences of log-power in mel bands and, weighted less, in bins of other resolutions.

    Multi-resolution spectral losses are those of Yamamoto, Song and Kim (2020), here on log-power alone. All values are
    floored 80 dB below the target's maximum: what nobody hears costs nothing.
    """
    filters = mel_filters(MEL_BANDS, target.device)
    loss = _distance(power(estimate) @ filters, power(target) @ filters)
    for samples in RESOLUTIONS:
        loss = loss + SPECTRAL_WEIGHT * _distance(_power(estimate, samples), _power(target, samples))
    return loss


def _distance(estimate: Power, target: Power) -> Float[Tensor, ""]:
    """Return the mean absolute difference of the logarithms of two powers, in nats."""
    estimate_log, target_log = ((values + POWER_FLOOR).log() for values in (estimate, target))
    floor = target_log.amax(dim=(1, 2), keepdim=True) - RANGE_NATS
    return (torch.maximum(estimate_log, floor) - torch.maximum(target_log, floor)).abs().mean()


def _power(waveforms: Waveforms, samples: int) -> Power:
    window = torch.hann_window(samples, device=waveforms.device)
    spectra = torch.stft(waveforms, samples, samples // 2, window=window, return_complex=True)
    return spectra.real.square() + spectra.imag.square()
