"""Reading of a search space: from a YAML file, with a preset and options, to a sweep."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.messages import Mistakes, Place, suggest_option
from orchestrator.search_space import overlays
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.section import Resources
from orchestrator.search_space.sweep import Sweep
from orchestrator.search_space.validation import Validation
from orchestrator.search_space.yaml import tree as yaml_tree
from orchestrator.search_space.yaml.tree import Node
from reports.vocabulary import ARTIFACT_SEARCH_SPACE

__all__ = ["Arm", "Resources", "SearchSpace", "Sweep", "read_mapping", "read_search_space", "read_stored"]

IN_PYTHON = "Sweep()"
"""The place that messages name where a search space has no file."""


def read_search_space(
    path: Path, *, preset: str | None = None, overrides: Sequence[str] = (), name: str | None = None
) -> Sweep:
    """Read a search space and check all of it.

    Args:
        path: a YAML file.
        preset: the name of one of its presets, which is merged into it.
        overrides: options `key.path=value`, set in this order; relative paths in them start at the current folder.
        name: the name of the sweep, instead of the one in the file.

    Raises:
        UserError: the file can't be read.
        SearchSpaceError: the file has mistakes; it has one line for each.
    """
    return _read(path, preset, overrides, name, was_checked=False)


def read_stored(folder: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read the search space of a sweep from its folder, where its presets and options are part of the file.

    Args:
        folder: the folder of the sweep.
        overrides: new options, as of `read_search_space`.

    Raises:
        UserError: the file can't be read.
        SearchSpaceError: it has mistakes, or the options have.
    """
    return _read(folder / ARTIFACT_SEARCH_SPACE, None, overrides, folder.name, was_checked=True)


def _read(path: Path, preset: str | None, overrides: Sequence[str], name: str | None, *, was_checked: bool) -> Sweep:
    mistakes = Mistakes()
    root = yaml_tree.read(path, mistakes)
    presets = overlays.take_presets(root, mistakes)
    if preset is not None and preset not in presets:
        hint = f"it has: {', '.join(presets)}" if presets else "it has none"
        raise SearchSpaceError(
            [f"--preset {preset}: {path} has no such preset{suggest_option(preset, presets)}; {hint}"]
        )
    for other in presets.keys() - {preset}:
        _check_other_preset(root, presets[other], path, mistakes)
    if preset is not None:
        overlays.apply_preset(root, presets[preset])
    remarks = [remark for override in overrides for remark in overlays.apply_option(root, override, mistakes)]
    if name is not None:
        root.value["name"] = Node(name, Place(f"--name {name}", 0, 0, Path.cwd()))
    sweep = Validation(root, path, mistakes, was_checked=was_checked).sweep()
    mistakes.raise_if_any()
    assert sweep is not None, "no sweep without a mistake"
    return replace(sweep, remarks=tuple(remarks))


def read_mapping(space: Mapping[str, Any], folder: Path) -> Sweep:
    """Check a search space that was written in Python.

    Args:
        space: its sections by their names in YAML, `name` among them; their values are those of YAML.
        folder: the folder to which relative paths are relative.

    Raises:
        SearchSpaceError: it has mistakes; the error has one line for each.
    """
    mistakes = Mistakes()
    root = yaml_tree.build(space, Place(IN_PYTHON, 0, 0, folder))
    sweep = Validation(root, folder / f"{space['name']}.yaml", mistakes).sweep()
    mistakes.raise_if_any()
    assert sweep is not None, "no sweep without a mistake"
    return sweep


def _check_other_preset(root: Node, preset: Node, path: Path, mistakes: Mistakes) -> None:
    """Add the mistakes in a preset that is not used; those in the file itself are found without it."""
    merged, preset_mistakes = copy.deepcopy(root), Mistakes()
    overlays.apply_preset(merged, preset)
    Validation(merged, path, preset_mistakes).sweep()
    mistakes.entries |= {mistake for mistake in preset_mistakes.entries if mistake.place.preset is not None}
