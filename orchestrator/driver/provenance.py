"""The record of a sweep at each start: what it compares, and with which code, packages and machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from orchestrator.command_line import NAME, format_command, version
from orchestrator.processor import CPUINFO
from orchestrator.state.curve import Objective
from orchestrator.state.events.base import Event
from orchestrator.state.events.drivers import Started
from orchestrator.state.events.trials import Evaluated
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.plugins.loader import Prepared
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.budget import Budget
    from trainables.corpora.corpus import Corpus

PACKAGES = ("ray", "optuna", "mlflow", "torch", "torchvision", "librosa", "pandas")
"""The packages whose versions are recorded with our own."""


def make_record(
    sweep: Sweep,
    budget: Budget,
    prepared: Prepared,
    corpus: Corpus | None,
    file: Path,
    log: Sequence[Event],
) -> dict[str, Any]:
    """Return the facts about a sweep that its log and its run in MLflow keep.

    Args:
        sweep: the search space, with the preset and the overrides applied.
        budget: the budget, with what `orchestrate resume` has added.
        prepared: the judge and the baselines.
        corpus: the corpus, if there is one.
        file: the file of the search space.
        log: the events of the sweep so far.
    """
    space = sweep.space
    arms = {}
    for arm in sweep.arms:
        arms[arm.name] = {
            "compared": arm.compared,
            "searched": {name: {domain.kind: domain.edges()} for name, domain in arm.searched.items()},
            "trials": budget.trials(arm.name) + budget.confirm_trials(arm.name),
            "epochs": budget.epochs(arm.name),
        }
    return {
        "sweep": sweep.name,
        "search_space": space.name,
        "file": str(file),
        "objective": Objective.of(space).to_record(),
        "at": space.objective.at,
        "preference": space.objective.preference,
        "compare": list(space.compare),
        "bundles": [name for name, values in space.compare.items() if isinstance(values, dict)],
        "baseline": space.baseline,
        "arms": arms,
        "looks": find_looks(log, arms),
        "seeds": space.budget.seeds,
        "confirm": space.confirm and space.confirm.model_dump(),
        "pruning": space.pruning and space.pruning.model_dump(),
        "renders": sweep.declaration.can_render(),
        "metrics": {name: asdict(metric) for name, metric in sweep.metrics.items()},
        "git": read_git_state(file.parent),
        "versions": read_versions(),
        "corpus": corpus and describe_corpus(corpus),
        "hardware": read_hardware(),
        "judge": prepared.judge,
        "judges": prepared.judges,
        "references": prepared.references,
        "seed": space.seed,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": format_command(*sys.argv[1:]),
    }


def find_looks(log: Sequence[Event], arms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find the starts with a larger budget than before, after trials were evaluated on the test split.

    Before enlarging a budget one may have seen test results (an interim look); the report does not test these arms
    again.

    Args:
        log: the events of the sweep's log; every start has the budget of each arm.
        arms: the budget of each arm at the start that is about to be written.

    Returns:
        For each of these starts, the `arms` that had grown, and the number of trials that had been evaluated on the
        test split (`judged`).
    """
    informed_starts: list[dict[str, Any]] = []
    before: Mapping[str, Any] = {}
    tested: set[int] = set()
    for event in (*log, Started(record={"arms": arms})):
        if isinstance(event, Evaluated) and _has_test_metrics(event):
            tested.add(event.trial)
        elif isinstance(event, Started):
            budget_by_arm = event.record.get("arms", {})
            grown = [arm for arm, budget in budget_by_arm.items() if _has_grown(before.get(arm), budget)]
            if grown and tested:
                informed_starts.append({"arms": grown, "judged": len(tested)})
            before = budget_by_arm
    return informed_starts


def _has_test_metrics(event: Evaluated) -> bool:
    metrics = [event.metrics, *(rendering["metrics"] for rendering in event.renderings)]
    return any(name.startswith(words.TEST_PREFIX) for values in metrics for name in values)


def _has_grown(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    return before is not None and any(now.get(key, 0) > before.get(key, 0) for key in ("trials", "epochs"))


def read_versions() -> dict[str, str]:
    """Return the installed version of each package that results depend on, our own included."""
    return {name: metadata.version(name) for name in PACKAGES} | {NAME: version()}


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """Return name, fingerprint and source of a corpus, and its numbers of classes, recordings and clips by split.

    `pictures` is a digest of its pictures and videos, which are not part of the fingerprint of its sounds.
    `in_memory_bytes` decides about the order of clips in training.
    """
    splits = {}
    for split in ("train", "validation", "test"):
        clips = corpus.clips[corpus.clips["split"] == split]
        splits[split] = {"recordings": int(clips["recording"].nunique()), "clips": len(clips)}
    return {
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "pictures": corpus.digest_pictures(),
        "source": corpus.source,
        "in_memory_bytes": corpus.in_memory_bytes,
        "classes": len(corpus.classes),
        "splits": splits,
    }


def read_hardware() -> dict[str, Any]:
    """Return the `processor`, the number of `cores`, `memory_gib` and the names of the `gpus` of this machine."""
    try:
        model = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        model = None
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpus": _list_gpus(),
    }


def _list_gpus() -> list[str]:
    """Return the names of this machine's GPUs; empty if the driver's tool is missing or fails."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        process = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in process.stdout.splitlines() if line.strip()]


def read_git_state(folder: Path) -> dict[str, Any]:
    """Return the `commit` of the repository around a folder and whether it is `dirty`; None for both without one."""

    def run_git(*arguments: str) -> str | None:
        try:
            process = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return process.stdout.strip()

    commit, changes = run_git("rev-parse", "HEAD"), run_git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def code_fingerprint(files: Iterable[Path], imported: Iterable[tuple[str, Path]] = ()) -> str:
    """Return twelve hexadecimal digits of a hash over the names and the contents of files.

    Args:
        files: files that are identified by their names.
        imported: more files, each with the path that identifies it.
    """
    digest = hashlib.sha256()
    for name, path in (*((path.name, path) for path in sorted(files)), *imported):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
