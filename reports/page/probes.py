"""The probe clips of a report: what the best trial of each arm made of them as it learned, to hear and to look at.

All sounds of a clip are played equally loud; pictures show the level that they had.
"""

from __future__ import annotations

import base64
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from reports import vocabulary as words
from reports.listening.sounds import Sound, match_loudness, read_sound
from reports.runs.frames import SweepRuns

BEST = "best"
FFT_SAMPLES, BANDS = 1024, 96
RANGE_DB = 80.0
DIFFERENCE_DB = 30.0
"""Differences beyond it have the strongest colour."""
MAX_EPOCHS = 3
"""Beside the best one."""
MAX_BYTES = 8_000_000
"""Of sounds and pictures in one page; further clips are left out, and that is said."""


@dataclass(frozen=True)
class Cell:
    """One sound: `audio`, `picture` and, but for the original, `difference` are data URIs."""

    label: str
    audio: str
    picture: str
    difference: str | None

    @property
    def num_bytes(self) -> int:
        return len(self.audio) + len(self.picture) + len(self.difference or "")


@dataclass(frozen=True)
class Probe:
    """A clip: the original, and for each arm a cell an epoch (by its label, `epoch 5` or `best`)."""

    clip: str
    original: Cell
    arms: dict[str, list[Cell]]


def read_probes(runs: SweepRuns, max_bytes: int = MAX_BYTES) -> tuple[list[Probe], int]:
    """The probe clips that fit into a page, and how many there are."""
    best = runs.best_trials()
    with tempfile.TemporaryDirectory() as folder:
        folders_by_arm = {
            str(row["arm"]): _download(runs, str(row["run_id"]), Path(folder) / f"trial {row['trial']}")
            for row in best.to_dict("records")
        }
        audible_by_arm = {arm: epochs for arm, epochs in folders_by_arm.items() if epochs}
        if audible_by_arm:
            # Where no arm has any, it is a problem without sounds.
            silent = best[[folders_by_arm[str(arm)] == {} for arm in best["arm"]]]
            runs.notes.extend(f"trial {number}: it has no sounds in MLflow" for number in silent["trial"])
        clips = _clips(audible_by_arm)
        probes: list[Probe] = []
        left = max_bytes
        for probe in (_probe(clip, audible_by_arm) for clip in clips):
            left -= probe.original.num_bytes + sum(cell.num_bytes for cells in probe.arms.values() for cell in cells)
            if probes and left < 0:
                break
            probes.append(probe)
    return probes, len(clips)


def _download(runs: SweepRuns, run_id: str, folder: Path) -> dict[str, Path] | None:
    """The folders with a trial's sounds, by epoch, the best one last; None if they can't be read."""
    folder.mkdir()
    try:
        paths = [file.path for file in runs.client.list_artifacts(run_id)]
        for path in [*(path for path in paths if path.endswith(".wav")), words.ARTIFACT_AUDIO]:
            if path in paths:
                runs.client.download_artifacts(run_id, path, str(folder))
    except Exception as error:
        runs.notes.append(f"{folder.name}: its sounds can't be read ({error})")
        return None
    history = _spread(sorted((folder / words.ARTIFACT_AUDIO).glob("epoch_*")))
    folder_by_epoch = {
        f"epoch {int(epoch_folder.name.removeprefix('epoch_'))}": epoch_folder for epoch_folder in history
    }
    if any(folder.glob(f"*_{words.RECONSTRUCTION}.wav")):
        folder_by_epoch[BEST] = folder
    return folder_by_epoch


def _spread(epochs: list[Path]) -> list[Path]:
    """The first and the last of them and one in between: with all of them few clips would fit into a page."""
    places = np.linspace(0, len(epochs) - 1, min(len(epochs), MAX_EPOCHS)).round().astype(int)
    return [epochs[place] for place in places]


def _clips(folders_by_arm: dict[str, dict[str, Path]]) -> list[str]:
    """The clips that every arm can be heard with."""
    end = f"_{words.RECONSTRUCTION}.wav"
    clip_sets = [
        {path.name.removesuffix(end) for path in epochs[list(epochs)[-1]].glob(f"*{end}")}
        for epochs in folders_by_arm.values()
    ]
    return sorted(set.intersection(*clip_sets)) if clip_sets else []


def _probe(clip: str, folders_by_arm: dict[str, dict[str, Path]]) -> Probe:
    sounds: dict[tuple[str, str], Sound] = {}
    for arm, epochs in folders_by_arm.items():
        for label, folder in epochs.items():
            original, reconstruction = (
                folder / f"{clip}_{kind}.wav" for kind in (words.ORIGINAL, words.RECONSTRUCTION)
            )
            if reconstruction.exists():
                sounds[arm, label] = read_sound(reconstruction)
            if original.exists():
                sounds.setdefault(("", words.ORIGINAL), read_sound(original))
    names = {"\0".join(key): sound for key, sound in sounds.items()}
    matched = match_loudness(names)[0]
    reference = sounds.get(("", words.ORIGINAL))
    spectrum = None if reference is None else _log_mel_db(reference)
    cells: dict[str, list[Cell]] = {}
    for (arm, label), sound in sounds.items():
        shown = _log_mel_db(sound)
        difference = None if not arm or spectrum is None else _difference(shown, spectrum)
        cell = Cell(label, _flac(matched["\0".join((arm, label))]), _picture(shown), difference)
        cells.setdefault(arm, []).append(cell)
    silent = Cell("original is missing", "", "", None)
    return Probe(clip, cells.pop("", [silent])[0], cells)


def _log_mel_db(sound: Sound) -> NDArray[np.float64]:
    """Log-mel power in dB below full scale; shape (bands, frames)."""
    samples = sound.samples if sound.samples.ndim == 1 else sound.samples.mean(axis=1)
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float32), sr=sound.rate_hz, n_fft=FFT_SAMPLES, hop_length=FFT_SAMPLES // 4, n_mels=BANDS
    )
    decibels: NDArray[np.float64] = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=RANGE_DB)
    return decibels


def _picture(decibels: NDArray[np.float64]) -> str:
    top = decibels.max()
    return _drawn(colormaps["magma"](np.clip((decibels - top + RANGE_DB) / RANGE_DB, 0, 1)))


def _difference(reconstruction: NDArray[np.float64], original: NDArray[np.float64]) -> str:
    frames = min(reconstruction.shape[1], original.shape[1])
    difference = reconstruction[:, :frames] - original[:, :frames]
    return _drawn(colormaps["RdBu_r"](np.clip(difference / DIFFERENCE_DB / 2 + 0.5, 0, 1)))


def _drawn(colors: NDArray[np.float64]) -> str:
    file = io.BytesIO()
    Image.fromarray((colors[::-1, :, :3] * 255).round().astype(np.uint8)).save(file, "WEBP", quality=90)
    return _uri("image/webp", file.getvalue())


def _flac(sound: Sound) -> str:
    file = io.BytesIO()
    soundfile.write(file, sound.samples, sound.rate_hz, format="FLAC", subtype="PCM_16")
    return _uri("audio/flac", file.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
