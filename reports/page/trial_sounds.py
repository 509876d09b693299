"""A short sound of as many trials as fit into the page: one probe clip, as the trial's best epoch reconstructs it."""

from __future__ import annotations

import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.sounds import Sound, match_loudness, read_sound
from reports.page.data_uris import encode_sound
from reports.runs.artifacts import ArtifactError, download, list_files
from reports.runs.frames import READERS, SweepRuns

MAX_BYTES = 1_000_000
"""Maximum size of these sounds in one page; the best trials come first."""
MAX_TRIALS = 60
"""Maximum number of trials whose sounds are read."""
END = f"_{words.RECONSTRUCTION}.wav"


def read_trial_sounds(runs: SweepRuns, max_bytes: int = MAX_BYTES) -> tuple[str, dict[int, str]]:
    """Return the name of the clip that most trials have, and the trials' sounds of it as data URIs.

    Sounds are equally loud and, since there are many, compressed. Trials without this clip are left out.

    Args:
        runs: the sweep.
        max_bytes: size of all sounds together.
    """
    trials = _best_first(runs)
    run_ids = [str(run_id) for run_id in trials["run_id"]]
    with ThreadPoolExecutor(READERS) as pool:
        clips_by_trial = dict(
            zip(trials["trial"], pool.map(lambda run_id: _list_clips(runs, run_id), run_ids), strict=True)
        )
    counts = Counter(clip for clips in clips_by_trial.values() for clip in clips)
    if not counts:
        return "", {}
    clip = min(counts, key=lambda name: (-counts[name], name))
    chosen = [
        (trial, run) for trial, run in zip(trials["trial"], run_ids, strict=True) if clip in clips_by_trial[trial]
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(READERS) as pool:
        sounds = list(pool.map(lambda pair: _read(runs, pair[1], clip, Path(folder) / str(pair[0])), chosen))
    readable = {str(trial): sound for (trial, _), sound in zip(chosen, sounds, strict=True) if sound is not None}
    uris: dict[int, str] = {}
    bytes_left = max_bytes
    for trial, sound in match_loudness(readable)[0].items():
        uri = encode_sound(sound, is_compressed=True)
        bytes_left -= len(uri)
        if bytes_left < 0:
            break
        uris[int(trial)] = uri
    return clip, uris


def _best_first(runs: SweepRuns) -> pd.DataFrame:
    """Return the trials whose sounds are read: each arm's best first, then the others, the better ones first."""
    trials = runs.trials
    if runs.best_column not in trials:
        return trials.iloc[:0]
    ranked = trials.dropna(subset=[runs.best_column]).sort_values(runs.best_column, ascending=runs.mode == "min")
    is_best = ranked["trial"].isin(runs.best_trials()["trial"])
    return pd.concat([ranked[is_best], ranked[~is_best]]).head(MAX_TRIALS)


def _list_clips(runs: SweepRuns, run_id: str) -> set[str]:
    """Return the names of the clips that a run has reconstructions of; none, and a note, if they can't be listed."""
    try:
        paths = list_files(runs.client, run_id)
    except ArtifactError as error:
        runs.notes.append(f"run {run_id}: its sounds can't be listed ({error})")
        return set()
    return {path.removesuffix(END) for path in paths if path.endswith(END)}


def _read(runs: SweepRuns, run_id: str, clip: str, folder: Path) -> Sound | None:
    """Return a run's reconstruction of a clip; None, and a note in the report, if it can't be read."""
    folder.mkdir()
    try:
        return read_sound(download(runs.client, run_id, clip + END, folder))
    except ReportError as error:
        runs.notes.append(f"trial {folder.name}: its sound of {clip} can't be read ({error})")
        return None
