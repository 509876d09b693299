"""The shards of a source's clips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from trainables.components.audio.clip import ClipFormat
from trainables.corpora.files import Recording
from trainables.corpora.shards.decoded import Decoded
from trainables.corpora.shards.store import Observe, Placed, ShardStore, Wanted
from trainables.corpora.splits import digest

DECODER_VERSION = 1
"""Raise it with any change of what `decode` returns: the recordings are decoded anew."""


def open_store(home: Path, source: str, clip_format: ClipFormat) -> ShardStore:
    """Return the shards of the clips of a source in a format."""
    length = f"{clip_format.rate_hz} {clip_format.wanted_samples}"
    name = digest(f"{source} {DECODER_VERSION} {length}{clip_format.cutting}")[:12]
    return ShardStore(home / "cache" / f"clips-{name}", (clip_format.samples,), np.int16)


def prepare_recordings(
    store: ShardStore, recordings: Sequence[Recording], clip_format: ClipFormat, observe: Observe
) -> dict[str, Placed]:
    """Decode the recordings that are in no shard yet, and return where each recording is, by its name."""
    wanted = [Wanted(recording.name, recording.key, recording) for recording in recordings]
    return store.prepare(wanted, partial(_decode, clip_format=clip_format), observe, _has_changed)


def _decode(recording: Recording, clip_format: ClipFormat) -> Decoded:
    from trainables.corpora.recordings import decode  # an import that a corpus in the cache doesn't need

    return decode(recording, clip_format)


def _has_changed(task: Wanted[Recording]) -> bool:
    try:
        return task.value.key != task.key
    except OSError:
        return True
