"""A test that is held: what is asked, which votes count, which are refused, and what is left of them on the disk."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reports.errors import ReportError
from reports.listening.answers import Answers, read_answers
from reports.listening.design import file_session
from reports.listening.preparation import ListeningTest, load_test
from reports.listening.server import make_server, take_port
from reports.listening.session import Options, make_test
from tests.listening.test_listening_sources import Recorded, small_sweep


@dataclass
class Held:
    """A test that a server holds."""

    test: ListeningTest
    answers: Answers
    url: str

    def post(self, path: str, body: Any, host: str | None = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Host": host} if host else {})
        return self._ask(urllib.request.Request(f"{self.url}/{path}", data, headers))

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask(urllib.request.Request(f"{self.url}/{path}"))

    def begin(self, listener: str) -> list[dict[str, str]]:
        status, told = self.post("session", {"listener": listener})
        assert status == 200
        return list(told["steps"])

    def vote(self, **changes: Any) -> tuple[int, Any]:
        """The next vote of anna, with something else instead if wanted."""
        return self.post("votes", {"listener": "anna", "answer": 3, **self.begin("anna")[0], **changes})

    def _ask(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, data = error.code, error.read()
        with contextlib.suppress(ValueError):
            return status, json.loads(data)
        return status, data


@contextlib.contextmanager
def holding(test: ListeningTest) -> Iterator[Held]:
    """A server in a thread of this process, for as long as the block runs."""
    with Answers(test) as answers, take_port(0) as taken:
        server = make_server(test, answers)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield Held(test, answers, f"http://127.0.0.1:{taken.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    return small_sweep(tmp_path_factory.mktemp("home"), empty_database, seconds=0.5)


def made(sweep: Recorded, folder: Path, method: str = "mos", **options: Any) -> ListeningTest:
    return make_test(sweep.client, sweep.name, folder, Options(method=method, **options), lambda line: None)


@pytest.fixture(scope="module")
def untouched(sweep: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """A test that only gets votes that it refuses."""
    with holding(made(sweep, tmp_path_factory.mktemp("untouched"))) as held:
        yield held
        assert not held.answers.stored


@pytest.fixture
def held(sweep: Recorded, tmp_path: Path) -> Iterator[Held]:
    with holding(made(sweep, tmp_path)) as held:
        yield held


@pytest.fixture
def abx(sweep: Recorded, tmp_path: Path) -> Iterator[Held]:
    with holding(made(sweep, tmp_path, "abx")) as held:
        yield held


def test_a_vote_is_stored_with_what_it_is_about(held: Held) -> None:
    steps = held.begin("Anna ")
    assert len(steps) == 8
    assert held.vote() == (200, {"stored": 1})
    line = json.loads(held.answers.path.read_text())
    item = held.test.design.find_item(steps[0]["item"])
    assert item is not None
    expected = {"listener": "anna", "item": item.id, "clip": item.clip, "systems": list(item.systems), "answer": 3}
    assert {key: line[key] for key in expected} == expected
    assert line["right"] is None and line["via"] == "listener anna"
    assert [step["item"] for step in held.begin(" ANNA")] == [step["item"] for step in steps[1:]]
    assert len(held.begin("bob")) == 8


def test_of_an_abx_answer_it_is_stored_whether_it_is_right(abx: Held) -> None:
    steps = {step.item.id: step for step in abx.test.plan("listener anna")}
    for is_right in (True, False, True):
        right = steps[abx.begin("anna")[0]["item"]].right
        assert abx.vote(answer=right if is_right else {"a": "b", "b": "a"}[right])[0] == 200
    assert [each.right for each in abx.answers.stored] == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"token": "f" * 64}, 403, "this token was not issued by this test for this listener and clip"),
        ({"token": "\ud800"}, 403, "this token was not issued by this test"),
        ({"listener": "bob"}, 403, "this token was not issued by this test for this listener and clip"),
        ({"item": "0" * 16}, 404, "no such clip in this test"),
        ({"answer": 0}, 422, "an answer is 1 to 5, got '0'"),
        ({"answer": 6}, 422, "an answer is 1 to 5, got '6'"),
        ({"answer": "4"}, 422, "an answer is 1 to 5, got '4'"),
        ({"answer": "a"}, 422, "an answer is 1 to 5, got 'a'"),
        ({"answer": True}, 422, "body.answer"),
        ({"answer": 3.5}, 422, "body.answer"),
        ({"answer": None}, 422, "body.answer"),
        ({"answer": 10**400}, 422, ""),
        ({"listener": ""}, 422, "a code has 1 to 40 characters that can be printed"),
        ({"listener": "a\x00b"}, 422, "a code has 1 to 40 characters that can be printed"),
        ({"listener": "x" * 41}, 422, "a code has 1 to 40 characters that can be printed"),
        ({"right": True}, 422, "body.right: "),
    ],
)
def test_a_vote_that_this_test_did_not_ask_for_is_refused(
    untouched: Held, changes: dict[str, Any], status: int, reason: str
) -> None:
    refused = untouched.vote(**changes)
    assert refused[0] == status and refused[1]["reason"].startswith(reason)
    assert not untouched.answers.stored and untouched.answers.path.read_bytes() == b""


def test_tokens_of_others_are_refused(untouched: Held) -> None:
    first, second = untouched.begin("anna")[:2]
    assert untouched.vote(token=second["token"])[0] == 403
    of_file = untouched.test.plan(file_session("anna"))
    assert untouched.vote(item=of_file[0].item.id, token=of_file[0].token)[0] == 403
    other = replace(untouched.test, secret=b"another")
    assert (
        untouched.vote(token={step.item.id: step.token for step in other.plan("listener anna")}[first["item"]])[0]
        == 403
    )
    assert not untouched.answers.stored


def test_a_replayed_vote_is_refused_and_the_first_answer_stands(held: Held) -> None:
    first = held.begin("anna")[0]
    assert held.vote(**first, answer=2)[0] == 200
    for answer in (2, 5):
        refused = held.vote(**first, answer=answer)
        assert refused == (409, {"reason": "this clip has been answered before; the first answer stands"})
    assert [each.answer for each in read_answers(held.answers.path)] == [2]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff"])
def test_what_is_no_vote_is_refused_with_a_reason(untouched: Held, body: bytes) -> None:
    status, told = untouched.post("votes", body)
    assert 400 <= status < 500 and told["reason"]


def test_sounds_are_had_by_slot_only_and_tell_nothing_by_their_names(held: Held, abx: Held) -> None:
    item = abx.begin("anna")[0]["item"]
    heard = {slot: abx.get(f"sound?listener=anna&item={item}&slot={slot}")[1] for slot in "abx"}
    assert heard["a"][:4] == b"RIFF" and heard["a"] != heard["b"] and heard["x"] in (heard["a"], heard["b"])
    for path in (f"sound?listener=anna&item={item}&slot=c", "sound?listener=anna&item=1&slot=a", "sound"):
        assert abx.get(path)[0] in (404, 422)
    names = [path.name for path in (held.test.folder / "sounds").iterdir()]
    assert len(names) == 8 and all(len(name) == 36 for name in names)
    page = held.get("")[1].decode()
    assert "loss=" not in page and not any(name.split(".")[0] in page for name in names)


def test_a_page_elsewhere_that_calls_itself_this_server_is_refused(untouched: Held) -> None:
    assert untouched.post("session", {"listener": "anna"}, host="evil.example")[0] == 400
    assert untouched.post("session", {"listener": "anna"}, host="localhost:1234")[0] == 200


def test_a_torn_last_line_is_cut_off_and_its_item_is_asked_again(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    with holding(test) as held:
        held.vote()
        held.vote()
        path = held.answers.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with holding(load_test(test.folder)) as held:
        assert len(held.answers.stored) == 1 and len(held.begin("anna")) == 7
        held.vote()
    assert path.read_bytes().count(b"\n") == 2 == len(read_answers(path))


def test_a_broken_line_in_the_middle_is_said(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    (test.folder / "answers.jsonl").write_text('{"listener": "anna"}\n')
    with pytest.raises(ReportError, match=r"answers.jsonl:1: is not an answer"):
        Answers(test)
    (test.folder / "answers.jsonl").unlink()
    with Answers(test):
        pass


def test_only_one_process_at_a_time_takes_answers(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    with (
        Answers(test),
        pytest.raises(ReportError, match="another orchestrate listen runs this test; end it with Ctrl-C"),
    ):
        Answers(test)


def test_the_same_question_is_the_same_test_and_another_one_is_not(sweep: Recorded, tmp_path: Path) -> None:
    first = made(sweep, tmp_path)
    assert made(sweep, tmp_path) == first == load_test(first.folder)
    others = [
        made(sweep, tmp_path, "abx"),
        made(sweep, tmp_path, trials=(1, 3)),
        made(sweep, tmp_path, "abx", against_original=True),
    ]
    assert len({first.design.id, *(test.design.id for test in others)}) == 4
    assert first.folder.stat().st_mode & 0o077 == 0o055 and (first.folder / "secret").stat().st_mode & 0o077 == 0


def test_a_run_that_was_made_anew_is_in_the_same_test(home: Path, tmp_path: Path) -> None:
    sweep = Recorded(home, seconds=0.5)
    first_run = sweep.trial(1, "loss=l1", 0.5)
    first = made(sweep, tmp_path)
    sweep.client.delete_run(first_run)
    second_run = sweep.trial(1, "loss=l1", 0.5)
    again = made(sweep, tmp_path)
    assert (again.design.id, again.secret) == (first.design.id, first.secret)
    assert again.design.systems["s0"].run_id == second_run != first_run
    assert load_test(again.folder) == again


def test_a_broken_test_is_said(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    (test.folder / "test.json").write_text("{}")
    with pytest.raises(ReportError, match="this listening test can't be read"):
        made(sweep, tmp_path)


def test_a_port_in_use_is_said_with_one_that_is_free() -> None:
    with take_port(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ReportError, match=rf"^port {port} on 127.0.0.1: Address already in use; port (\d+) is free"
        ):
            take_port(port)


def test_a_full_disk_is_said_and_the_vote_is_not_counted(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        reason = "the answer could not be stored (No space left on device); give it again later"
        assert held.vote() == (507, {"reason": reason})
    assert held.answers.path.read_bytes() == b"" and len(held.begin("anna")) == 8
    assert held.vote()[0] == 200
