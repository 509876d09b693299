"""A search space, read: from a YAML file to the arms of a sweep, with everything checked before anything starts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.messages import KeyPath, Mistake, Mistakes, Place, describe, join_path, suggest_option
from orchestrator.plugins import loader
from orchestrator.search_space import overlays, yaml_tree
from orchestrator.search_space.arms import Arm, make_arms
from orchestrator.search_space.checks import (
    ConfigCheck,
    check_baseline,
    check_corpus,
    check_objective,
    check_objective_at,
    check_renderings,
    check_seeds,
    check_space,
)
from orchestrator.search_space.combinations import Cell, make_cells
from orchestrator.search_space.domains import Value
from orchestrator.search_space.names import check_params
from orchestrator.search_space.schema import Resources, SearchSpace, unknown_key
from orchestrator.search_space.yaml_tree import Node

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from trainables.trainable import Trainable

__all__ = ["Arm", "Resources", "SearchSpace", "Sweep", "read_search_space"]


@dataclass(frozen=True)
class Sweep:
    """One run of a search space.

    Attributes:
        name: names its folder and its runs.
        path: the file as it was given.
        space: what it says.
        arms: every combination of the compared values that is not skipped.
        skipped: those that are, each with its reason.
        text: the search space as YAML with preset, options and absolute paths in it; read again from anywhere it gives
            the same sweep.
        trainable: what its trials run.
        remarks: what was done to the file that nobody asked for, a line each.
    """

    name: str
    path: Path
    space: SearchSpace
    arms: tuple[Arm, ...]
    skipped: tuple[str, ...]
    text: str
    trainable: type[Trainable]
    remarks: tuple[str, ...] = ()

    @property
    def renderings(self) -> list[dict[str, Value]]:
        """The settings of each rendering of a trained model."""
        return renderings(self.space)

    def settings(self) -> Iterator[dict[str, Value]]:
        """Configurations of every arm, in the middle and at the edges of what is searched, and of its renderings."""
        for arm in self.arms:
            yield arm.middle()
            yield from (corner for _, corner in arm.corners())
            yield from (arm.middle() | rendering for rendering in self.renderings)


def renderings(space: SearchSpace) -> list[dict[str, Value]]:
    """`evaluate`, crossed; none where it is empty."""
    combinations = itertools.product(*space.evaluate.values()) if space.evaluate else ()
    return [dict(zip(space.evaluate, combination, strict=True)) for combination in combinations]


def read_search_space(
    path: Path, *, preset: str | None = None, overrides: Sequence[str] = (), name: str | None = None
) -> Sweep:
    """Read a search space and check all of it.

    Args:
        path: a YAML file.
        preset: name of one of its presets, merged over it.
        overrides: `key.path=value` each, set in this order; relative paths in them start at the current folder.
        name: of the sweep, instead of the file's.

    Raises:
        UserError: the file can't be read.
        SearchSpaceError: all that is wrong with it, one line each.
    """
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
        overlays.lay_preset(root, presets[preset])
    remarks = [remark for override in overrides for remark in overlays.lay_option(root, override, mistakes)]
    if name is not None:
        root.value["name"] = Node(name, Place(f"--name {name}", 0, 0, Path.cwd()))
    sweep = _Reading(root, path, mistakes).sweep()
    mistakes.raise_if_any()
    assert sweep is not None, "no sweep without a mistake"
    return replace(sweep, remarks=tuple(remarks))


def _check_other_preset(root: Node, preset: Node, path: Path, mistakes: Mistakes) -> None:
    """Find the mistakes in a preset that isn't asked for; the file's own are found without it."""
    merged, preset_mistakes = copy.deepcopy(root), Mistakes()
    overlays.lay_preset(merged, preset)
    _Reading(merged, path, preset_mistakes).sweep()
    mistakes.entries |= {mistake for mistake in preset_mistakes.entries if mistake.place.preset is not None}


STAND_INS: dict[str, Any] = {
    "name": "unnamed",
    "trainable": "unknown",
    "objective": {"metric": "unknown", "mode": "min"},
    "budget": {"trials_per_arm": 1, "max_epochs": 2**31},
}
"""Required keys for a file that lacks them, so that the rest of it can be checked in the same go."""


class _Reading:
    """One pass over a file, after presets and options: says all that is wrong, or makes the sweep."""

    def __init__(self, root: Node, path: Path, mistakes: Mistakes) -> None:
        self.root = root
        self.path = path
        self.mistakes = mistakes
        self.lost: set[str] = set()
        """Top-level keys that are missing, or that hold something of a wrong form; of `params` and `compare` only what
        is wrong itself is left out."""
        self.broken: set[str | int] = set()
        """Names of parameters whose own entry has a wrong form and is left out of all checks."""
        self.wrong: set[str | int] = set()
        """Names of parameters whose own value is wrong."""
        self.references: list[tuple[KeyPath, str, bool]] = []
        """What is wrong with what refers to other entries; whether it is worth saying depends on those."""

    def sweep(self) -> Sweep | None:
        self.root.value.setdefault("name", Node(self.path.stem, self.root.place))
        overlays.make_paths_absolute(self.root)
        space = self._space()
        if self.lost.isdisjoint({"budget", "pruning", "resources", "arms"}):
            check_space(space, self.note)
        components = self._components(space)
        if "corpus" not in self.lost and space.corpus is not None:
            with self._blaming(("corpus",)):
                check_corpus(space.corpus, loader.corpus_model(space.corpus), self.note)
        self.broken.update(check_params(space, self.note))
        arms, skipped = self._arms(space)
        trainable = self._trainable(space, components)
        if trainable is not None:
            self._check_against(trainable, space, arms)
        self._note_references()
        if trainable is not None and not self.mistakes.entries:
            ConfigCheck(trainable, self.note).check_distinct(arms)
        if trainable is None or self.mistakes.entries:
            return None
        text = yaml_tree.write(self.root.plain())
        return Sweep(space.name, self.path, space, tuple(arm for arm, _ in arms), tuple(skipped), text, trainable)

    def note(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a mistake at a path."""
        node = self.root.find(path)
        place = node.key_place if at_key and node.key_place else node.place
        self.mistakes.entries.add(Mistake(place, join_path(self.root.trace(path)), message))

    def _note_value(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note what the trainable refuses, unless the entry has been left out."""
        if self.broken.isdisjoint(path[-1:]):
            self.note(path, message, at_key=at_key)
            self.wrong.update(_entry(path)[1:])

    def _keep_reference(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        self.references.append((path, message, at_key))

    def _note_references(self) -> None:
        """Note what refers to something in vain, unless that is wrong itself or was narrowed by a preset or option."""
        for path, message, at_key in self.references:
            follows = not (self.broken | self.wrong).isdisjoint(path[-1:])
            if not follows and (path[0] == "baseline" or not self._is_narrowed(path)):
                self.note(path, message, at_key=at_key)

    def _is_narrowed(self, reference: KeyPath) -> bool:
        """Whether the file's own condition is on a parameter that is set by a preset or an option.

        `--set compare.loss=[l1, l2]` must not be a mistake because the file has parameters for `vae` only.
        """
        entries = [(section, reference[-1]) for section in ("compare", "params")]
        places = [self.root.find(entry).place for entry in entries if self.root.trace(entry) == entry]
        return any(place.is_laid_over for place in places) and not self.root.find(reference).place.is_laid_over

    def _space(self) -> SearchSpace:
        """The models of the file, or of what is right in it."""
        tree = self.root.plain()
        try:
            return SearchSpace.model_validate(tree)
        except ValidationError as error:
            errors = error.errors()
        for details in errors:
            path = self.root.trace(details["loc"])
            unknown = details["type"] == "extra_forbidden"
            self.note(path, unknown_key(path) if unknown else describe(details), at_key=unknown)
        return self._rest(tree, errors)

    def _rest(self, tree: dict[str, Any], errors: Sequence[ErrorDetails]) -> SearchSpace:
        """What is left of a file when all that is wrong is cut out, and stand-ins for what that takes away."""
        for details in errors:
            path = _entry(self.root.trace(details["loc"]))
            _cut(tree, path)
            if len(path) > 1 and path[0] in ("params", "compare"):
                self.broken.update(path[1:])
            else:
                self.lost.update(path[:1])
        try:
            return self._completed(tree)
        except ValidationError as error:
            # A section that misses what was cut out of it goes as a whole.
            sections = {str(details["loc"][0]) for details in error.errors()}
        self.lost |= sections
        return self._completed({key: value for key, value in tree.items() if key not in sections})

    def _completed(self, tree: dict[str, Any]) -> SearchSpace:
        self.lost |= STAND_INS.keys() - tree.keys()
        return SearchSpace.model_validate({**STAND_INS, **tree})

    def _arms(self, space: SearchSpace) -> tuple[list[tuple[Arm, Cell]], list[str]]:
        if not self.lost.isdisjoint({"params", "compare"}):
            return [], []
        cells, skipped = make_cells(space, self._keep_reference)
        check_baseline(space, cells, self._keep_reference)
        return make_arms(cells, self._keep_reference), skipped

    def _components(self, space: SearchSpace) -> list[Path] | None:
        """Import the files that register losses, corpora, …; None if that goes wrong."""
        imported: list[Path] = []
        for index, path in enumerate(space.components):
            with self._blaming(("components", index)):
                loader.check_component(path, imported)
                loader.load_components([path])
                imported.append(path)
        return imported if len(imported) == len(space.components) else None

    def _trainable(self, space: SearchSpace, components: Sequence[Path] | None) -> type[Trainable] | None:
        """Import the trainable; None if that goes wrong, or if it lacks components."""
        if "trainable" in self.lost:
            return None
        trainable = None
        with self._blaming(("trainable",)):
            loader.check_trainable(space.trainable, self.path.parent, components or ())
            trainable = loader.load_trainable(space.trainable, self.path.parent)
        # Without its components a trainable would complain about names that they register.
        return trainable if components is not None else None

    def _check_against(self, trainable: type[Trainable], space: SearchSpace, arms: Sequence[tuple[Arm, Cell]]) -> None:
        """Check what only the trainable knows: its settings and its metrics."""
        num_mistakes = len(self.mistakes.entries)
        if "objective" not in self.lost:
            check_objective(space, trainable, len(arms), self.note)
            check_renderings(space, trainable, self.note)
            check_objective_at(space, [cell for _, cell in arms], self.note)
        check = ConfigCheck(trainable, self._note_value)
        check.check_bundles(space)
        for arm, cell in arms:
            check.check_arm(arm, cell)
        if "budget" not in self.lost:
            check_seeds(space, arms, self.note)
        if len(self.mistakes.entries) == num_mistakes and "objective" not in self.lost:
            for arm, _ in arms:
                check.check_renderings(arm, renderings(space))
                if not check.check_reports(arm, space.objective.metric, trainable.reported):
                    break

    @contextmanager
    def _blaming(self, path: KeyPath) -> Iterator[None]:
        """Take what is refused inside as a mistake at a path."""
        try:
            yield
        except UserError as error:
            self.note(path, str(error))


def _entry(path: KeyPath) -> tuple[str, ...]:
    """The smallest part of a file that can be taken out because of a mistake at a path.

    That is a parameter as a whole; of a list all of it, since the places of other items must not change; and of what is
    compared the comparison, since an arm less would make other mistakes.
    """
    names = tuple(str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), path))
    match names:
        case ("params", name, *_):
            return ("params", name)
        case ("compare", key, bundle, name, *_):
            return ("compare", key, bundle, name)
        case ("compare", key, *_):
            return ("compare", key)
    return names


def _cut(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    """Take the value at a path out of a tree, if it is still there."""
    for key in path[:-1]:
        tree = tree.get(key, {})
    for key in path[-1:]:
        tree.pop(key, None)
