"""What a representation costs before any model: sounds made again from magnitudes alone, with several phases.

    python tests/benchmarks/round_trips.py [--corpus demo | DIR] [--clips 30] [--home DIR]

For each way, the medians over clips of held-out recordings of the log-spectral distance (192x512, dB), the spectral
convergence and the mel-LSD (80 bands, dB).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import lsd_db
from trainables.components.audio.sound_metrics import mel_lsd_db, spectral_convergence
from trainables.components.audio.spectrogram import griffin_lim
from trainables.components.representation.registries import PHASES
from trainables.components.representation.scene import Scene, TrainingClips
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.opening import open_corpus

LINEAR = ("original", "griffin_lim", "pghi", "pghi_griffin_lim", "vocoder", "nearest", "nearest_own_class", "zero")
POOLED = ("original", "griffin_lim", "vocoder", "nearest_own_class", "nearest_griffin_lim")


def rows(corpus: Corpus, clips: np.ndarray) -> pd.DataFrame:
    """A row a way."""
    originals, training_clips = read_waveforms(corpus.waveforms(), clips), TrainingClips(corpus)
    found: list[dict[str, object]] = []

    def add(magnitudes: str, phase: str, sounds: torch.Tensor) -> None:
        spectra = (spectrogram.log_power(spectrogram.power(each)) for each in (sounds, originals))
        values = (lsd_db(*spectra), spectral_convergence(sounds, originals), mel_lsd_db(sounds, originals))
        medians = dict(zip(("LSD", "SC", "mel-LSD"), (each.median().item() for each in values), strict=True))
        found.append({"magnitudes": magnitudes, "phase": phase, **medians})

    def sound_all(name: str, grid: Grid, phases: tuple[str, ...]) -> None:
        log_power = grid.to_full(grid.log_power(originals))
        for phase in phases:
            add(name, phase, PHASES[phase].sound(Scene(log_power, clips, training_clips)))

    sound_all("linear 192x512", Grid("192x512"), LINEAR)
    full = spectrogram.power(originals).sqrt()
    add("linear 192x512", "griffin_lim, 100 iterations", griffin_lim(full, iterations=100))
    noise = 2 * torch.pi * torch.rand(full.shape, generator=torch.Generator().manual_seed(0))
    add("linear 192x512", "random", spectrogram.synthesize(full, noise))
    sound_all("mel 192x512", Grid("192x512", "mel"), ("griffin_lim",))
    sound_all("linear 48x128, pooled", Grid("48x128"), POOLED)
    sound_all("mel 48x128, pooled", Grid("48x128", "mel"), ("griffin_lim",))
    sound_all("linear 48x128, decimated", Grid("48x128", "linear", "decimate"), ("original", "griffin_lim"))
    reported: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "192x512": lambda values: values,
        "48x128, decimated": lambda values: Grid("48x128").repeat(values[:, ::4, ::4]),
    }
    mel, frequency = audiovision.log_mel_power(originals), audiovision.mel_frequency(originals)
    for name, reduced in reported.items():
        add(f"audiovision {name}", "own", audiovision.to_waveform(reduced(mel), reduced(frequency)))
    add(
        "audiovision 48x128, decimated",
        "own at 192x512",
        audiovision.to_waveform(reported["48x128, decimated"](mel), frequency),
    )
    return pd.DataFrame(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default="demo", help="demo, or a folder with one sub-folder per class")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    settings = {"name": "demo"} if arguments.corpus == "demo" else {"name": "folder", "root": arguments.corpus}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = open_corpus(settings, arguments.home or Path(scratch))
        with torch.inference_mode():
            table = rows(corpus, corpus.probes(arguments.clips))
    print(table.round({"LSD": 2, "SC": 2, "mel-LSD": 2}).to_string(index=False))


if __name__ == "__main__":
    main()
