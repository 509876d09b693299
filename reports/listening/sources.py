"""Which systems of a sweep are listened to, as its runs in MLflow have them: trials, or renderings of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.mlflow import clips_of, find_sweep, runs_of_role, telling
from reports.runs.sweeps import identity, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class System:
    """Something whose sounds are judged: a trial, or one rendering of a trial.

    Attributes:
        identity: the same for the same trial and rendering, also when its run was deleted and made anew.
    """

    name: str
    identity: str
    run_id: str


@dataclass(frozen=True)
class Sources:
    """What is to be heard.

    Attributes:
        sweep_run_id: the sweep's own run.
        sweep_identity: tells this sweep from another one of the same name.
        clips: those that all systems have.
        notes: what was left out or replaced, a line each.
    """

    sweep: str
    sweep_run_id: str
    sweep_identity: str
    systems: tuple[System, ...]
    clips: tuple[str, ...]
    notes: tuple[str, ...]


def find_sources(
    client: MlflowClient, sweep: str, *, top: int, trials: Sequence[int] = (), vary: str | None = None
) -> Sources:
    """Choose the systems: the best trial of each arm, the given trials, or one trial's renderings.

    Args:
        client: of the MLflow that has the sweep.
        sweep: its name or, where several have that name, its name and id (`vae@3fa9c1`).
        top: at most so many arms, best first.
        trials: these trials instead; with `vary` the one whose renderings are meant.
        vary: a setting of `evaluate:`, such as `phase`.

    Raises:
        ReportError: there is nothing of the kind, or MLflow doesn't answer.
    """
    with telling(client):
        parent = find_sweep(client, sweep)
        finder = _Finder(client, parent)
        if vary is not None:
            systems = finder.renderings(vary, trials)
        else:
            systems = finder.given(trials) if trials else finder.best_of_arms(top)
        # The same systems are the same test, in whatever order they come.
        systems.sort(key=lambda system: system.name)
        clips = finder.shared_clips(systems)
    name, run_id = parent.data.tags[words.TAG_SWEEP], parent.info.run_id
    return Sources(name, run_id, identity(parent), tuple(systems), tuple(clips), tuple(finder.notes))


class _Finder:
    """The trials and renderings of one sweep."""

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

    def best_of_arms(self, top: int) -> list[System]:
        ranked = self._ranked()
        arms: dict[str, Run] = {}
        for run in ranked:
            arm = run.data.tags[words.TAG_ARM]
            if arm in arms:
                continue
            if self._clips_of(run):
                arms[arm] = run
                self._tell_of_better(
                    run, next(candidate for candidate in ranked if candidate.data.tags[words.TAG_ARM] == arm)
                )
                self._tell_of_unfinished(run)
        if not arms:
            record = read_record(self._client, self._parent) or {}
            if record.get("renders") is False:
                raise ReportError(f"sweep {self._name}: its trainable makes no sounds, there is nothing to listen to")
            raise ReportError(
                f"sweep {self._name}: MLflow has no ended trial with sounds; they come with the end of a trial "
                "whose trainable renders clips (media.clips above 0)"
            )
        if len(arms) > top:
            self.notes.append(f"the best {top} of {len(arms)} arms; --top {len(arms)} takes all")
        return [self._system(run) for run in list(arms.values())[:top]]

    def given(self, numbers: Sequence[int]) -> list[System]:
        return [self._system(self._heard(number)) for number in dict.fromkeys(numbers)]

    def renderings(self, setting: str, numbers: Sequence[int]) -> list[System]:
        if len(numbers) > 1:
            raise ReportError(
                f"--vary {setting} compares renderings of one trial, got --trials {' '.join(map(str, numbers))}"
            )
        runs = [run for run in self._runs(words.ROLE_EVALUATION) if words.TAG_RENDERING in run.data.tags]
        trial = self._trial(numbers[0]) if numbers else self._best_rendered(runs)
        number = trial.data.tags[words.TAG_TRIAL]
        own = [run for run in runs if run.data.tags.get(words.TAG_TRIAL) == number and self._clips_of(run)]
        varied = [run for run in own if setting in _settings(run)]
        if not varied:
            settings = sorted({name for run in own for name in _settings(run)})
            raise ReportError(
                f"--vary {setting}: trial {number} of sweep {self._name} is not rendered with another {setting}; "
                + (
                    f"it is with another {', '.join(settings)}"
                    if settings
                    else "evaluate: in its search space asks for that"
                )
            )
        return [self._rendered_system(number, run) for run in varied]

    def shared_clips(self, systems: Sequence[System]) -> list[str]:
        sets = [self._clips[system.run_id] for system in systems]
        shared, every = set.intersection(*sets), set.union(*sets)
        if not shared:
            names = "; ".join(system.name for system in systems)
            raise ReportError(f"sweep {self._name}: no clip is there of all of these: {names}; give others in --trials")
        if shared != every:
            self.notes.append(f"{len(every - shared)} of {len(every)} clips are not there of all systems: left out")
        return sorted(shared)

    def _runs(self, role: str) -> list[Run]:
        mine = (self._name, self._parent.data.tags.get(words.TAG_SWEEP_ID))
        runs = runs_of_role(self._client, [self._parent.info.experiment_id], role)
        return [run for run in runs if tuple(map(run.data.tags.get, (words.TAG_SWEEP, words.TAG_SWEEP_ID))) == mine]

    def _ranked(self) -> list[Run]:
        """Trials of the search that did not fail, those that trained to the end first, and of them the best."""
        scored = []
        for run in self._trials:
            score, tags = run.data.metrics.get(self._metric, math.nan), run.data.tags
            competes = tags.get(words.TAG_STAGE, words.STAGE_SEARCH) == words.STAGE_SEARCH
            if competes and tags.get(words.TAG_OUTCOME) != words.OUTCOME_FAILED and not math.isnan(score):
                scored.append((not _is_full(run), self._sign * score, int(tags[words.TAG_TRIAL]), run))
        return [run for *_, run in sorted(scored, key=lambda entry: entry[:3])]

    def _tell_of_better(self, run: Run, best: Run) -> None:
        if run is not best:
            self.notes.append(
                f"{best.data.tags[words.TAG_ARM]}: its best trial, {best.data.tags[words.TAG_TRIAL]}, has no sounds "
                f"in MLflow; trial {run.data.tags[words.TAG_TRIAL]} is heard instead"
            )

    def _tell_of_unfinished(self, run: Run) -> None:
        if not _is_full(run):
            tags = run.data.tags
            self.notes.append(
                f"{tags[words.TAG_ARM]}: trial {tags[words.TAG_TRIAL]} is heard, which did not train to the end "
                f"({tags.get(words.TAG_OUTCOME)})"
            )

    def _best_rendered(self, runs: Sequence[Run]) -> Run:
        rendered = {run.data.tags.get(words.TAG_TRIAL) for run in runs if self._clips_of(run)}
        for run in self._ranked():
            if run.data.tags[words.TAG_TRIAL] in rendered:
                return run
        raise ReportError(
            f"sweep {self._name}: no trial is rendered in several ways; evaluate: in its search space asks for that"
        )

    def _trial(self, number: int) -> Run:
        runs_by_number = {int(run.data.tags[words.TAG_TRIAL]): run for run in self._trials}
        if number not in runs_by_number:
            available = ", ".join(map(str, sorted(runs_by_number))) or "none"
            raise ReportError(f"--trials {number}: sweep {self._name} has no such trial; MLflow has {available}")
        return runs_by_number[number]

    def _heard(self, number: int) -> Run:
        run = self._trial(number)
        if not self._clips_of(run):
            numbers = sorted(int(trial.data.tags[words.TAG_TRIAL]) for trial in self._trials if self._clips_of(trial))
            available = ", ".join(map(str, numbers)) or "no trial"
            raise ReportError(
                f"--trials {number}: MLflow has no sounds of this trial of {self._name}, only of {available}"
            )
        return run

    def _clips_of(self, run: Run) -> set[str]:
        run_id = run.info.run_id
        if run_id not in self._clips:
            self._clips[run_id] = clips_of(self._client, run_id)
        return self._clips[run_id]

    def _system(self, run: Run) -> System:
        number = run.data.tags[words.TAG_TRIAL]
        return System(f"{run.data.tags[words.TAG_ARM]}, trial {number}", f"trial {number}", run.info.run_id)

    def _rendered_system(self, number: str, run: Run) -> System:
        rendering = run.data.tags[words.TAG_RENDERING]
        return System(f"{rendering}, trial {number}", f"trial {number} {rendering}", run.info.run_id)


def _is_full(run: Run) -> bool:
    return run.data.tags.get(words.TAG_OUTCOME) == words.OUTCOME_COMPLETED


def _settings(run: Run) -> set[str]:
    """The settings that a rendering was made with: `phase=zero, magnitude=own` → phase, magnitude."""
    return {part.partition("=")[0] for part in str(run.data.tags[words.TAG_RENDERING]).split(", ")}
