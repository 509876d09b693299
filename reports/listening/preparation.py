"""A listening test on disk: made once from a sweep's sounds, found again whenever the same is asked."""

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

from reports.errors import ReportError
from reports.listening.design import (
    ABX,
    ANCHOR,
    MOS,
    REFERENCE,
    Design,
    Judged,
    Method,
    Step,
    choose_clips,
    make_items,
    plan,
)
from reports.listening.mlflow import fetch_sounds, telling
from reports.listening.sounds import TOO_QUIET_LUFS, Sound, content_hash, make_anchor, match_loudness, read_sound
from reports.listening.sources import Sources, System

if TYPE_CHECKING:
    from mlflow import MlflowClient

DESIGN = "test.json"
SECRET = "secret"
SOUNDS = "sounds"
HASHED_CHARACTERS = 10

Say = Callable[[str], None]
Files = dict[str, dict[str, Path]]
"""Of each clip the original, as `REFERENCE`, and what each system makes of it."""


@dataclass(frozen=True)
class ListeningTest:
    """A prepared test.

    Attributes:
        folder: of this test alone.
        secret: what its tokens are made with.
    """

    design: Design
    secret: bytes
    folder: Path

    def plan(self, session: str) -> list[Step]:
        return plan(self.design, self.secret, session)

    def sound(self, clip: str, system: str) -> Path:
        return self.folder / SOUNDS / f"{self.design.sounds[clip][system]}.wav"


def prepare(
    client: MlflowClient, sources: Sources, folder: Path, method: Method, *, against_original: bool, say: Say
) -> ListeningTest:
    """The test of these systems: the one that is there already, else a new one.

    Args:
        client: of the MLflow that has the sounds.
        sources: what is to be heard.
        folder: of all tests of the sweep.
        method: mos or abx.
        against_original: in an ABX test, tell systems from the original instead of from each other.
        say: gets a line that explains a wait.

    Raises:
        ReportError: there is too little to compare, or a sound can't be read.
    """
    systems = {f"s{number}": system for number, system in enumerate(sources.systems)}
    groups = _groups(method, list(systems), against_original, sources)
    clips = choose_clips(method, sources.clips, len(groups))
    say(f"Fetching {len(clips)} clips of {len(systems)} systems from MLflow …")
    judged = {key: Judged(name=system.name, run_id=system.run_id) for key, system in systems.items()}
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
                systems=judged | _own_systems(method, against_original),
                clips=tuple(files),
                items=tuple(make_items(method, secret, list(files), groups)),
                sounds={},
                notes=tuple(notes),
            )
            _write_test(folder, design, secret, files)
    return _refreshed(load_test(folder / test_id), judged, sources.sweep_run_id)


def load_test(folder: Path) -> ListeningTest:
    """A test that was prepared before.

    Raises:
        ReportError: its files are broken.
    """
    try:
        design = Design.model_validate_json((folder / DESIGN).read_text())
        return ListeningTest(design, bytes.fromhex((folder / SECRET).read_text()), folder)
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ReportError(
            f"{folder}: this listening test can't be read ({reason}); put it back from a backup, or move it away"
        ) from None


def tests_of(folder: Path) -> list[str]:
    """The tests that a sweep has."""
    return sorted(path.parent.name for path in folder.glob(f"*/{DESIGN}"))


def _groups(method: Method, keys: list[str], against_original: bool, sources: Sources) -> list[tuple[str, ...]]:
    """What an item asks about: one system, or a pair."""
    if method == MOS:
        return [(key,) for key in (*keys, REFERENCE, ANCHOR)]
    if against_original:
        return [(key, REFERENCE) for key in keys]
    if len(keys) < 2:
        raise ReportError(
            f"--method abx tells systems apart, and {sources.sweep} has one here: {sources.systems[0].name}; name two "
            "with --trials, or compare with the original: --against-original"
        )
    return list(itertools.combinations(keys, 2))


def _fetch(
    client: MlflowClient, sources: Sources, systems: Mapping[str, System], clips: Sequence[str], scratch: Path
) -> tuple[Files, list[str]]:
    """Those of the clips that were the same for all systems, and what a reader has to know."""
    files: Files = {}
    notes = list(sources.notes)
    if len(clips) < len(sources.clips):
        notes.append(f"{len(clips)} of {len(sources.clips)} clips, so that no listener gets tired")
    for clip in clips:
        with telling(client):
            sounds_by_system = {
                key: fetch_sounds(client, system.run_id, clip, scratch) for key, system in systems.items()
            }
        originals = [original for original, _ in sounds_by_system.values()]
        if len({original.read_bytes() for original in originals}) > 1:
            notes.append(f"{clip}: the systems were given different originals; left out")
        else:
            files[clip] = {key: reconstruction for key, (_, reconstruction) in sounds_by_system.items()} | {
                REFERENCE: originals[0]
            }
    if not files:
        raise ReportError(
            f"sweep {sources.sweep}: these systems were given different clips; choose others with --trials"
        )
    return files, notes


def _own_systems(method: Method, against_original: bool) -> dict[str, Judged]:
    if method == ABX:
        return {REFERENCE: Judged(name="original")} if against_original else {}
    return {REFERENCE: Judged(name="original (hidden)"), ANCHOR: Judged(name="anchor (original below 3.5 kHz)")}


def _fingerprint(setup: Sequence[object], files: Files) -> str:
    """Of what is asked and of the sounds as rendered, not as matched: rounding may differ with the next scipy."""
    hashes = [[clip, key, content_hash(path.read_bytes())] for clip, of in files.items() for key, path in of.items()]
    return hashlib.sha256(json.dumps([setup, hashes]).encode()).hexdigest()[:HASHED_CHARACTERS]


def _write_test(folder: Path, design: Design, secret: bytes, files: Files) -> None:
    """Make the test's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
        target = Path(scratch) / design.id
        (target / SOUNDS).mkdir(parents=True)
        sounds: dict[str, dict[str, str]] = {}
        notes = list(design.notes)
        for clip, of_clip in files.items():
            read = {key: read_sound(path) for key, path in of_clip.items()}
            if ANCHOR in design.systems:
                read[ANCHOR] = make_anchor(read[REFERENCE])
            wanted = {key: sound for key, sound in read.items() if key in design.systems}
            sounds[clip], alone = _write_sounds(target / SOUNDS, wanted)
            notes += [
                f"{clip} of {design.systems[key].name}: {_said(lufs)}, played as it is" for key, lufs in alone.items()
            ]
        whole = design.model_copy(update={"sounds": sounds, "notes": tuple(notes)})
        (target / DESIGN).write_text(whole.model_dump_json(indent=1))
        with open(os.open(target / SECRET, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secret.hex())
        target.rename(folder / design.id)


def _write_sounds(target: Path, read: Mapping[str, Sound]) -> tuple[dict[str, str], dict[str, float]]:
    matched, alone = match_loudness(read)
    names = {}
    for key, sound in matched.items():
        data = sound.wav()
        names[key] = content_hash(data)
        (target / f"{names[key]}.wav").write_bytes(data)
    return names, alone


def _said(lufs: float) -> str:
    return (
        "silent, or too short to have a loudness" if lufs < -1000 else f"{lufs:.0f} LUFS is below {TOO_QUIET_LUFS:.0f}"
    )


def _refreshed(test: ListeningTest, judged: Mapping[str, Judged], run_id: str) -> ListeningTest:
    """The test with the runs that its systems have now: one that was deleted has been made anew since."""
    design = test.design.model_copy(update={"systems": test.design.systems | dict(judged), "run_id": run_id})
    if design != test.design:
        temporary = test.folder / f".{DESIGN}.tmp"
        temporary.write_text(design.model_dump_json(indent=1))
        temporary.replace(test.folder / DESIGN)
    return ListeningTest(design, test.secret, test.folder)
