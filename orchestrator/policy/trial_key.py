"""What the training of a trial depends on, as a short text: two trials with the same one get the same numbers."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib import metadata
from typing import TYPE_CHECKING, Any

from orchestrator.command_line import DISTRIBUTION
from orchestrator.worker.spec import TrialSpec
from orchestrator.worker.versions import read_versions

if TYPE_CHECKING:
    from trainables.trainable import Declaration

IDENTITY = {"number", "id", "origin_ids", "attempt", "since", "reported_epochs", "last_row", "token"}
PLACES = {"folder", "home", "trainable_folder", "versions", "looked_at", "files", "originals"}
STORAGE = {"storage", "prepared", "stored_epochs"}
LIMITS = {"minutes_per_epoch", "seconds_after_sigterm"}
EVALUATION = {"clips", "media_epochs", "splits", "renderings"}
WITHOUT_EFFECT = frozenset(IDENTITY | PLACES | STORAGE | LIMITS | EVALUATION)
"""Fields of a `TrialSpec` that change no epoch: places, identities, time limits, and what is rendered or evaluated."""
RESOURCES = frozenset({"gpu", "threads"})
"""Fields of a `TrialSpec` that are known once the cluster is."""
DIGITS = 12


def make_key(spec: TrialSpec, declaration: type[Declaration], environment: str) -> str:
    """Return the key of a trial: its configuration, the environment, and its resources.

    Args:
        spec: the trial.
        declaration: the settings of the trainable.
        environment: what `hash_environment` returns.

    Returns:
        An empty text if the trial has to be trained: a setting names a folder, of whose contents nothing is known, the
        settings are refused, or the environment is not known.
    """
    configuration = hash_configuration(spec, declaration)
    device = f"gpu{math.ceil(spec.gpu)}" if spec.gpu > 0 else "cpu"
    return configuration and environment and f"{configuration}-{environment}-{device}x{spec.threads}"


def hash_configuration(spec: TrialSpec, declaration: type[Declaration]) -> str:
    """Return a hash of all that a search space says about the training of a trial; see `make_key`.

    A sweep's copy of a trained model counts as the file that was copied, so that sweeps which begin from the same
    model have trials in common.
    """
    try:
        config = declaration.Config(**spec.config).model_dump(mode="json")
    except Exception:
        # The checks of a user's class may raise anything, which must not end the driver: the trial fails by itself.
        return ""
    facts = {field.name: getattr(spec, field.name) for field in fields(spec)}
    facts = {name: value for name, value in facts.items() if name not in WITHOUT_EFFECT | RESOURCES}
    states = []
    for value in _find_texts(config):
        path = os.path.join(spec.trainable_folder, value)
        if os.path.isdir(path):
            return ""
        if os.path.isfile(path):
            state = os.stat(path)
            states.append((spec.originals.get(path, path), state.st_size, state.st_mtime_ns))
    copies = {name: value for name, value in config.items() if isinstance(value, str) and value in spec.originals}
    config |= {name: spec.originals[copy] for name, copy in copies.items()}
    return _hash({**facts, "config": config, "files": states})


def _find_texts(value: Any) -> Iterator[str]:
    """Yield every text in a setting, which may be a list or a mapping of others."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _find_texts(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _find_texts(entry)


def hash_environment(code: str, record: Mapping[str, Any]) -> str:
    """Return a hash of what the trials of a sweep have in common: code, packages, corpus, judges and CPUs.

    Args:
        code: the fingerprint of the code.
        record: what the driver has written at its start.

    Returns:
        An empty text if a package is installed as a folder whose code may change without its version
        (`pip install --editable`), apart from this program, whose code is part of the fingerprint.
    """
    if any(_is_editable(each) for each in metadata.distributions() if each.name != DISTRIBUTION):
        return ""
    hardware = record["hardware"]
    facts = {
        "code": code,
        "packages": sorted({f"{each.name} {each.version}" for each in metadata.distributions()}),
        "versions": read_versions(),
        "corpus": [(record["corpus"] or {}).get(key) for key in ("fingerprint", "pictures", "in_memory_bytes")],
        "judges": [record["judge"], *sorted(judge["id"] for judge in record["judges"].values())],
        "hardware": [hardware["processor"], hardware["gpus"]],
    }
    return _hash(facts)


def _is_editable(distribution: metadata.Distribution) -> bool:
    """Return whether a package is used from a folder in which it may be edited (PEP 610)."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _hash(facts: Mapping[str, Any]) -> str:
    """Return the first digits of a hash over plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]
