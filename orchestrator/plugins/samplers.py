"""Samplers of Optuna's: its own, and those of a user's file in the form of OptunaHub's."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.plugins import user_files

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def make_sampler(sampler: str, seed: int) -> BaseSampler:
    """Return a sampler of Optuna's without any trials of its own, since the study begins with startup trials.

    Args:
        sampler: `tpe`, `gp`, or a file of the user's.
        seed: the seed of the next suggestion.

    Raises:
        UserError: the file does not define a sampler, or it can't be constructed.
    """
    import optuna

    match sampler:
        case "tpe":
            return optuna.samplers.TPESampler(n_startup_trials=1, seed=seed)
        case "gp":
            return optuna.samplers.GPSampler(n_startup_trials=1, seed=seed)
    cls = load_sampler(Path(sampler))
    arguments = {"seed": seed} if "seed" in inspect.signature(cls).parameters else {}
    try:
        return cls(**arguments)
    except Exception as error:
        raise UserError(
            f"{sampler}: {cls.__name__}(seed=…) raised {type(error).__name__}: {error}; every other argument needs a "
            "default"
        ) from error


def check_sampler_file(path: Path) -> None:
    """Check that a file defines a sampler that can be constructed.

    Raises:
        UserError: there is no such file, it can't be imported, or it does not define exactly one sampler.
    """
    user_files.check_file(path, (), defines_trainable=False)
    make_sampler(str(path), seed=0)


def load_sampler(path: Path) -> type[BaseSampler]:
    """Return the one subclass of `optuna.samplers.BaseSampler` that a file defines.

    Raises:
        UserError: there is no such file, it can't be imported, or it defines none or several.
    """
    from optuna.samplers import BaseSampler

    user_files.check_exists(path)
    module = user_files.import_outside(path)
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSampler) and value.__module__ == module.__name__
    ]
    concrete = [cls for cls in own if not inspect.isabstract(cls)]
    if len(concrete) != 1:
        names = ", ".join(cls.__name__ for cls in own) or "none"
        raise UserError(f"{path}: must define exactly one subclass of optuna.samplers.BaseSampler, got {names}")
    return concrete[0]
