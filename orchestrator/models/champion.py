"""Export a trial, by default a sweep's best: a folder next to its checkpoints that works without sweep and corpus."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.command_line import format_command
from orchestrator.driver.tasks import make_spec
from orchestrator.errors import UserError
from orchestrator.overview.preferred import find_preferred, preferred_line
from orchestrator.overview.snapshot import Snapshot, find_trial, read_snapshot
from orchestrator.plugins import exported_models, loader
from orchestrator.search_space.reader import Sweep, read_stored
from orchestrator.state.home import find_home, home_option, sweep_names
from orchestrator.state.paths import BEST, CHECKPOINT, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker import checkpoint
from orchestrator.worker.attempt import build, device_of
from reports import vocabulary as words

MODEL = "model"
"""In a trial's folder: the exported model."""
MOST_METRICS = 3
"""How many metrics describe a model without a judge."""


@dataclass(frozen=True)
class Champion:
    """The exported model of a trial, by default of a sweep's best one.

    Attributes:
        folder: the folder of the model.
        origin: `sweep`, `trial`, `arm`, `epoch`, the validation `metrics` of that epoch, and the hashes of the
            user's `code`.
    """

    folder: Path
    origin: dict[str, Any]

    @property
    def description(self) -> str:
        """The trial, its best epoch, and the judge's metrics there, in a line."""
        origin = self.origin
        metrics = origin["metrics"]
        judge_metrics = [name for name in (words.JUDGE_ACCURACY, words.JUDGE_PROBABILITY) if name in metrics]
        # A user's trainable may have no judge; its own metrics describe it then.
        names = judge_metrics or sorted(metrics)[:MOST_METRICS]
        values = ", ".join(f"{words.label_of(name)} {metrics[name]:.2f}" for name in names)
        return f"{origin['sweep']}/{origin['trial']} ({origin['arm']}), epoch {origin['epoch']}: {values} on validation"


def find_generating_sweep(home: Path, kind: str) -> str:
    """Return the name of the newest sweep whose trials generate something from a kind of input.

    Args:
        home: the folder of all sweeps.
        kind: the kind of input, `image` or `sound`.

    Raises:
        UserError: there is no such sweep.
    """
    for name in reversed(sweep_names(home)):
        try:
            sweep = read_stored(home / name)
        except UserError:
            # The trainable of an old sweep may have been deleted; other sweeps can still be used.
            continue
        if sweep.declaration.GENERATES and sweep.declaration.GENERATES[0] == kind:
            return name
    trainable = {"image": "image_to_sound", "sound": "sound_to_image"}[kind]
    raise UserError(
        f"{home}: no sweep here generates anything from {'an image' if kind == 'image' else 'a sound'}; run one first"
        f" (orchestrate sweep search_spaces/{trainable}.yaml), or name a model with --model"
    )


def export_trial(home: Path, reference: str, say: Callable[[str], None]) -> Champion:
    """Export a trial, unless this checkpoint has been exported before.

    Args:
        home: the folder of all sweeps.
        reference: a trial, such as `vae/7`; or a sweep, for its best trial: by votes of listeners, if it has some.
        say: prints a line.

    Raises:
        UserError: there is no such trial, no trial has ended, its checkpoint was deleted or is of another version, or
            it generates nothing.
    """
    snapshot, named = find_trial(home, reference) if "/" in reference else (read_snapshot(home, reference), None)
    sweep = read_stored(snapshot.ledger.folder)
    if sweep.declaration.GENERATES is None:
        raise UserError(
            f"{sweep.name}: trainable {sweep.space.trainable} generates nothing; autoencoder, image_to_sound and others"
            " do"
        )
    trial = named or _find_best(snapshot, say)
    row = trial.curve.best_row
    if row is None:
        raise UserError(f"{reference}: the trial has no epoch yet; wait for its first one, or name another trial")
    origin = {
        "sweep": snapshot.name,
        "trial": trial.number,
        "arm": trial.arm,
        "epoch": row["epoch"],
        "written_ms": row["ts"],
        "metrics": {key: value for key, value in row["metrics"].items() if key.startswith(words.VAL_PREFIX)},
    }
    code = exported_models.collect_code(sweep.declaration, sweep.space.components)
    if code:
        # A file that was changed since is exported again.
        origin["code"] = [file.digest for file in code]
    folder = trial_folder(snapshot.ledger.folder, trial.number) / MODEL
    if _read_origin(folder) != origin:
        say(f"exporting {snapshot.name}/{trial.number}")
        _export(sweep, home, trial, folder, origin, code)
    return Champion(folder, origin)


def load_best(
    name: str | None = None,
    home: Path | str | None = None,
    number: int | None = None,
    say: Callable[[str], None] = print,
) -> loader.Trainable:
    """Construct the best trial of a sweep with the weights of its best epoch, for use in Python.

    Call `close` of the trainable after its last use.

    Args:
        name: the sweep; None for the one that ran last.
        home: the folder of all sweeps; by default `ORCHESTRATE_HOME`, else `runs` in the current folder.
        number: another trial, such as one on the front of several objectives.
        say: prints a line if votes of listeners have chosen the trial.

    Raises:
        UserError: no trial has ended, there is no such trial, or its checkpoint was deleted or is of another version.
    """
    if isinstance(name, Path) or (name is not None and os.sep in name):
        raise UserError(f"load_best({str(name)!r}, …): the sweep comes first, then the home: load_best('vae', home)")
    home_path = find_home(None if home is None else Path(home))
    snapshot = read_snapshot(home_path, name)
    sweep = read_stored(snapshot.ledger.folder)
    return _load(sweep, home_path, _find_best(snapshot, say) if number is None else snapshot.trial(number))


def _find_best(snapshot: Snapshot, say: Callable[[str], None]) -> Trial:
    """Return a sweep's best trial: that of listeners, which is said, or else that of the objective."""
    if preferred := find_preferred(snapshot.ledger):
        say(str(preferred_line(snapshot.ledger)))
        return preferred
    ended = [trial for trial in snapshot.ledger.trials.values() if trial.outcome is not None]
    best = snapshot.best_of(ended)
    if best is None:
        go_on = format_command("resume", snapshot.name, *home_option(snapshot.ledger.folder.parent))
        raise UserError(
            f"{snapshot.name}: no trial has been finished yet ({len(snapshot.ledger.trials)} begun); wait for the first"
            f" one, or continue: {go_on}"
        )
    return best


def _read_origin(folder: Path) -> dict[str, Any] | None:
    """Return the origin of an exported model; None if the folder has none."""
    try:
        origin: dict[str, Any] = json.loads((folder / exported_models.MODEL_SETTINGS).read_text(encoding="utf-8"))[
            "origin"
        ]
    except (OSError, ValueError, KeyError):
        return None
    return origin


def _export(
    sweep: Sweep,
    home: Path,
    trial: Trial,
    folder: Path,
    origin: dict[str, Any],
    code: Sequence[exported_models.CodeFile],
) -> None:
    with contextlib.closing(_load(sweep, home, trial)) as trainable:
        try:
            model = exported_models.export_model(trainable)
        except UserError as error:
            raise UserError(f"{sweep.name}/{trial.number}: {error}") from error
    try:
        exported_models.save_model(folder, replace(model, settings={**model.settings, "origin": origin}), code)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UserError(
            f"{folder}: can't be written ({error.strerror}), and the model has to be exported there; ask its owner, or"
            " copy the home"
        ) from None


def _load(sweep: Sweep, home: Path, trial: Trial) -> loader.Trainable:
    """Construct the trainable of a trial with the state of its best checkpoint."""
    spec = make_spec(sweep, home, trial, gpu=0, threads=1)
    path = Path(spec.folder) / CHECKPOINT / BEST
    where = f"{sweep.name}/{trial.number}"
    if not path.exists():
        raise UserError(f"{where}: its best checkpoint has been deleted ({path}); {_name_kept(path)}")
    try:
        saved = checkpoint.load(path, device_of(spec))
        with loader.user_errors(), contextlib.ExitStack() as cleanup:
            trainable = build(spec, device_of(spec))
            cleanup.callback(trainable.close)
            trainable.load_state_dict(saved["state"])
            cleanup.pop_all()
    except (checkpoint.Unusable, KeyError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{where}: its checkpoint is of another version of this program ({reason})") from error
    return trainable


def _name_kept(missing: Path) -> str:
    """Return what to do without a checkpoint, with the trials of its sweep that have theirs."""
    kept = sorted(int(path.parents[1].name) for path in missing.parents[2].glob(f"*/{CHECKPOINT}/{BEST}"))
    if not kept:
        return "no trial of the sweep has one; resume it with more trials"
    return f"name a trial that has one: {', '.join(map(str, kept))}"
