"""Simulate a sweep: which trials reach which rung, for how many epochs, and how long all of it takes.

Trials run on as many slots as there are, in the agenda's order, and the rule of pruning decides on each when it arrives
at a rung, as in a sweep. Only their values are invented: that of a trial at a rung is a standard normal number with the
correlation `AGREEMENT` between any two rungs, so that the better trials of one rung tend to be the better ones of the
next. How values grow with the epochs is unknown. That does not matter: the rule compares trials at the same epoch only.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.commands.planning.load import ArmLoad, Course, Durations, Load
from orchestrator.commands.planning.rungs import PromotingRungs, StoppingRungs

AGREEMENT = 0.7
"""The correlation between the values of a trial at two rungs. Between 0.5 and 0.95 the expected epochs of `vae.yaml`
change by a twentieth."""
ROUNDING = 1e-9
"""Shares of slots such as 1/3 do not add up to exactly 1."""


@dataclass
class _Trial:
    """A simulated trial; `epochs` are those that it has trained."""

    number: int
    arm: ArmLoad
    index: int
    is_confirm: bool
    durations: Durations
    epochs: int = 0


Value = Callable[[str, int, int], float]
"""Returns the value of a trial at a rung, higher is better: of its arm, its index in the arm, and the epoch."""


def make_value_function(generator: random.Random) -> Value:
    """Return a function that draws a trial's value at a rung.

    Values are standard normal, with correlation `AGREEMENT` between the rungs of a trial. Call the function once per
    trial and rung: each call draws new noise.
    """
    qualities: dict[tuple[str, int], float] = {}

    def draw(arm: str, index: int, rung: int) -> float:
        if (arm, index) not in qualities:
            qualities[arm, index] = generator.gauss(0.0, 1.0)
        noise = generator.gauss(0.0, 1.0)
        return math.sqrt(AGREEMENT) * qualities[arm, index] + math.sqrt(1 - AGREEMENT) * noise

    return draw


def simulate(load: Load, seed: int, value: Value | None = None) -> Course:
    """Run a sweep in simulated time.

    Args:
        load: what it has to run.
        seed: of the random numbers.
        value: the values of trials; by default those of `make_value_function`.
    """
    generator = random.Random(seed)
    return _Simulation(load, generator, value or make_value_function(generator)).run()


class _Simulation:
    """A sweep in simulated time; the tasks have the order of `Agenda.next_task`."""

    def __init__(self, load: Load, generator: random.Random, value: Value) -> None:
        self._load = load
        self._generator = generator
        self._value = value
        self._stopping: StoppingRungs | None = None
        self._promoting: PromotingRungs | None = None
        if load.pruning is not None and load.pruning.promote:
            self._promoting = PromotingRungs(load.pruning.reduction_factor)
        elif load.pruning is not None:
            self._stopping = StoppingRungs(load.pruning.reduction_factor)
        self._trials: list[_Trial] = []
        most = max(arm.trials for arm in load.arms)
        self._new = deque((arm, index) for index in range(most) for arm in load.arms if index < arm.trials)
        """The places of the search; the next trial is one of the arm with the fewest."""
        self._to_confirm: deque[tuple[ArmLoad, int]] = deque()
        self._to_evaluate: deque[tuple[_Trial, float]] = deque()
        self._unfinished = Counter({arm.name: arm.trials for arm in load.arms})
        """By arm, the trials of its search that have not begun, or that run."""
        self._completed: Counter[str] = Counter()
        self._confirmed: set[str] = set()
        """The arms whose confirm stage was planned."""
        self._running: list[tuple[float, int, _Trial, bool]] = []
        """A heap: the end of a task, a number that orders equal ends, the trial, and whether it trains."""
        self._num_tasks = 0
        self._free_share = 1.0
        self._now = 0.0
        self._course = Course()

    def run(self) -> Course:
        """Simulate all tasks in order of time, and return the course of the sweep."""
        smallest = min(arm.share for arm in self._load.arms)
        while True:
            # Tasks begin as long as the next one fits; then time jumps to the next end of a task. With less than the
            # smallest share, none can fit.
            while self._free_share > smallest - ROUNDING and self._begin_next():
                pass
            if not self._running:
                if self._evaluate_paused():
                    continue
                self._course.seconds = self._now
                return self._course
            self._now, _, trial, is_training = heapq.heappop(self._running)
            self._free_share += trial.arm.share
            if is_training and not self._decide_at_rung(trial):
                self._train(trial)

    def _begin_next(self) -> bool:
        """Begin the next task, and return whether there was one for which there is room."""
        places = self._new or self._to_confirm
        if self._to_evaluate:
            if not self._fits(self._to_evaluate[0][0].arm):
                return False
            self._occupy(*self._to_evaluate.popleft(), is_training=False)
        elif (promoted := self._promote()) is not None:
            self._train(promoted, promoted.durations.start)
        elif places and self._fits(places[0][0]):
            arm, index = places.popleft()
            trial = _Trial(len(self._trials), arm, index, index >= arm.trials, self._generator.choice(arm.durations))
            self._trials.append(trial)
            self._train(trial, trial.durations.start)
        else:
            return False
        return True

    def _fits(self, arm: ArmLoad) -> bool:
        return self._free_share > arm.share - ROUNDING

    def _promote(self) -> _Trial | None:
        """Return the next paused trial to resume; None if there is none."""
        if self._promoting is None:
            return None
        number = self._promoting.promote_next()
        for arm in self._load.arms:
            if number is None and not self._unfinished[arm.name] and not self._completed[arm.name]:
                own = [trial.number for trial in self._trials if trial.arm is arm]
                number = self._promoting.promote_last_hope(own)
        if number is None:
            return None
        self._unfinished[self._trials[number].arm.name] += 1
        return self._trials[number]

    def _evaluate_paused(self) -> bool:
        """Begin to evaluate the trials that stay paused, and return whether there are any."""
        paused = [self._trials[number] for number in self._promoting.take_paused()] if self._promoting else []
        self._to_evaluate.extend((trial, trial.durations.pruned) for trial in paused)
        return bool(paused)

    def _train(self, trial: _Trial, start_s: float = 0.0) -> None:
        """Let a trial train until its next rung; without pruning, and if it is a confirm trial, to its last epoch."""
        rungs = self._load.rungs[-1:] if trial.is_confirm else self._load.rungs
        rung = next(rung for rung in rungs if rung > trial.epochs)
        renderings = sum(trial.epochs < epoch <= rung for epoch in self._load.media_epochs)
        durations = trial.durations
        seconds = start_s + (rung - trial.epochs) * durations.epoch + renderings * durations.rendering
        self._course.epochs += rung - trial.epochs
        trial.epochs = rung
        self._occupy(trial, seconds, is_training=True)

    def _occupy(self, trial: _Trial, seconds: float, *, is_training: bool) -> None:
        """Let a task of a trial hold its slot for this long."""
        self._num_tasks += 1
        heapq.heappush(self._running, (self._now + seconds, self._num_tasks, trial, is_training))
        self._free_share -= trial.arm.share
        self._course.gpu_seconds += seconds * trial.arm.gpus

    def _decide_at_rung(self, trial: _Trial) -> bool:
        """Decide on a trial at its rung, and return whether it ends or pauses there."""
        durations, name = trial.durations, trial.arm.name
        if trial.is_confirm:
            self._to_evaluate.append((trial, durations.confirm))
            return True
        self._course.reached[trial.epochs] += 1
        if trial.epochs == self._load.rungs[-1]:
            self._completed[name] += 1
            self._to_evaluate.append((trial, durations.completed))
        elif self._prunes(trial):
            if self._promoting is None:
                self._to_evaluate.append((trial, durations.pruned))
        else:
            return False
        self._unfinished[name] -= 1
        if not self._unfinished[name] and name not in self._confirmed:
            self._confirmed.add(name)
            self._to_confirm.extend((trial.arm, trial.arm.trials + index) for index in range(trial.arm.confirm))
        return True

    def _prunes(self, trial: _Trial) -> bool:
        """Return whether the rule of pruning ends or pauses a trial at its rung."""
        if self._load.pruning is None:
            return False
        key = "" if self._load.pruning.across_arms else trial.arm.name
        value = self._value(trial.arm.name, trial.index, trial.epochs)
        if self._promoting is not None:
            return self._promoting.pauses(key, trial.epochs, trial.number, value)
        return self._stopping is not None and self._stopping.stops(key, trial.epochs, value)
