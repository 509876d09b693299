"""What people request of a running sweep, and what its driver makes of it; no Ray, everything else is real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.driver import live_control
from orchestrator.errors import UserError
from orchestrator.search_space.reader import Sweep
from orchestrator.state import requests
from orchestrator.state.events.interruptions import Held, Released
from orchestrator.state.ledger import Ledger
from orchestrator.state.requests import Request
from orchestrator.state.trial import Trial
from orchestrator.steering import requesting
from orchestrator.steering.stop import stop
from orchestrator.worker.failure import TrialFailure
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep
from tests.support.sweep_folder import SweepFolder

ONE_ARM = {"compare": None, "pruning": "none", "budget": {"trials_per_arm": 3, "max_epochs": 3}}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineRig:
    monkeypatch.setattr(live_control, "LOOK_EVERY_S", -1.0)
    sweep: Sweep = noop_sweep(tmp_path, **ONE_ARM)
    return EngineRig(sweep, tmp_path / "tiny")


def begin(rig: EngineRig) -> Trial:
    trial = rig.hand_out()
    assert trial is not None
    assert not rig.epoch(trial)
    return trial


def ask(rig: EngineRig, **request: object) -> None:
    """Leave a request, and let the driver look at it."""
    requests.send(rig.folder, Request.model_validate(request))
    assert not rig.engine.is_over()


def test_a_paused_sweep_gives_all_places_back_and_goes_on_where_it_was(rig: EngineRig) -> None:
    first, second = begin(rig), begin(rig)
    ask(rig, action="pause")
    assert rig.epoch(first) and rig.epoch(second), "both leave after their epoch"
    assert not rig.engine.live and rig.hand_out() is None and rig.engine.is_waiting()
    assert "orchestrate" in rig.notes["paused"] and "continue tiny" in rig.notes["paused"]
    assert (first.outcome, first.epochs, first.status) == (None, 2, "interrupted"), "nothing says that it runs"
    ask(rig, action="continue")
    assert rig.hand_out() is first and rig.hand_out() is second
    assert rig.notes["paused"] == "" and not rig.engine.is_waiting()
    assert rig.epoch(first), "its third epoch is its last one"
    assert first.outcome == "completed" and first.attempts == 2


def test_of_too_many_trials_the_newest_gives_its_place_back(rig: EngineRig) -> None:
    first, second = begin(rig), begin(rig)
    ask(rig, action="limit", at_once=1)
    assert not rig.epoch(first), "it is not the newest"
    assert rig.epoch(second) and second.outcome is None
    assert rig.hand_out() is None and not rig.engine.is_waiting()
    ask(rig, action="limit")
    assert rig.hand_out() is second


def test_a_stopped_trial_is_continued_in_the_same_run(rig: EngineRig) -> None:
    first = begin(rig)
    ask(rig, action="stop", trial=first.number)
    assert rig.epoch(first) and first.held
    assert (second := rig.hand_out()) is not None and second is not first
    ask(rig, action="continue", trial=first.number)
    assert not first.held and rig.hand_out() is first


def test_a_stop_that_is_taken_back_in_time_changes_nothing(rig: EngineRig) -> None:
    trial = begin(rig)
    ask(rig, action="stop", trial=trial.number)
    ask(rig, action="continue", trial=trial.number)
    assert not rig.epoch(trial) and not trial.held


def test_a_waiting_trial_is_stopped_at_once(rig: EngineRig) -> None:
    first, second = begin(rig), begin(rig)
    ask(rig, action="limit", at_once=1)
    assert rig.epoch(second)
    ask(rig, action="stop", trial=second.number)
    assert second.held and not rig.epoch(first)


def test_a_failed_trial_is_tried_again_from_its_last_epoch(rig: EngineRig) -> None:
    trial = begin(rig)
    rig.fails(Wrapped(TrialFailure("error", "ValueError: no")))
    assert trial.outcome == "failed"
    ask(rig, action="retry", trial=trial.number)
    ask(rig, action="retry", trial=trial.number)
    assert rig.said[-1] == "Trial 1 is interrupted: nothing to retry."
    assert rig.hand_out() is trial and trial.epochs == 1
    assert rig.epoch(trial) is False and rig.epoch(trial) and trial.outcome == "completed"
    ask(rig, action="retry", trial=trial.number)
    assert trial.outcome == "completed" and rig.said[-1] == "Trial 1 is completed: nothing to retry."


def test_a_boosted_trial_comes_before_others_that_wait(rig: EngineRig) -> None:
    trials = [begin(rig), begin(rig), begin(rig)]
    ask(rig, action="pause")
    assert all(rig.epoch(trial) for trial in trials)
    ask(rig, action="boost", trial=3)
    ask(rig, action="boost", trial=2)
    ask(rig, action="continue")
    assert [rig.hand_out(), rig.hand_out(), rig.hand_out()] == [trials[2], trials[1], trials[0]]


def test_what_was_requested_outlives_ray_and_not_the_sweeps_next_start(rig: EngineRig) -> None:
    ask(rig, action="pause")
    assert live_control.LiveControl(rig.ledger, rig.said.append).pause_reason
    requests.forget(rig.folder)
    assert not live_control.LiveControl(rig.ledger, rig.said.append).pause_reason
    requests.forget(rig.folder)


def test_the_log_tells_a_later_driver_the_same(rig: EngineRig) -> None:
    first, second = begin(rig), begin(rig)
    ask(rig, action="stop", trial=1)
    ask(rig, action="limit", at_once=1)
    assert rig.epoch(first) and not rig.epoch(second)
    ask(rig, action="continue", trial=1)
    ledger = Ledger(rig.folder, read_only=True)
    assert not ledger.trials[1].held and ledger.live == rig.ledger.live == {2}
    kinds = [type(event) for event in ledger.read_events()]
    assert Held in kinds and Released in kinds


def take(folder: Path) -> list[Request]:
    with requests.taken(folder) as taken:
        return taken


def test_requests_stay_until_they_are_carried_out(tmp_path: Path) -> None:
    requests.send(tmp_path, Request(action="stop", trial=7))
    with pytest.raises(OSError, match="full"), requests.taken(tmp_path):
        raise OSError("the disk is full")
    assert [request.trial for request in take(tmp_path)] == [7]
    assert take(tmp_path) == []


def test_requests_of_many_commands_all_arrive_once(tmp_path: Path) -> None:
    taken: list[Request] = []

    def send(base: int) -> None:
        for number in range(50):
            requests.send(tmp_path, Request(action="boost", trial=base + number))

    senders = [threading.Thread(target=send, args=(100 * index,)) for index in range(4)]
    for thread in senders:
        thread.start()
    while any(thread.is_alive() for thread in senders):
        taken += take(tmp_path)
    taken += take(tmp_path)
    assert sorted(request.trial or 0 for request in taken) == sorted(
        100 * index + number for index in range(4) for number in range(50)
    )


def test_a_request_that_a_kill_cut_short_asks_for_nothing(tmp_path: Path) -> None:
    requests.send(tmp_path, Request(action="pause"))
    with (tmp_path / "requests.jsonl").open("a") as file:
        file.write('{"action":"lim')
    assert [request.action for request in take(tmp_path)] == ["pause"]


@pytest.fixture
def folder(sweep: SweepFolder) -> SweepFolder:
    sweep.start()
    sweep.ask(1, loss="l1")
    sweep.ask(2, loss="l1")
    sweep.end(1, "completed")
    return sweep


Command = Callable[[Path, str, Callable[[str], None]], None]


@pytest.mark.parametrize(
    ("command", "target", "message"),
    [
        (stop, "vae/2", "vae does not run"),
        (stop, "vae", "vae does not run"),
        (requesting.pause, "vae", "vae does not run (interrupted); "),
        (requesting.go_on, "vae", "resume vae"),
        (requesting.retry, "vae/1", "resume vae --retry-failed"),
        (requesting.boost, "vae/2", "vae does not run"),
        (requesting.boost, "vea/2", "Did you mean 'vae'?"),
    ],
)
def test_what_does_not_run_can_not_be_steered(folder: SweepFolder, command: Command, target: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        command(folder.home, target, print)
    assert message in str(caught.value)
    assert not (folder.path / "requests.jsonl").exists()


@pytest.mark.parametrize(
    ("command", "target", "message"),
    [
        (stop, "vae/1", "it has ended already (completed); there is nothing to stop"),
        (requesting.pause, "vae/1", "it has ended already (completed)"),
        (requesting.go_on, "vae/2", "vae/2 is running: only a stopped trial can be continued"),
        (requesting.retry, "vae/1", "vae/1 is completed: only a failed or diverged trial can be retried"),
        (requesting.boost, "vae/3", "vae has no trial 3; it has 1 to 2"),
        (lambda home, target, say: requesting.limit(home, target, "0", say), "vae", "'0' is not a number of trials"),
    ],
)
def test_what_is_no_use_is_refused_with_the_state(
    folder: SweepFolder, command: Command, target: str, message: str
) -> None:
    with folder.driven(), pytest.raises(UserError) as caught:
        command(folder.home, target, print)
    assert message in str(caught.value)


def test_a_stopped_trial_is_continued_before_it_is_boosted(folder: SweepFolder) -> None:
    folder.event("held", trial=2, reason="stopped by hand")
    with folder.driven(), pytest.raises(UserError, match=r"vae/2 is stopped: .* continue vae/2 --home .* continues it"):
        requesting.boost(folder.home, "vae/2", print)
    assert not (folder.path / "requests.jsonl").exists()


def test_each_command_leaves_its_request_and_says_what_will_happen(folder: SweepFolder) -> None:
    said: list[str] = []
    with folder.driven():
        requesting.pause(folder.home, "vae", said.append)
        requesting.go_on(folder.home, "vae", said.append)
        requesting.limit(folder.home, "vae", "2", said.append)
        requesting.limit(folder.home, "vae", "all", said.append)
        stop(folder.home, "vae/2", said.append)
        requesting.boost(folder.home, "vae/2", said.append)
    assert [(request.action, request.trial, request.at_once) for request in take(folder.path)] == [
        ("pause", None, None),
        ("continue", None, None),
        ("limit", None, 2),
        ("limit", None, None),
        ("stop", 2, None),
        ("boost", 2, None),
    ]
    assert [line.split(":")[0].split(";")[0] for line in said] == [
        "vae pauses",
        "vae continues.",
        "vae runs at most 2 trials at once",
        "vae runs as many trials as there is room for at once",
        "vae/2 stops at the end of its epoch",
        "vae/2 gets the next place that is free.",
    ]
