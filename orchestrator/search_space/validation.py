"""The checks of a search space: from its nodes to the arms of a sweep, with every mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.errors import UserError
from orchestrator.messages import KeyPath, Mistake, Mistakes, describe, find_similar, join_path
from orchestrator.plugins import additions, loader
from orchestrator.plugins.samplers import check_sampler_file
from orchestrator.search_space import overlays
from orchestrator.search_space.arms import Arm, make_arms
from orchestrator.search_space.checks.config import ConfigCheck
from orchestrator.search_space.checks.objective import check_objective, check_objective_at, check_renderings
from orchestrator.search_space.checks.rules import (
    check_baseline,
    check_corpus,
    check_needs_no_corpus,
    check_seeds,
    check_space,
)
from orchestrator.search_space.combinations import Cell, check_params, make_cells
from orchestrator.search_space.keys import unknown_key
from orchestrator.search_space.names import reservation_problem
from orchestrator.search_space.panel import Panel, read_panel
from orchestrator.search_space.sampler import is_file
from orchestrator.search_space.sampler_choice import check_search
from orchestrator.search_space.schema import SearchSpace
from orchestrator.search_space.sweep import Sweep, renderings
from orchestrator.search_space.valid_parts import keep_valid_parts, removable_part
from orchestrator.search_space.yaml import tree as yaml_tree
from orchestrator.search_space.yaml.tree import Node

if TYPE_CHECKING:
    from trainables.trainable import Declaration, Metric, TrialConfig


class Validation:
    """The checks of a file after presets and options were applied.

    Attributes:
        root: the file.
        path: its path.
        mistakes: receives all mistakes.
        skipped_sections: top-level keys that are left out of all checks.
        skipped_params: names of parameters that are left out of all checks.
        invalid_params: names of parameters whose value is wrong.
        references: mistakes in references to other entries, as (path, message, whether it is at the key). They are not
            reported if those entries have mistakes of their own.
        was_checked: whether the file is the copy of one that was checked, with presets and options, when its sweep was
            started; then only references in new options are checked.
    """

    def __init__(self, root: Node, path: Path, mistakes: Mistakes, *, was_checked: bool = False) -> None:
        self.was_checked = was_checked
        self.root = root
        self.path = path
        self.mistakes = mistakes
        self.skipped_sections: set[str] = set()
        self.skipped_params: set[str | int] = set()
        self.invalid_params: set[str | int] = set()
        self.references: list[tuple[KeyPath, str, bool]] = []

    def sweep(self) -> Sweep | None:
        """Check the file, and return its sweep; None if it has mistakes."""
        self.root.value.setdefault("name", Node(self.path.stem, self.root.place))
        overlays.make_paths_absolute(self.root)
        space = self._validate()
        # A sweep that has run keeps its name, also if newer versions reserve it.
        if not self.was_checked and (problem := reservation_problem(space.name)):
            self.note(("name",), problem)
        if self.skipped_sections.isdisjoint({"budget", "pruning", "resources", "arms"}):
            check_space(space, self.note)
        components = self._import_components(space)
        if "corpus" not in self.skipped_sections and space.corpus is not None:
            with self._note_errors_at(("corpus",)):
                check_corpus(space.corpus, loader.corpus_model(space.corpus), self.note)
        elif not {"corpus", "trainable"} & self.skipped_sections:
            check_needs_no_corpus(space, self.note)
        panel = self._read_panel(space)
        self.skipped_params.update(check_params(space, self.note))
        arms, skipped = self._make_arms(space)
        declaration = self._load_declaration(space, components)
        metrics: dict[str, Metric] = {}
        if declaration is not None:
            metrics = panel.describe_metrics(declaration, self.note)
            self._check_against(declaration, metrics, space, arms)
        self._note_references()
        if self.skipped_sections.isdisjoint({"search", "budget"}):
            # Without the parameters that are left out, arms can be searched in other ways than their author means.
            check_search(space, [] if self.skipped_params else [arm for arm, _ in arms], self.note)
            with self._note_errors_at(("search", "sampler")):
                if is_file(space.search.sampler):
                    check_sampler_file(Path(space.search.sampler))
        if declaration is not None and not self.mistakes.entries:
            ConfigCheck(declaration, self.note).check_distinct(arms)
        if declaration is None or self.mistakes.entries:
            return None
        text = yaml_tree.write(self.root.to_plain())
        return Sweep(
            space.name,
            self.path,
            space,
            tuple(arm for arm, _ in arms),
            tuple(skipped),
            text,
            declaration,
            judges=panel.judges,
            judge_files=panel.files,
            metrics=metrics,
        )

    def note(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Record a mistake at a path."""
        node = self.root.find(path)
        place = node.key_place if at_key and node.key_place else node.place
        self.mistakes.entries.add(Mistake(place, join_path(self.root.trace(path)), message))

    def _note_value(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Record a value that the trainable refuses, unless its entry was left out of the checks."""
        if self.skipped_params.isdisjoint(path[-1:]):
            self.note(path, message, at_key=at_key)
            self.invalid_params.update(removable_part(path)[1:])

    def _keep_reference(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        self.references.append((path, message, at_key))

    def _note_references(self) -> None:
        """Record wrong references, unless their target is wrong itself or was narrowed by a preset or an option."""
        for path, message, at_key in self.references:
            is_consequence = not (self.skipped_params | self.invalid_params).isdisjoint(path[-1:])
            if not is_consequence and (path[0] == "baseline" or not self._is_narrowed(path)):
                self.note(path, message, at_key=at_key)

    def _is_narrowed(self, reference: KeyPath) -> bool:
        """Return whether a condition of the file itself is on a parameter that a preset or an option sets, or has set.

        `--set compare.loss=[l1, l2]` must not be a mistake because the file has parameters for `vae` only.
        """
        if self.was_checked:
            return not self.root.find(reference).place.is_override
        entries = [(section, reference[-1]) for section in ("compare", "params")]
        places = [self.root.find(entry).place for entry in entries if self.root.trace(entry) == entry]
        return any(place.is_override for place in places) and not self.root.find(reference).place.is_override

    def _validate(self) -> SearchSpace:
        """Return the file as a model, and note each mistake; with mistakes, only its valid parts are in the model."""
        tree = self.root.to_plain()
        try:
            return SearchSpace.model_validate(tree)
        except ValidationError as error:
            errors = error.errors()
        paths = []
        for details in errors:
            path = self.root.trace(details["loc"])
            paths.append(path)
            unknown = details["type"] == "extra_forbidden"
            self.note(path, unknown_key(path) if unknown else describe(details), at_key=unknown)
            if unknown and len(path) == 1:
                # A misspelled section counts as skipped: references to it become right when its name is corrected.
                self.skipped_sections |= {find_similar(path[0], SearchSpace.model_fields)} - tree.keys()
        parts = keep_valid_parts(tree, paths)
        self.skipped_sections |= parts.skipped_sections
        self.skipped_params |= parts.skipped_params
        return parts.space

    def _make_arms(self, space: SearchSpace) -> tuple[list[tuple[Arm, Cell]], list[str]]:
        if not self.skipped_sections.isdisjoint({"params", "compare"}):
            return [], []
        cells, skipped = make_cells(space, self._keep_reference)
        check_baseline(space, cells, self._keep_reference)
        return make_arms(cells, self._keep_reference), skipped

    def _import_components(self, space: SearchSpace) -> list[Path] | None:
        """Import the files that register losses, corpora, …; return None if that fails."""
        imported: list[Path] = []
        for index, path in enumerate(space.components):
            with self._note_errors_at(("components", index)):
                loader.check_component(path, imported)
                loader.load_components([path])
                imported.append(path)
        return imported if len(imported) == len(space.components) else None

    def _read_panel(self, space: SearchSpace) -> Panel:
        """Return the judges and metrics that the file adds."""
        if not self.skipped_sections.isdisjoint({"judges", "metrics"}):
            return Panel()
        return read_panel(space, self.note)

    def _load_declaration(self, space: SearchSpace, components: Sequence[Path] | None) -> type[Declaration] | None:
        """Return the trainable's declaration; None if that fails, or if components could not be imported."""
        if "trainable" in self.skipped_sections:
            return None
        declaration = None
        with self._note_errors_at(("trainable",)):
            loader.check_trainable(space.trainable_reference, self.path.parent, components or ())
            declaration = loader.load_declaration(space.trainable_reference, self.path.parent)
        # Otherwise names that the components register would be reported as unknown.
        return declaration if components is not None else None

    def _check_against(
        self,
        trainable: type[Declaration],
        metrics: Mapping[str, Metric],
        space: SearchSpace,
        arms: Sequence[tuple[Arm, Cell]],
    ) -> None:
        """Check the settings and the metrics of the trainable."""
        num_mistakes = len(self.mistakes.entries)
        if "objective" not in self.skipped_sections:
            check_objective(space, trainable, metrics, len(arms), self.note)
            check_renderings(space, trainable, self.note)
            check_objective_at(space, [cell for _, cell in arms], self.note)
        check = ConfigCheck(trainable, self._note_value)
        check.check_bundles(space)
        for arm, cell in arms:
            check.check_arm(arm, cell)
        if "budget" not in self.skipped_sections:
            check_seeds(space, arms, self.note)
        if len(self.mistakes.entries) == num_mistakes and "objective" not in self.skipped_sections:
            added = [name for name in metrics if name not in trainable.METRICS]

            def reported(config: TrialConfig) -> list[str]:
                names = [*trainable.reported(config)]
                return names + added if additions.reports_added(names) else names

            for arm, _ in arms:
                check.check_renderings(arm, renderings(space))
                if not check.check_reports(arm, space.objective, reported):
                    break

    @contextmanager
    def _note_errors_at(self, path: KeyPath) -> Iterator[None]:
        """Record a `UserError` of the block as a mistake at a path."""
        try:
            yield
        except UserError as error:
            self.note(path, str(error))
