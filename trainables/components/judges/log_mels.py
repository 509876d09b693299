"""The log-mels of every clip, which classifiers and condition networks read; computed once a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float16

from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.networks import log_mel
from trainables.components.judges.weights import MEL_BANDS, PAIRED_FRAMES
from trainables.components.training.train_once import preparation_device
from trainables.corpora.features import clip_power
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64

Mels = Float16[np.ndarray, "clips frames 64"]


def open_mels(corpus: Corpus, progress: Progress = silent) -> Mels:
    """Return the log-mel (`judges.networks.log_mel`) of every clip as a memory map; the first call computes it."""

    frames = corpus.clip_format.frames // PAIRED_FRAMES

    def make(path: Path) -> None:
        device, total = preparation_device(), len(corpus.clips)
        mels = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(total, frames, MEL_BANDS))
        for start in range(0, total, BATCH_CLIPS):
            progress("computing log-mels", start, total)
            clips = np.arange(start, min(start + BATCH_CLIPS, total))
            mels[clips] = log_mel(log_power(clip_power(corpus.waveforms(), clips).to(device))).cpu().numpy()
        mels.flush()
        progress("computing log-mels", total, total)

    mels: Mels = np.load(write_once(corpus.folder / f"log-mel-{frames}x{MEL_BANDS}.npy", make), mmap_mode="r")
    return mels
