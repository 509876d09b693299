"""A listening test on disk: made from a sweep's sounds, and loaded again if the same test is wanted later."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from reports.atomic_file import write_whole
from reports.errors import ReportError
from reports.listening.design import (
    ABX,
    ANCHOR,
    MAX_MUSHRA_SYSTEMS,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFER,
    REFERENCE,
    ComparedMetric,
    Design,
    Method,
    RatedSystem,
    Step,
    choose_clips,
    make_items,
    plan,
)
from reports.listening.mlflow import fetch_sounds, report_mlflow_errors
from reports.listening.sounds import (
    ANCHOR_HZ,
    MID_ANCHOR_HZ,
    TOO_QUIET_LUFS,
    Sound,
    content_hash,
    make_anchor,
    match_loudness,
    read_sound,
)
from reports.listening.sources import Sources, System

if TYPE_CHECKING:
    from mlflow import MlflowClient

DESIGN = "test.json"
SECRET = "secret"
SOUNDS = "sounds"
HASHED_CHARACTERS = 10

Say = Callable[[str], None]
ANCHORS = {ANCHOR: ANCHOR_HZ, MID_ANCHOR: MID_ANCHOR_HZ}
"""Cutoff of each anchor in Hz, by its key."""
Files = dict[str, dict[str, Path]]
"""Sound files by clip and by key of the system; the original has the key `REFERENCE`."""


@dataclass(frozen=True)
class ListeningTest:
    """A prepared test.

    Attributes:
        design: the test.
        secret: random bytes from which ids, orders and tokens are made.
        folder: the folder of this test.
    """

    design: Design
    secret: bytes
    folder: Path

    def plan(self, session: str) -> list[Step]:
        """Return all steps of a session in their order."""
        return plan(self.design, self.secret, session)

    def sound(self, clip: str, system: str) -> Path:
        """Return the path of a clip's sound by the system with this key."""
        return self.folder / SOUNDS / f"{self.design.sounds[clip][system]}.wav"


def prepare(
    client: MlflowClient, sources: Sources, folder: Path, method: Method, *, against_original: bool, say: Say
) -> ListeningTest:
    """Return the test of these systems, which is made if there is none yet.

    Args:
        client: client of the MLflow that has the sounds.
        sources: the systems and clips.
        folder: the folder with all tests of the sweep.
        method: the method.
        against_original: whether an ABX test compares each system with the original instead of with each other.
        say: function that prints a line.

    Raises:
        ReportError: there is too little to compare, or a sound can't be read.
    """
    systems = {f"s{number}": system for number, system in enumerate(sources.systems)}
    groups = _groups(method, list(systems), against_original, sources)
    key_by_run = {system.run_id: key for key, system in systems.items()}
    metrics = {
        name: ComparedMetric(
            mode=metric.mode, values={key_by_run[run_id]: value for run_id, value in metric.values.items()}
        )
        for name, metric in sources.metrics.items()
    }
    clips = choose_clips(method, sources.clips, len(groups))
    say(f"Fetching {len(clips)} clips of {len(systems)} systems from MLflow …")
    rated = {
        key: RatedSystem(name=system.name, run_id=system.run_id, trial=system.trial) for key, system in systems.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        files, notes = _fetch(client, sources, systems, clips, Path(scratch))
        setup = (method, against_original, sources.sweep_identity, [system.identity for system in systems.values()])
        test_id = f"{method}-{_fingerprint(setup, files)}"
        if not (folder / test_id / DESIGN).exists():
            secret = secrets.token_bytes(32)
            design = Design(
                id=test_id,
                method=method,
                sweep=sources.sweep,
                run_id=sources.sweep_run_id,
                systems=rated | _reference_systems(method, against_original),
                clips=tuple(files),
                items=tuple(make_items(method, secret, list(files), groups)),
                sounds={},
                notes=tuple(notes),
                metrics=metrics,
            )
            _write_test(folder, design, secret, files)
    return _update_runs(load_test(folder / test_id), rated, metrics, sources.sweep_run_id)


def load_test(folder: Path) -> ListeningTest:
    """Load a test from its folder.

    Raises:
        ReportError: its files are missing or broken.
    """
    try:
        design = Design.model_validate_json((folder / DESIGN).read_text())
        return ListeningTest(design, bytes.fromhex((folder / SECRET).read_text()), folder)
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ReportError(
            f"{folder}: this listening test can't be read ({reason}); restore it from a backup, or move it away"
        ) from None


def tests_of(folder: Path) -> list[str]:
    """Return the ids of all tests in the folder of a sweep."""
    return sorted(path.parent.name for path in folder.glob(f"*/{DESIGN}"))


def _groups(method: Method, keys: list[str], against_original: bool, sources: Sources) -> list[tuple[str, ...]]:
    """Return the keys of the systems in each kind of item: each system, or each pair that is compared."""
    if method == MOS:
        return [(key,) for key in (*keys, REFERENCE, ANCHOR)]
    if method == MUSHRA:
        if len(keys) > MAX_MUSHRA_SYSTEMS:
            raise ReportError(
                f"--method mushra plays all systems of a clip on one page, at most {MAX_MUSHRA_SYSTEMS}, and these are "
                f"{len(keys)}; give --top {MAX_MUSHRA_SYSTEMS} or fewer --trials, or use --method prefer"
            )
        _require_two(method, keys, sources, "rate it alone with --method mos")
        return [(*keys, REFERENCE, MID_ANCHOR, ANCHOR)]
    if method == PREFER:
        _require_two(method, keys, sources, "rate it alone with --method mos")
        return [*itertools.combinations(keys, 2), (REFERENCE, ANCHOR)]
    if against_original:
        return [(key, REFERENCE) for key in keys]
    _require_two(method, keys, sources, "compare with the original: --against-original")
    return list(itertools.combinations(keys, 2))


def _require_two(method: Method, keys: Sequence[str], sources: Sources, instead: str) -> None:
    if len(keys) < 2:
        raise ReportError(
            f"--method {method} compares systems, and {sources.sweep} has only one here: {sources.systems[0].name}; "
            f"give two with --trials, or {instead}"
        )


def _fetch(
    client: MlflowClient, sources: Sources, systems: Mapping[str, System], clips: Sequence[str], scratch: Path
) -> tuple[Files, list[str]]:
    """Download the clips with the same original for all systems; return their files and the test's notes."""
    files: Files = {}
    notes = list(sources.notes)
    if len(clips) < len(sources.clips):
        notes.append(f"{len(clips)} of {len(sources.clips)} clips, to keep the test short")
    for clip in clips:
        with report_mlflow_errors(client):
            sounds_by_system = {
                key: fetch_sounds(client, system.run_id, clip, scratch) for key, system in systems.items()
            }
        originals = [original for original, _ in sounds_by_system.values()]
        if len({original.read_bytes() for original in originals}) > 1:
            notes.append(f"{clip}: the systems have different originals; left out")
        else:
            reconstructions = {key: reconstruction for key, (_, reconstruction) in sounds_by_system.items()}
            files[clip] = reconstructions | {REFERENCE: originals[0]}
    if not files:
        raise ReportError(f"sweep {sources.sweep}: these systems share no original; choose others with --trials")
    return files, notes


def _reference_systems(method: Method, against_original: bool) -> dict[str, RatedSystem]:
    if method == ABX:
        return {REFERENCE: RatedSystem(name="original")} if against_original else {}
    references = {REFERENCE: RatedSystem(name="original (hidden)")}
    if method == MUSHRA:
        references[MID_ANCHOR] = RatedSystem(name="anchor (original below 7 kHz)")
    return references | {ANCHOR: RatedSystem(name="anchor (original below 3.5 kHz)")}


def _fingerprint(setup: Sequence[object], files: Files) -> str:
    """Return a hash of the options and of the sound files as they are in MLflow.

    It is not of the sounds at equal loudness: their rounding may change with another version of scipy.
    """
    hashes = [
        [clip, key, content_hash(path.read_bytes())]
        for clip, path_by_key in files.items()
        for key, path in path_by_key.items()
    ]
    return hashlib.sha256(json.dumps([setup, hashes]).encode()).hexdigest()[:HASHED_CHARACTERS]


def _write_test(folder: Path, design: Design, secret: bytes, files: Files) -> None:
    """Write the test's folder atomically, by renaming it when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
        target = Path(scratch) / design.id
        (target / SOUNDS).mkdir(parents=True)
        sounds: dict[str, dict[str, str]] = {}
        notes = list(design.notes)
        for clip, path_by_key in files.items():
            sound_by_key = {key: read_sound(path) for key, path in path_by_key.items()}
            for key, cutoff_hz in ANCHORS.items():
                if key in design.systems:
                    sound_by_key[key] = make_anchor(sound_by_key[REFERENCE], cutoff_hz)
            rated = {key: sound for key, sound in sound_by_key.items() if key in design.systems}
            sounds[clip], unchanged = _write_sounds(target / SOUNDS, rated)
            notes += [
                f"{clip} of {design.systems[key].name}: {_describe_loudness(lufs)}, played as it is"
                for key, lufs in unchanged.items()
            ]
        complete = design.model_copy(update={"sounds": sounds, "notes": tuple(notes)})
        (target / DESIGN).write_text(complete.model_dump_json(indent=1))
        # Readable for its owner only: with the secret, listeners could see which system is which.
        with open(os.open(target / SECRET, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secret.hex())
        target.rename(folder / design.id)


def _write_sounds(target: Path, sounds: Mapping[str, Sound]) -> tuple[dict[str, str], dict[str, float]]:
    """Write a clip's sounds at equal loudness; return their file names and the loudness of those left unchanged."""
    matched, unchanged = match_loudness(sounds)
    names = {}
    for key, sound in matched.items():
        data = sound.to_wav()
        names[key] = content_hash(data)
        (target / f"{names[key]}.wav").write_bytes(data)
    return names, unchanged


def _describe_loudness(lufs: float) -> str:
    if lufs < -1000:
        return "silent, or too short to have a loudness"
    return f"{lufs:.0f} LUFS is below {TOO_QUIET_LUFS:.0f}"


def _update_runs(
    test: ListeningTest, rated: Mapping[str, RatedSystem], metrics: Mapping[str, ComparedMetric], run_id: str
) -> ListeningTest:
    """Return the test with the current runs of its systems, which change if a deleted run is made again."""
    systems = test.design.systems | dict(rated)
    design = test.design.model_copy(update={"systems": systems, "metrics": dict(metrics), "run_id": run_id})
    if design != test.design:
        write_whole(test.folder / DESIGN, design.model_dump_json(indent=1))
    return ListeningTest(design, test.secret, test.folder)
