"""What a sweep says of itself whenever it starts: what it compares, and on which code, packages and machine."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.command_line import NAME, typed, version
from orchestrator.plugins import loader
from orchestrator.state import events
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.plugins.loader import Prepared
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.budget import Budget
    from trainables.corpora.corpus import Corpus

PACKAGES = ("ray", "optuna", "mlflow", "torch", "torchvision", "librosa", "pandas")


def record(
    sweep: Sweep,
    budget: Budget,
    prepared: Prepared,
    corpus: Corpus | None,
    file: Path,
    log: Sequence[events.Event],
) -> dict[str, Any]:
    """All that somebody who has only the sweep's log, or its runs in MLflow, needs to know of it.

    Args:
        sweep: as it is run, with presets and overrides.
        budget: with what was added to it.
        prepared: its judge and reference lines.
        corpus: what it learns from.
        file: its search space.
        log: its events so far.
    """
    space = sweep.space
    arms = {
        arm.name: {
            "compared": arm.compared,
            "searched": {name: {domain.kind: domain.edges()} for name, domain in arm.searched.items()},
            "trials": budget.trials(arm.name) + budget.confirmed(arm.name),
            "epochs": budget.epochs(arm.name),
        }
        for arm in sweep.arms
    }
    return {
        "sweep": sweep.name,
        "search_space": space.name,
        "file": str(file),
        "objective": {"metric": space.objective.metric, "mode": space.objective.mode},
        "at": space.objective.at,
        "compare": list(space.compare),
        "bundles": [name for name, values in space.compare.items() if isinstance(values, dict)],
        "baseline": space.baseline,
        "arms": arms,
        "looks": looks(log, arms),
        "seeds": space.budget.seeds,
        "confirm": space.confirm and space.confirm.model_dump(),
        "pruning": space.pruning and space.pruning.model_dump(),
        "renders": sweep.trainable.render is not loader.Trainable.render,
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


def looks(log: Sequence[events.Event], arms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each time that a sweep was started with more trials or epochs although the test split had judged some before.

    Whoever grants more may have seen what the test split said, so that the report does not test these arms again.

    Args:
        log: the events of the sweep's log; every start says the budget of each arm.
        arms: those of the start that is about to be written.

    Returns:
        The arms that had grown at each of these starts, and how many trainings had been judged.
    """
    informed_starts: list[dict[str, Any]] = []
    before: Mapping[str, Any] = {}
    judged: set[int] = set()
    for event in (*log, events.Started(record={"arms": arms})):
        if isinstance(event, events.Evaluated) and _is_judged(event):
            judged.add(event.trial)
        elif isinstance(event, events.Started):
            now_by_arm = event.record.get("arms", {})
            grown = [arm for arm, now in now_by_arm.items() if _has_grown(before.get(arm), now)]
            if grown and judged:
                informed_starts.append({"arms": grown, "judged": len(judged)})
            before = now_by_arm
    return informed_starts


def _is_judged(event: events.Evaluated) -> bool:
    """Whether an evaluation asked the test split."""
    metrics = [event.metrics, *(rendering["metrics"] for rendering in event.renderings)]
    return any(name.startswith(words.TEST_PREFIX) for values in metrics for name in values)


def _has_grown(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    return before is not None and any(now.get(key, 0) > before.get(key, 0) for key in ("trials", "epochs"))


def versions() -> dict[str, str]:
    """The packages that results depend on."""
    return {name: metadata.version(name) for name in PACKAGES} | {NAME: version()}


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
