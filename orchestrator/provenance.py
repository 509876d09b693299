"""What a sweep says of itself whenever it starts: what it compares, and on which code, packages and machine."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.typed import typed

if TYPE_CHECKING:
    from orchestrator.budget import Budget
    from orchestrator.loader import Prepared
    from orchestrator.search_space import Sweep
    from trainables.corpora.corpus import Corpus

PACKAGES = ("ray", "optuna", "mlflow", "torch", "torchvision", "librosa", "pandas", "orchestrate")


def record(sweep: Sweep, budget: Budget, prepared: Prepared, corpus: Corpus | None, file: Path) -> dict[str, Any]:
    """All that somebody who has only the sweep's log, or its runs in MLflow, needs to know of it.

    Args:
        sweep: as it is run, with presets and overrides.
        budget: with what was added to it.
        prepared: its judge and reference lines.
        corpus: what it learns from.
        file: its search space.
    """
    space = sweep.space
    return {
        "sweep": sweep.name,
        "search_space": space.name,
        "file": str(file),
        "objective": {"metric": space.objective.metric, "mode": space.objective.mode},
        "at": space.objective.at,
        "compare": list(space.compare),
        "baseline": space.baseline,
        "arms": {
            arm.name: {
                "compared": arm.compared,
                "searched": {name: {domain.kind: domain.edges()} for name, domain in arm.searched.items()},
                "trials": budget.trials(arm.name) + budget.confirmed(arm.name),
                "epochs": budget.epochs(arm.name),
            }
            for arm in sweep.arms
        },
        "seeds": space.budget.seeds,
        "confirm": space.confirm and space.confirm.model_dump(),
        "pruning": space.pruning and space.pruning.model_dump(),
        "metrics": {name: asdict(metric) for name, metric in sweep.trainable.METRICS.items()},
        "git": git_state(file.parent),
        "versions": versions(),
        "corpus": corpus and {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "judge": prepared.judge,
        "references": prepared.references,
        "seed": space.seed,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": typed(*sys.argv[1:]),
    }


def versions() -> dict[str, str]:
    """The packages that results depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the repository around a folder; None of each where there is none."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def code_fingerprint(files: Iterable[Path], imported: Iterable[tuple[str, Path]] = ()) -> str:
    """Twelve hexadecimal digits that change when any of the files' contents does.

    Args:
        files: each counts by its name.
        imported: more files, each with the path by which it counts.
    """
    digest = hashlib.sha256()
    for name, path in (*((path.name, path) for path in sorted(files)), *imported):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
