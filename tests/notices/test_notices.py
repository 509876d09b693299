"""Notices of a sweep, against a server on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.notices import __main__ as process
from orchestrator.notices import delivery
from orchestrator.notices.addresses import check_addresses
from orchestrator.notices.delivery import Deliveries
from orchestrator.notices.occasions import Happening, Watch
from orchestrator.notices.sender import send_notices
from orchestrator.search_space.section import Notice
from orchestrator.state.paths import NOTICES
from tests.support.inbox import inbox, wait_until
from tests.support.spaces import noop_sweep
from tests.support.sweep_folder import SweepFolder

SECRET = "Xk29secret"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICE_TOKEN", SECRET)
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(process, "POLL_S", 0.05)
    monkeypatch.setattr(process, "DEATH_S", 0.3)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path)


def notify(sweep: SweepFolder, *entries: dict[str, Any]) -> None:
    """Put the section into the sweep's search space; its addresses have been there since the beginning."""
    with (sweep.path / "search_space.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump({"name": sweep.name, "notify": list(entries)}, file)
    lines = [{"address": delivery._identify(Notice(**entry)), "state": "since", "ts": 1} for entry in entries]
    (sweep.path / NOTICES).write_text("".join(json.dumps(line) + "\n" for line in lines))


def follow_to_the_end(sweep: SweepFolder, patience_s: float = 20) -> None:
    """What the process does when its driver has ended."""
    closed = threading.Event()
    closed.set()
    process.follow(sweep.path, closed, patience_s)


def run_trials(sweep: SweepFolder) -> None:
    """One completed, one failed and one better trial."""
    sweep.start(arms={"loss=l1": {}})
    sweep.whole_trial(1, "l1", epochs=2)
    sweep.ask(2, "l1")
    sweep.report(2, 1, judge_probability=0.1)
    sweep.end(2, "failed", cause="error", reason="ValueError: no such layer", epochs=1)
    sweep.whole_trial(3, "l1", epochs=4)
    sweep.close()


def test_a_server_that_fails_twice_gets_every_notice_once_also_after_a_resume(sweep: SweepFolder) -> None:
    with inbox(refusals=2) as server:
        notify(sweep, {"url": server.url, "when": ["ended", "failed", "best"]})
        run_trials(sweep)
        follow_to_the_end(sweep)
        assert sorted(server.titles) == ["vae/2: failed", "vae/3: the best so far", "vae: finished"]
        assert len(server.attempts) == 5
        texts = {message["title"]: message["message"] for message in server.received}
        assert "loss=l1, after 1 epoch: ValueError: no such layer" in texts["vae/2: failed"]
        assert "trial 3 (loss=l1), val/judge_probability 0.8571" in texts["vae/3: the best so far"]
        assert "3 trials: 2 completed, 1 failed. best: trial 3" in texts["vae: finished"]
        assert {message["title"]: message["type"] for message in server.received}["vae/2: failed"] == "warning"
        # The same folder again, as a resumed sweep reads it, and then with one more trial.
        follow_to_the_end(sweep)
        assert len(server.received) == 3
        sweep.start(arms={"loss=l1": {}})
        sweep.whole_trial(4, "l1", epochs=1)
        sweep.close("interrupted", "Ctrl-C")
        follow_to_the_end(sweep)
        assert server.titles[3:] == ["vae: interrupted"] and "Ctrl-C" in server.received[3]["message"]
        assert {path for path in server.attempts} == {f"/{SECRET}"}
    for path in sweep.path.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text(errors="replace"), path


def test_a_process_that_is_killed_between_two_attempts_is_followed_by_one_that_sends(
    sweep: SweepFolder, tmp_path: Path
) -> None:
    with inbox(refusals=1) as server:
        notify(sweep, {"url": server.url})
        run_trials(sweep)
        command = [sys.executable, "-m", "orchestrator.notices", str(sweep.path)]
        first = subprocess.Popen(command, stdin=subprocess.PIPE)
        wait_until(lambda: '"failed","key"' in (sweep.path / NOTICES).read_text())
        first.kill()
        first.wait()
        follow_to_the_end(sweep)
        assert sorted(server.titles) == ["vae/2: failed", "vae: finished"]


def test_what_was_being_sent_at_a_kill_is_not_sent_a_second_time(sweep: SweepFolder) -> None:
    with inbox() as server:
        notify(sweep, {"url": server.url, "when": ["ended"]})
        run_trials(sweep)
        server.gate.clear()
        command = [sys.executable, "-m", "orchestrator.notices", str(sweep.path)]
        first = subprocess.Popen(command, stdin=subprocess.PIPE)
        wait_until(lambda: '"begun"' in (sweep.path / NOTICES).read_text())
        first.kill()
        first.wait()
        server.gate.set()
        follow_to_the_end(sweep)
        assert len(server.attempts) <= 1


def test_a_driver_that_died_is_an_error(sweep: SweepFolder) -> None:
    with inbox() as server:
        notify(sweep, {"url": server.url, "at_least": "error"})
        sweep.start(arms={"loss=l1": {}})
        sweep.whole_trial(1, "l1")
        sweep.ask(2, "l1")
        sweep.end(2, "failed", cause="error", reason="no", epochs=0)
        (sweep.path / "driver.lock").write_text("{}")
        follow_to_the_end(sweep)
        assert server.titles == ["vae: interrupted"] and "the driver died" in server.received[0]["message"]


def test_a_machine_with_a_fault_is_a_warning_once(sweep: SweepFolder) -> None:
    with inbox() as server:
        notify(sweep, {"url": server.url})
        sweep.start(arms={"loss=l1": {}})
        sweep.event("suspected", machine="b2", fault="left out", text="node-7 gets no more trials: three failed there.")
        sweep.event("suspected", machine="c3", fault="slow", text="node-8 is slow.")
        sweep.whole_trial(1, "l1")
        sweep.close()
        follow_to_the_end(sweep)
        assert server.titles == ["vae: a machine is left out", "vae: a machine is slow", "vae: finished"]


def test_each_address_gets_what_it_asks_for_and_a_broken_one_stops_no_other(sweep: SweepFolder) -> None:
    with inbox() as first, inbox(refusals=10**6) as broken:
        notify(
            sweep,
            {"url": broken.url},
            {"url": first.url, "when": ["failed"]},
            {"url": first.url, "when": ["ended"], "at_least": "warning"},
        )
        run_trials(sweep)
        follow_to_the_end(sweep, patience_s=1)
        assert first.titles == ["vae/2: failed"] and broken.attempts


def test_an_address_that_is_added_later_gets_nothing_old(sweep: SweepFolder) -> None:
    with inbox() as server:
        notify(sweep, {"url": server.url})
        (sweep.path / NOTICES).unlink()
        run_trials(sweep)
        follow_to_the_end(sweep)
        assert server.received == []


def test_a_sweep_that_does_nothing_has_stalled_once(sweep: SweepFolder) -> None:
    now_ms = [10**6]
    watch = Watch(sweep.path, lambda: now_ms[0])

    def stall() -> Happening | None:
        list(watch.look())
        return watch.find_stall(30)

    sweep.start(arms={"loss=l1": {}})
    sweep.ask(1, "l1")
    with sweep.driven():
        assert stall() is None
        now_ms[0] += 29 * 60_000
        assert stall() is None
        now_ms[0] += 2 * 60_000
        first, second = stall(), stall()
        assert first is not None and second is not None and first.key == second.key
        assert first.title == "vae: stalled" and "No epoch has ended for 31 min: 1 trial unfinished" in first.text
        sweep.report(1, 1)
        assert stall() is None
        now_ms[0] += 31 * 60_000
        (sweep.path / "controls.json").write_text('{"paused": true}')
        assert stall() is None
    (sweep.path / "controls.json").unlink()
    assert stall() is None


def test_a_driver_does_not_wait_for_a_server_that_does_not_answer(sweep: SweepFolder) -> None:
    with inbox() as server:
        server.gate.clear()
        entry = {"url": server.url}
        notify(sweep, entry)
        # The driver holds its lock for some time after its last event.
        with sweep.driven():
            with send_notices(sweep.path, [Notice(**entry)]):
                run_trials(sweep)
                wait_until(lambda: '"begun"' in (sweep.path / NOTICES).read_text())
                began = time.monotonic()
            assert time.monotonic() - began < 1
            server.gate.set()
            wait_until(lambda: len(server.received) == 2)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "discrod://a/b",
            r"space.yaml: notify.0.url: discrod://a/b: apprise does not know discrod://; did you mean disc",
        ),
        ("slack://", "notify.0.url: slack://: apprise needs more than this for slack://"),
        ("slack://${env:NOT_SET_HERE}", "notify.0.url: the variable NOT_SET_HERE is not set"),
        ("${env:NOTICE_TOKEN}", r"\$\{env:NOTICE_TOKEN\}: its variable has no address that apprise knows"),
    ],
)
def test_an_address_that_cannot_be_opened_is_one_line_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        check_addresses([Notice(url=url)], Path("space.yaml"))
    assert "\n" not in str(error.value) and SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"url": "slack"}, "notify.0.url: needs an address of apprise"),
        ({"url": "json://${HOME}"}, r"notify.0.url: has \$\{ without the name of a variable"),
        ({"url": "json://a", "when": ["ended", "end"]}, "notify.0.when.1: .*'end'"),
        ({"url": "json://a", "when": []}, "notify.0.when: "),
        ({"url": "json://a", "who": "me"}, "notify.0.who: unknown key 'who'.*allowed: at_least, stalled_minutes, url"),
    ],
)
def test_a_mistake_in_the_section_is_one_line(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchSpaceError, match=message) as error:
        noop_sweep(tmp_path, notify=[entry])
    assert len(error.value.lines) == 1


def test_what_could_not_be_sent_is_kept_for_the_next_process(sweep: SweepFolder) -> None:
    notice = Notice(url="json://127.0.0.1:9/", when=("best",))
    notify(sweep, notice.model_dump(mode="json"))
    deliveries = Deliveries(sweep.path, [notice])
    happening = Happening("best/1/1", "best", "info", "vae/1", "text", 5)
    deliveries.add(happening, deliveries.addresses[0])
    (restored,) = Deliveries(sweep.path, [notice]).addresses
    assert list(restored.waiting.values()) == [happening] and not restored.wants(happening)
