"""Choosing the systems of a listening test from a sweep's runs in MLflow: trials, or renderings of one trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.design import ComparedMetric
from reports.listening.mlflow import clips_of, find_sweep, report_mlflow_errors, runs_of_role
from reports.runs.sweeps import identity, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class System:
    """A trial, or one rendering of a trial, whose sounds are compared.

    Attributes:
        name: its name in the results.
        identity: its trial and rendering; unlike the run id it does not change if the run is deleted and made again.
        run_id: its MLflow run.
        trial: number of its trial; None for a rendering.
    """

    name: str
    identity: str
    run_id: str
    trial: int | None = None


@dataclass(frozen=True)
class Sources:
    """The systems and clips of a listening test.

    Attributes:
        sweep: name of the sweep.
        sweep_run_id: the sweep's parent run.
        sweep_identity: the sweep's id.
        systems: the systems, sorted by name.
        clips: names of the clips that all systems have.
        notes: what was left out or replaced, one line each.
        metrics: metrics that two systems or more have, by name, with values by run id.
    """

    sweep: str
    sweep_run_id: str
    sweep_identity: str
    systems: tuple[System, ...]
    clips: tuple[str, ...]
    notes: tuple[str, ...]
    metrics: dict[str, ComparedMetric] = field(default_factory=dict)


def find_sources(
    client: MlflowClient, sweep: str, *, top: int, trials: Sequence[int] = (), vary: str | None = None
) -> Sources:
    """Choose the systems: the best trial of each arm, some trials, or the renderings of one trial.

    Args:
        client: client of the MLflow that has the sweep.
        sweep: its name or, if several have that name, its name and id (`vae@3fa9c1`).
        top: maximum number of arms; the best are taken.
        trials: numbers of trials to take instead; with `vary`, the one trial whose renderings are taken.
        vary: a setting of `evaluate:`, such as `phase`, to take the renderings that differ in it instead.

    Raises:
        ReportError: there are no such systems, or MLflow does not answer.
    """
    with report_mlflow_errors(client):
        parent = find_sweep(client, sweep)
        finder = _Finder(client, parent)
        if vary is not None:
            systems = finder.find_renderings(vary, trials)
        else:
            systems = finder.find_trials(trials) if trials else finder.find_best_of_arms(top)
        # The order of --trials must not change the test's id.
        systems.sort(key=lambda system: system.name)
        clips = finder.find_shared_clips(systems)
        metrics = finder.find_metrics(systems)
    name, run_id = parent.data.tags[words.TAG_SWEEP], parent.info.run_id
    return Sources(name, run_id, identity(parent), tuple(systems), tuple(clips), tuple(finder.notes), metrics)


class _Finder:
    """Finds trials and renderings of one sweep.

    Args:
        client: client of the MLflow that has the sweep.
        parent: the sweep's parent run.
    """

    def __init__(self, client: MlflowClient, parent: Run) -> None:
        self._client = client
        self._parent = parent
        self.notes: list[str] = []
        self._name = parent.data.tags[words.TAG_SWEEP]
        mode, _, metric = parent.data.params.get("objective", "").partition(" ")
        self._metric = words.to_mlflow(words.best_name(metric))
        self._sign = 1 if mode == "min" else -1
        self._clips: dict[str, set[str]] = {}
        self._trials = self._runs(words.ROLE_TRIAL)

    def find_best_of_arms(self, top: int) -> list[System]:
        """Return the best trial with sounds of each arm, for the `top` best arms."""
        run_by_arm: dict[str, Run] = {}
        best_by_arm: dict[str, Run] = {}
        for run in self._ranked():
            arm = run.data.tags[words.TAG_ARM]
            best_by_arm.setdefault(arm, run)
            if arm not in run_by_arm and self._clips_of(run):
                run_by_arm[arm] = run
                self._note_substitute(run, best_by_arm[arm])
                self._note_incomplete(run)
        if not run_by_arm:
            record = read_record(self._client, self._parent) or {}
            if record.get("renders") is False:
                raise ReportError(f"sweep {self._name}: its trainable makes no sounds, there is nothing to listen to")
            raise ReportError(
                f"sweep {self._name}: MLflow has no ended trial with sounds; they come with the end of a trial "
                "whose trainable renders clips (media.clips above 0)"
            )
        if len(run_by_arm) > top:
            self.notes.append(f"the best {top} of {len(run_by_arm)} arms; --top {len(run_by_arm)} takes all")
        return [self._system(run) for run in list(run_by_arm.values())[:top]]

    def find_trials(self, numbers: Sequence[int]) -> list[System]:
        """Return the trials with these numbers."""
        return [self._system(self._trial_with_sounds(number)) for number in dict.fromkeys(numbers)]

    def find_renderings(self, setting: str, numbers: Sequence[int]) -> list[System]:
        """Return the renderings that differ in a setting, of one trial or of the best trial that has renderings."""
        if len(numbers) > 1:
            raise ReportError(
                f"--vary {setting} compares renderings of one trial, got --trials {' '.join(map(str, numbers))}"
            )
        runs = [run for run in self._runs(words.ROLE_EVALUATION) if words.TAG_RENDERING in run.data.tags]
        trial = self._trial(numbers[0]) if numbers else self._best_with_renderings(runs)
        number = trial.data.tags[words.TAG_TRIAL]
        own = [run for run in runs if run.data.tags.get(words.TAG_TRIAL) == number and self._clips_of(run)]
        varied = [run for run in own if setting in _settings(run)]
        if not varied:
            settings = sorted({name for run in own for name in _settings(run)})
            hint = f"it is with another {', '.join(settings)}" if settings else "set evaluate: in its search space"
            raise ReportError(
                f"--vary {setting}: trial {number} of sweep {self._name} is not rendered with another {setting}; {hint}"
            )
        return [self._rendered_system(number, run) for run in varied]

    def find_shared_clips(self, systems: Sequence[System]) -> list[str]:
        """Return the names of the clips that all systems have."""
        clip_sets = [self._clips[system.run_id] for system in systems]
        shared, union = set.intersection(*clip_sets), set.union(*clip_sets)
        if not shared:
            names = "; ".join(system.name for system in systems)
            raise ReportError(f"sweep {self._name}: these have no clip in common: {names}; give others in --trials")
        if shared != union:
            self.notes.append(f"{len(union - shared)} of {len(union)} clips are missing for some systems: left out")
        return sorted(shared)

    def find_metrics(self, systems: Sequence[System]) -> dict[str, ComparedMetric]:
        """Return the validation metrics that two systems or more have and that mean the same for all of them."""
        declared = (read_record(self._client, self._parent) or {}).get("metrics", {})
        metrics_by_run = {
            system.run_id: self._client.get_run(system.run_id).data.metrics for system in systems if declared
        }
        compared = {}
        for name, description in declared.items():
            if description.get("comparable", "all") != "all":
                continue
            sound_name = words.SOUND_PREFIX + name.removeprefix(words.VAL_PREFIX)
            for logged_as in (words.best_name(name), sound_name):
                values = {
                    run_id: metrics[key]
                    for run_id, metrics in metrics_by_run.items()
                    if math.isfinite(metrics.get(key := words.to_mlflow(logged_as), math.nan))
                }
                if len(values) > 1:
                    shown = name if logged_as != sound_name else sound_name
                    compared[shown] = ComparedMetric(mode=description["mode"], values=values)
        return compared

    def _runs(self, role: str) -> list[Run]:
        """Return the sweep's runs with a role; another sweep in the experiment may have the same name."""
        identity_tags = (words.TAG_SWEEP, words.TAG_SWEEP_ID)
        own = (self._name, self._parent.data.tags.get(words.TAG_SWEEP_ID))
        runs = runs_of_role(self._client, [self._parent.info.experiment_id], role)
        return [run for run in runs if tuple(map(run.data.tags.get, identity_tags)) == own]

    def _ranked(self) -> list[Run]:
        """Return the trials of the search that did not fail, best first, but completed ones before all others."""
        scored = []
        for run in self._trials:
            score, tags = run.data.metrics.get(self._metric, math.nan), run.data.tags
            competes = tags.get(words.TAG_STAGE, words.STAGE_SEARCH) == words.STAGE_SEARCH
            if competes and tags.get(words.TAG_OUTCOME) != words.OUTCOME_FAILED and not math.isnan(score):
                scored.append((not _is_completed(run), self._sign * score, int(tags[words.TAG_TRIAL]), run))
        return [run for *_, run in sorted(scored, key=lambda entry: entry[:3])]

    def _note_substitute(self, run: Run, best: Run) -> None:
        """Note that another trial is used, if the best trial of its arm has no sounds."""
        if run is not best:
            self.notes.append(
                f"{best.data.tags[words.TAG_ARM]}: its best trial, {best.data.tags[words.TAG_TRIAL]}, has no sounds "
                f"in MLflow; trial {run.data.tags[words.TAG_TRIAL]} is used instead"
            )

    def _note_incomplete(self, run: Run) -> None:
        """Note that a trial did not train to the end, if it did not."""
        if not _is_completed(run):
            tags = run.data.tags
            self.notes.append(
                f"{tags[words.TAG_ARM]}: trial {tags[words.TAG_TRIAL]} is used, which did not train to the end "
                f"({tags.get(words.TAG_OUTCOME)})"
            )

    def _best_with_renderings(self, runs: Sequence[Run]) -> Run:
        """Return the best trial that has one of these runs as a rendering with sounds."""
        rendered = {run.data.tags.get(words.TAG_TRIAL) for run in runs if self._clips_of(run)}
        for run in self._ranked():
            if run.data.tags[words.TAG_TRIAL] in rendered:
                return run
        raise ReportError(
            f"sweep {self._name}: no trial is rendered in several ways; set evaluate: in its search space"
        )

    def _trial(self, number: int) -> Run:
        runs_by_number = {int(run.data.tags[words.TAG_TRIAL]): run for run in self._trials}
        if number not in runs_by_number:
            available = ", ".join(map(str, sorted(runs_by_number))) or "none"
            raise ReportError(f"--trials {number}: sweep {self._name} has no such trial; MLflow has {available}")
        return runs_by_number[number]

    def _trial_with_sounds(self, number: int) -> Run:
        run = self._trial(number)
        if not self._clips_of(run):
            numbers = sorted(int(trial.data.tags[words.TAG_TRIAL]) for trial in self._trials if self._clips_of(trial))
            available = ", ".join(map(str, numbers)) or "no trial"
            raise ReportError(
                f"--trials {number}: MLflow has no sounds of this trial of {self._name}, only of {available}"
            )
        return run

    def _clips_of(self, run: Run) -> set[str]:
        """Return the names of a run's clips; each run's artifacts are listed once."""
        run_id = run.info.run_id
        if run_id not in self._clips:
            self._clips[run_id] = clips_of(self._client, run_id)
        return self._clips[run_id]

    def _system(self, run: Run) -> System:
        number = run.data.tags[words.TAG_TRIAL]
        return System(
            f"{run.data.tags[words.TAG_ARM]}, trial {number}", f"trial {number}", run.info.run_id, int(number)
        )

    def _rendered_system(self, number: str, run: Run) -> System:
        rendering = run.data.tags[words.TAG_RENDERING]
        return System(f"{rendering}, trial {number}", f"trial {number} {rendering}", run.info.run_id)


def _is_completed(run: Run) -> bool:
    return run.data.tags.get(words.TAG_OUTCOME) == words.OUTCOME_COMPLETED


def _settings(run: Run) -> set[str]:
    """Return the names of a rendering's settings: `phase=zero, magnitude=own` → phase, magnitude."""
    return {part.partition("=")[0] for part in str(run.data.tags[words.TAG_RENDERING]).split(", ")}
