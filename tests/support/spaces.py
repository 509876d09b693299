"""Search spaces for tests: a trainable that does nothing, or the autoencoder on a tiny corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.worker.spec import TrialSpec

NOOP = Path(__file__).parents[1] / "benchmarks" / "noop.py"
HELPED = (
    NOOP.read_text()
    .replace("from trainables.corpora", "from constants_of_mine import STEP\nfrom trainables.corpora")
    .replace("0.5**self.epoch", "STEP**self.epoch")
)
"""The source of `Noop` with a constant from a helper module, `constants_of_mine.py`."""


TINY_PARAMS = {
    "spectrogram": "24x64",
    "latent_dim": 8,
    "width": 8,
    "sound_clips": 1,
    "lr": {"loguniform": [1e-4, 1e-2]},
}
"""Parameters of an autoencoder that trains in a moment."""


def write_space(path: Path, **changes: Any) -> Path:
    """A search space over `Noop`, two arms of six trials, with sections replaced by `changes` (None leaves one out)."""
    space: dict[str, Any] = {
        "name": "tiny",
        "trainable": str(NOOP),
        "objective": {"metric": "val/score", "mode": "max"},
        "compare": {"arm": ["a", "b"]},
        "params": {"x": {"uniform": [0.0, 1.0]}},
        "search": {"startup_trials": 3},
        "budget": {"trials_per_arm": 6, "max_epochs": 4},
        "pruning": {"grace_epochs": 1, "reduction_factor": 2},
        "resources": {"cpu": 1},
        "seed": 7,
    }
    space = {key: value for key, value in (space | changes).items() if value is not None}
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(space, file)
    return path


def noop_sweep(folder: Path, **changes: Any) -> Sweep:
    """The sweep that `write_space` describes."""
    return read_search_space(write_space(folder / "tiny.yaml", **changes))


def trial_spec(root: Path, **changes: Any) -> TrialSpec:
    """The first trial of `Noop`, in a home of its own below `root`, with fields replaced by `changes`."""
    fields: dict[str, Any] = {
        "number": 1,
        "folder": str(root / "trials" / "0001"),
        "home": str(root),
        "trainable": str(NOOP),
        "trainable_folder": str(root),
        "components": (),
        "config": {"x": 0.4},
        "corpus": None,
        "seed": 3,
        "attempt": 1,
        "objective": "val/score",
        "mode": "max",
        "clips": 0,
        "media_epochs": (),
        "gpu": 0,
        "threads": 1,
    }
    return TrialSpec(**fields | changes)
