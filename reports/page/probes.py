"""The sounds of a report: probe clips and how each arm's best trial reconstructs them over its epochs.

All sounds of a clip are made equally loud. Their spectrograms show the original levels.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from reports import vocabulary as words
from reports.listening.sounds import Sound, match_loudness, read_sound
from reports.page.data_uris import encode, encode_sound
from reports.runs.artifacts import ArtifactError, download, list_files
from reports.runs.frames import SweepRuns

BEST = "best"
ORIGINAL_KEY = ("", words.ORIGINAL)
FFT_SAMPLES, BANDS = 1024, 96
RANGE_DB = 80.0
DIFFERENCE_DB = 30.0
"""Range of the colours of differences: ±30 dB."""
MAX_EPOCHS = 3
"""Number of epochs to play for each arm, in addition to the best one."""


@dataclass(frozen=True)
class Cell:
    """One sound with its pictures.

    Attributes:
        label: `original`, `epoch 5` or `best`.
        audio: the sound as data URI.
        picture: its log-mel spectrogram as data URI.
        difference: the difference of its spectrogram to the original's as data URI; None for the original.
    """

    label: str
    audio: str
    picture: str
    difference: str | None

    @property
    def num_bytes(self) -> int:
        """The size of the cell in the page."""
        return len(self.audio) + len(self.picture) + len(self.difference or "")


@dataclass(frozen=True)
class Probe:
    """A probe clip: the original, and for each arm the reconstructions at some epochs."""

    clip: str
    original: Cell
    arms: dict[str, list[Cell]]

    @property
    def num_bytes(self) -> int:
        """The size of the clip in the page."""
        return sum(cell.num_bytes for cell in (self.original, *itertools.chain(*self.arms.values())))


def read_probes(runs: SweepRuns, max_bytes: int) -> tuple[list[Probe], int]:
    """Return the probe clips that fit into a page, and the number of all probe clips.

    Args:
        runs: the sweep; trials without sounds are added to its notes.
        max_bytes: size of all clips together. At least one clip is returned; if it is larger, it has only the best
            epoch of each arm.
    """
    best = runs.best_trials()
    with tempfile.TemporaryDirectory() as folder:
        folders_by_arm = {
            str(row["arm"]): _download(runs, str(row["run_id"]), Path(folder) / f"trial {row['trial']}")
            for row in best.to_dict("records")
        }
        audible_by_arm = {arm: epochs for arm, epochs in folders_by_arm.items() if epochs}
        if audible_by_arm:
            # If no arm has sounds, the trainable renders none, and nothing is missing.
            without_sounds = best[[folders_by_arm[str(arm)] == {} for arm in best["arm"]]]
            runs.notes.extend(f"trial {number}: it has no sounds in MLflow" for number in without_sounds["trial"])
        clips = _clips(audible_by_arm)
        probes: list[Probe] = []
        bytes_left = max_bytes
        for clip in clips:
            probe = _make_probe(clip, audible_by_arm)
            if not probes and probe.num_bytes > bytes_left:
                probe = replace(probe, arms={arm: cells[-1:] for arm, cells in probe.arms.items()})
            bytes_left -= probe.num_bytes
            if probes and bytes_left < 0:
                break
            probes.append(probe)
    return probes, len(clips)


def _download(runs: SweepRuns, run_id: str, folder: Path) -> dict[str, Path] | None:
    """Download a trial's sounds.

    Returns:
        The folders of some of its epochs by label, the best epoch last; empty if there are no sounds, None if they
        can't be read.
    """
    folder.mkdir()
    try:
        paths = list_files(runs.client, run_id)
        for path in [*(path for path in paths if path.endswith(".wav")), words.ARTIFACT_AUDIO]:
            if path in paths:
                download(runs.client, run_id, path, folder)
    except ArtifactError as error:
        runs.notes.append(f"{folder.name}: its sounds can't be read ({error})")
        return None
    history = _pick_evenly(sorted((folder / words.ARTIFACT_AUDIO).glob("epoch_*")))
    folder_by_epoch = {f"epoch {int(path.name.removeprefix('epoch_'))}": path for path in history}
    if any(folder.glob(f"*_{words.RECONSTRUCTION}.wav")):
        folder_by_epoch[BEST] = folder
    return folder_by_epoch


def _pick_evenly(epochs: list[Path]) -> list[Path]:
    """Return `MAX_EPOCHS` of the epochs at equal distances, from the first to the last."""
    indices = np.linspace(0, len(epochs) - 1, min(len(epochs), MAX_EPOCHS)).round().astype(int)
    return [epochs[index] for index in indices]


def _clips(folders_by_arm: dict[str, dict[str, Path]]) -> list[str]:
    """Return the names of the clips that all arms have at their last epoch."""
    end = f"_{words.RECONSTRUCTION}.wav"
    clip_sets = [
        {path.name.removesuffix(end) for path in epochs[list(epochs)[-1]].glob(f"*{end}")}
        for epochs in folders_by_arm.values()
    ]
    return sorted(set.intersection(*clip_sets)) if clip_sets else []


def _make_probe(clip: str, folders_by_arm: dict[str, dict[str, Path]]) -> Probe:
    """Return a probe clip from its sound files.

    Args:
        clip: name of the clip.
        folders_by_arm: folder with the arm's sounds, by arm and label of the epoch.
    """
    sounds = _read_sounds(clip, folders_by_arm)
    matched = match_loudness({"\0".join(key): sound for key, sound in sounds.items()})[0]
    original = sounds.get(ORIGINAL_KEY)
    original_db = None if original is None else log_mel_db(original)
    cells: dict[str, list[Cell]] = {}
    for (arm, label), sound in sounds.items():
        sound_db = log_mel_db(sound)
        difference = None if not arm or original_db is None else _encode_difference(sound_db, original_db)
        audio = encode_sound(matched["\0".join((arm, label))], is_compressed=False)
        cells.setdefault(arm, []).append(Cell(label, audio, encode_spectrogram(sound_db), difference))
    missing = Cell("original is missing", "", "", None)
    return Probe(clip, cells.pop("", [missing])[0], cells)


def _read_sounds(clip: str, folders_by_arm: dict[str, dict[str, Path]]) -> dict[tuple[str, str], Sound]:
    """Read a clip's reconstructions by arm and label; the original has the key `ORIGINAL_KEY`."""
    sounds: dict[tuple[str, str], Sound] = {}
    for arm, folder_by_label in folders_by_arm.items():
        for label, folder in folder_by_label.items():
            reconstruction = folder / f"{clip}_{words.RECONSTRUCTION}.wav"
            original = folder / f"{clip}_{words.ORIGINAL}.wav"
            if reconstruction.exists():
                sounds[arm, label] = read_sound(reconstruction)
            if original.exists():
                sounds.setdefault(ORIGINAL_KEY, read_sound(original))
    return sounds


def log_mel_db(sound: Sound) -> NDArray[np.float64]:
    """Return the log-mel power spectrogram in dB, the loudest 80 dB of it; shape (bands, frames)."""
    samples = sound.samples if sound.samples.ndim == 1 else sound.samples.mean(axis=1)
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float32), sr=sound.rate_hz, n_fft=FFT_SAMPLES, hop_length=FFT_SAMPLES // 4, n_mels=BANDS
    )
    decibels: NDArray[np.float64] = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=RANGE_DB)
    return decibels


def encode_spectrogram(decibels: NDArray[np.float64]) -> str:
    """Return a spectrogram as the data URI of a picture; shape of the spectrogram (bands, frames)."""
    top = decibels.max()
    return _encode_picture(colormaps["magma"](np.clip((decibels - top + RANGE_DB) / RANGE_DB, 0, 1)))


def _encode_difference(reconstruction_db: NDArray[np.float64], original_db: NDArray[np.float64]) -> str:
    """Return the difference of two spectrograms as the data URI of a picture; red is too loud, blue too quiet."""
    frames = min(reconstruction_db.shape[1], original_db.shape[1])
    difference_db = reconstruction_db[:, :frames] - original_db[:, :frames]
    return _encode_picture(colormaps["RdBu_r"](np.clip(difference_db / DIFFERENCE_DB / 2 + 0.5, 0, 1)))


def _encode_picture(colors: NDArray[np.float64]) -> str:
    """Return RGBA values from 0 to 1, shape (bands, frames, 4), as a data URI; the lowest band is at the bottom."""
    file = io.BytesIO()
    Image.fromarray((colors[::-1, :, :3] * 255).round().astype(np.uint8)).save(file, "WEBP", quality=90)
    return encode("image/webp", file.getvalue())
