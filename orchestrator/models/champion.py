"""The best trial of a sweep as a model that can be taken elsewhere: a folder beside its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.driver.tasks import spec_of
from orchestrator.errors import UserError
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.plugins import loader
from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.home import SEARCH_SPACE, sweep_names
from orchestrator.state.paths import BEST, CHECKPOINT, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker import checkpoint
from orchestrator.worker.attempt import build, device_of
from reports import vocabulary as words

MODEL = "model"
"""In a trial's folder: the model that it was exported as."""


@dataclass(frozen=True)
class Champion:
    """A sweep's best trial, exported.

    Attributes:
        folder: of the model.
        origin: sweep, trial, arm, epoch, and the validation metrics of that epoch.
    """

    folder: Path
    origin: dict[str, Any]

    @property
    def in_words(self) -> str:
        """Which trial it is and how good."""
        origin = self.origin
        metrics = origin["metrics"]
        judge_metrics = (words.JUDGE_ACCURACY, words.JUDGE_PROBABILITY)
        judged = ", ".join(f"{words.in_words(name)} {metrics[name]:.2f}" for name in judge_metrics if name in metrics)
        return f"{origin['sweep']}/{origin['trial']} ({origin['arm']}), epoch {origin['epoch']}: {judged} on validation"


def find_generating(home: Path, kind: str) -> str:
    """The newest sweep whose trials take an image, or a sound.

    Raises:
        UserError: there is none.
    """
    for name in reversed(sweep_names(home)):
        try:
            sweep = read_search_space(home / name / SEARCH_SPACE, overrides=[], name=name)
        except UserError:
            # Its trainable may be gone: it is not the one that is looked for.
            continue
        if sweep.trainable.GENERATES and sweep.trainable.GENERATES[0] == kind:
            return name
    ours = {"image": "image_to_sound", "sound": "sound_to_image"}[kind]
    raise UserError(
        f"{home}: no sweep here makes anything of {'an image' if kind == 'image' else 'a sound'}; run one first"
        f" (orchestrate sweep search_spaces/{ours}.yaml), or name a model with --model"
    )


def export_best(home: Path, name: str, say: Callable[[str], None]) -> Champion:
    """Export a sweep's best trial, unless that was done before.

    Raises:
        UserError: no trial has been finished, its checkpoint is gone or of another version, or it generates nothing.
    """
    snapshot = read_snapshot(home, name)
    sweep = read_search_space(snapshot.ledger.folder / SEARCH_SPACE, overrides=[], name=snapshot.name)
    if sweep.trainable.GENERATES is None:
        raise UserError(f"{name}: trainable {sweep.space.trainable} generates nothing; image_to_sound and others do")
    trial = _best(snapshot)
    row = trial.curve.best_row
    assert row is not None, "the best of trials has a best epoch"
    origin = {
        "sweep": snapshot.name,
        "trial": trial.number,
        "arm": trial.arm,
        "epoch": row["epoch"],
        "written_ms": row["ts"],
        "metrics": {key: value for key, value in row["metrics"].items() if key.startswith(words.VAL_PREFIX)},
    }
    folder = trial_folder(snapshot.ledger.folder, trial.number) / MODEL
    if _origin(folder) != origin:
        say(f"exporting {snapshot.name}/{trial.number}")
        _export(sweep, home, trial, folder, origin)
    return Champion(folder, origin)


def _best(snapshot: Snapshot) -> Trial:
    ended = [trial for trial in snapshot.ledger.trials.values() if trial.outcome is not None]
    best = snapshot.best_of(ended)
    if best is None:
        raise UserError(
            f"{snapshot.name}: no trial has been finished yet ({len(snapshot.ledger.trials)} begun); wait for the first"
            f" one, or go on: orchestrate resume {snapshot.name}"
        )
    return best


def _origin(folder: Path) -> dict[str, Any] | None:
    try:
        origin: dict[str, Any] = json.loads((folder / loader.MODEL_SETTINGS).read_text(encoding="utf-8"))["origin"]
    except (OSError, ValueError, KeyError):
        return None
    return origin


def _export(sweep: Sweep, home: Path, trial: Trial, folder: Path, origin: dict[str, Any]) -> None:
    spec = spec_of(sweep, home, trial, gpu=0, threads=1)
    path = Path(spec.folder) / CHECKPOINT / BEST
    where = f"{sweep.name}/{trial.number}"
    if not path.exists():
        raise UserError(f"{where}: its best checkpoint has been deleted ({path}); resume the sweep with more trials")
    try:
        saved = checkpoint.load(path, device_of(spec))
        with loader.user_errors():
            trainable = build(spec, device_of(spec))
        trainable.load_state_dict(saved["state"])
    except (checkpoint.Unusable, KeyError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{where}: its checkpoint is of another version of this program ({reason})") from error
    model = loader.exported(trainable)
    loader.save_model(folder, replace(model, settings={**model.settings, "origin": origin}))
