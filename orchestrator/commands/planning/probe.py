"""`orchestrate plan --probe`: really train one or two epochs of each distinct shape, on Ray as a sweep would."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.commands.planning.load import Durations
from orchestrator.commands.planning.shapes import Shape, list_shapes
from orchestrator.errors import UserError
from orchestrator.plugins import additions, loader
from orchestrator.state.home import open_home
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.driver.grants import Grant
    from orchestrator.machines.inventory import Capacity
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.sweep import Sweep
    from orchestrator.worker.measurement import Measurement
    from trainables.corpora.corpus import Corpus

MOST_REPEATED = 16
"""Shapes are repeated until all slots are busy, as in a sweep, but to no more probed trials than these."""
PRUNED, COMPLETED, CONFIRM = "pruned", "completed", "confirm"
"""The evaluations of a trial, by how it ended."""


@dataclass(frozen=True)
class Probe:
    """What was measured.

    Attributes:
        shapes: how many distinct shapes there are.
        durations: by arm, how long the parts of its trials took, one for each probed trial.
        start_s: the seconds before the first epoch of a sweep: the start of Ray, and that of a worker.
        checkpoint_bytes: the size of the largest checkpoint.
        clips: the number of clips of the corpus; 0 without one.
        capacity: the machines.
        grants: the resources of a trial of each arm.
        notes: a line for each request that was reduced.
    """

    shapes: int
    durations: Mapping[str, tuple[Durations, ...]]
    start_s: float
    checkpoint_bytes: int
    clips: int
    capacity: Capacity
    grants: Mapping[str, Grant]
    notes: Sequence[str]

    @property
    def slots(self) -> int:
        """The number of trials that run at once."""
        return max(self.capacity.count(grant) for grant in self.grants.values())


def run_probe(sweep: Sweep, home: Path, screen: Screen) -> Probe:
    """Prepare what all trials share, as a sweep would, and measure a trial of each shape.

    Args:
        sweep: the search space.
        home: the folder of all sweeps; the corpus, its features and its judge are cached there for the sweep.
        screen: shows the progress.

    Raises:
        UserError: the corpus can't be used, no machine has what a trial requests, or a shape can't be trained.
    """
    from orchestrator.driver import cluster

    open_home(home)
    corpus = _open_corpus(sweep, home, screen)
    with tempfile.TemporaryDirectory(prefix="orchestrate-probe-") as folder:
        with cluster.start_ray(Path(folder) / "ray.log") as (_, wait_for_ray):
            _prepare(sweep, home, corpus, screen)
            screen.progress("starting Ray", 0, 1)
            wait_for_ray()
            screen.progress("starting Ray", 1, 1)
            return _probe(sweep, home, corpus, screen)


def _open_corpus(sweep: Sweep, home: Path, screen: Screen) -> Corpus | None:
    space = sweep.space
    if space.corpus is None:
        return None
    corpus = loader.open_corpus(space.corpus, home, screen.progress)
    return additions.add_to_corpus(corpus, sweep.judges, space.metrics)


def _prepare(sweep: Sweep, home: Path, corpus: Corpus | None, screen: Screen) -> None:
    """Make features, judge and baselines, which the sweep then has in the cache."""
    from orchestrator.overview.trial_reference import resolve_trained_models

    settings = [resolve_trained_models(sweep, params, home, corpus) for params in sweep.settings()]
    loader.prepare(sweep.trainable, settings, corpus, screen.progress, sweep.space.objective.metric)


def _probe(sweep: Sweep, home: Path, corpus: Corpus | None, screen: Screen) -> Probe:
    from orchestrator.driver.grants import count_slots, grant_resources
    from orchestrator.machines.inventory import Capacity, read_machines

    capacity = Capacity(read_machines())
    grants, notes = grant_resources(sweep, capacity)
    shapes = list_shapes(sweep)
    slots = count_slots(grants, capacity)
    rounds = math.ceil(len(shapes) / slots) * slots
    times = max(len(shapes), min(rounds, MOST_REPEATED))
    jobs = [shapes[index % len(shapes)] for index in range(times)]
    measurements = _measure(sweep, home, jobs, grants, screen)
    durations: dict[str, list[Durations]] = defaultdict(list)
    for shape, measurement in zip(jobs, measurements, strict=True):
        for arm in shape.arms:
            durations[arm].append(_convert(measurement))
    return Probe(
        shapes=len(shapes),
        durations={arm: tuple(parts) for arm, parts in durations.items()},
        start_s=max(measurement.first_start for measurement in measurements),
        checkpoint_bytes=max(measurement.checkpoint_bytes for measurement in measurements),
        clips=len(corpus.clips) if corpus is not None else 0,
        capacity=capacity,
        grants=grants,
        notes=notes,
    )


def _convert(measurement: Measurement) -> Durations:
    """Return the durations of a trial's parts from what was measured."""
    evaluations = measurement.evaluations
    # An evaluation loads the model, which rendering an epoch does not.
    rendering = max(0.0, evaluations.get(PRUNED, 0.0) - measurement.start)
    return Durations(
        start=measurement.start,
        epoch=measurement.epoch,
        rendering=rendering,
        pruned=evaluations.get(PRUNED, 0.0),
        completed=evaluations.get(COMPLETED, 0.0),
        confirm=evaluations.get(CONFIRM, 0.0),
    )


def list_evaluations(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """Return the evaluations that trials of a sweep get: the fields of the spec in which each differs."""
    space, declaration = sweep.space, sweep.declaration
    if not declaration.is_evaluated():
        return {}
    renderings = tuple(sweep.renderings)
    test = ("test",)
    evaluations: dict[str, dict[str, Any]] = {PRUNED: {}}
    evaluations[COMPLETED] = {"renderings": renderings, "splits": test if space.budget.seeds is not None else ()}
    if space.confirm is not None:
        evaluations[CONFIRM] = {"renderings": renderings, "splits": test}
    return evaluations


def _measure(
    sweep: Sweep, home: Path, jobs: Sequence[Shape], grants: Mapping[str, Grant], screen: Screen
) -> list[Measurement]:
    """Measure a trial of each shape in a process of its own, as many at once as fit.

    Raises:
        UserError: one can't be trained.
    """
    import ray

    from orchestrator.worker.measurement import measure

    evaluations = list_evaluations(sweep)
    # With `max_calls` each has a new process.
    task = ray.remote(max_calls=1, max_retries=0)(measure)
    pending = {}
    for number, shape in enumerate(jobs):
        bundle = grants[shape.arm.name].as_bundle()
        request = {"num_cpus": bundle.pop("CPU"), "num_gpus": bundle.pop("GPU"), "resources": bundle}
        fields = _make_fields(sweep, home, shape, grants[shape.arm.name])
        pending[task.options(**request).remote(fields, evaluations)] = number
    measurements: dict[int, Measurement] = {}
    what = f"probing {words.amount(len(jobs), 'trial')}"
    while pending:
        screen.progress(what, len(measurements), len(jobs))
        (done,), _ = ray.wait(list(pending))
        number = pending.pop(done)
        try:
            measurements[number] = ray.get(done)
            error = measurements[number].error
        except ray.exceptions.RayError as ray_error:
            error = f"its process died ({type(ray_error).__name__})"
        if error:
            params = ", ".join(f"{name}={value}" for name, value in jobs[number].params.items())
            raise UserError(
                f"{sweep.path}: --probe: a trial of {jobs[number].arm.name} ({params}) can't be trained: {error}; "
                f"orchestrate try {sweep.path} shows where it fails"
            )
    screen.progress(what, len(jobs), len(jobs))
    return [measurements[number] for number in range(len(jobs))]


def _make_fields(sweep: Sweep, home: Path, shape: Shape, grant: Grant) -> dict[str, Any]:
    """Return the fields of the spec of a trial that has a shape."""
    from orchestrator.driver.tasks import make_spec
    from orchestrator.policy.without_results import derive_seed
    from orchestrator.state.trial import Trial

    trial = Trial(
        number=1,
        arm=shape.arm.name,
        index=0,
        stage="search",
        source="probe",
        of=None,
        seed=derive_seed(sweep.space.seed, "search", 0),
        compared=shape.arm.compared,
        searched={},
        params=shape.params,
    )
    spec = make_spec(sweep, home, trial, gpu=grant.gpus, threads=grant.threads)
    return asdict(replace(spec, max_epochs=sweep.space.budget.max_epochs, attempt=1))
