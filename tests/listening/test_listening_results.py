"""What the answers say, on the terminal, on a page and in MLflow; and what comes back from an exported file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from reports.errors import ReportError
from reports.listening.answers import Answers, read_answers
from reports.listening.design import ANCHOR, REFERENCE, Step, file_session, page_session
from reports.listening.page import render_results, render_test
from reports.listening.preparation import ListeningTest
from reports.listening.results import lines_of, summarize
from reports.listening.session import Options, listen, make_test
from tests.listening.test_listening_sources import Recorded, small_sweep

SCRIPT = "<script>alert(1)</script>"
OPINIONS = {REFERENCE: 5, "s0": 2, "s1": 4, ANCHOR: 3}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    return small_sweep(tmp_path_factory.mktemp("home"), empty_database, seconds=0.5)


def made(sweep: Recorded, folder: Path, method: str = "mos", **options: Any) -> ListeningTest:
    return make_test(sweep.client, sweep.name, folder, Options(method=method, **options), lambda line: None)


def answer(test: ListeningTest, listener: str, choose: Callable[[Step], int | str], left: int = 0) -> None:
    """Let a listener answer all but the last few items."""
    with Answers(test) as answers:
        steps = test.plan(page_session(listener))
        for step in steps[: len(steps) - left]:
            answers.add(listener, step, choose(step), page_session(listener))


def opinion(step: Step) -> int:
    return OPINIONS[step.item.systems[0]]


def right(step: Step) -> str:
    assert step.right is not None
    return step.right


def lines(test: ListeningTest) -> list[str]:
    return lines_of(summarize(test.design, read_answers(test.folder / "answers.jsonl")))


def answers_file(test: ListeningTest, path: Path, **changes: Any) -> Path:
    """What the exported page would save of a listener who answers everything."""
    steps = test.plan(file_session("c0de"))
    votes = [{"item": step.item.id, "token": step.token, "answer": opinion(step)} for step in steps]
    path.write_text(
        json.dumps({"test": test.design.id, "copy": "c0de", "listener": "Cleo", "answers": votes} | changes)
    )
    return path


def take(sweep: Recorded, folder: Path, path: Path) -> list[str]:
    said: list[str] = []
    listen(sweep.client, sweep.name, folder, Options(answers=path), said.append)
    return said


def test_mean_opinion_scores_are_said_with_intervals_and_agreement(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    assert lines(test) == [f"{test.design.id}: no answers yet"]
    answer(test, "anna", opinion)
    answer(test, "bob", lambda step: max(1, opinion(step) - 1))
    assert lines(test) == [
        f"{test.design.id}, sweep vae; ratings of anna 8 of 8, bob 8 of 8",
        "  loss=l1, trial 1                 1.50 [1.00, 2.42], 4 ratings",
        "  loss=vae, trial 2                3.50 [2.58, 4.42], 4 ratings",
        "  original (hidden)                4.50 [3.58, 5.00], 4 ratings",
        "  anchor (original below 3.5 kHz)  2.50 [1.58, 3.42], 4 ratings",
        "  agreement of listeners: Krippendorff's alpha 0.71 (ordinal; 1 is full, 0 is chance)",
        "  intervals: 95 %, Student's t over ratings, one for each listener and clip",
    ]


def test_who_rates_the_hidden_original_low_is_left_out_and_named(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    answer(test, "anna", opinion)
    before = lines(test)
    answer(test, "deaf", lambda step: 6 - opinion(step))
    said = lines(test)
    assert [line for line in said if "trial" in line] == [line for line in before if "trial" in line]
    assert "ratings of anna 8 of 8, deaf 8 of 8" in said[0]
    assert any(line.startswith("  left out: deaf rated the hidden original 1.0 on average, below 3.5") for line in said)
    results = summarize(
        test.design, [each for each in read_answers(test.folder / "answers.jsonl") if each.listener == "deaf"]
    )
    assert all(math.isnan(of["listen/mos"]) and of["listen/mos_ratings"] == 0 for of in results.metrics.values())


def test_pairs_that_are_told_apart_are_named(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path, "abx", trials=(1, 2, 3))
    pair = test.design.items[0].systems
    answer(test, "anna", lambda step: right(step) if step.item.systems == pair else "a")
    said = lines(test)
    assert (
        said[1].split()
        == "loss=l1, trial 1 vs loss=vae, trial 2 100 % [78, 100] right of 14, p = 0.00018: told apart".split()
    )
    assert said[2].endswith("may be guessing") and "50 %" in said[2]
    metrics = summarize(test.design, read_answers(test.folder / "answers.jsonl")).metrics
    assert {of["listen/abx_answers"] for of in metrics.values()} == {28}
    assert metrics[test.design.systems["s0"].run_id or ""]["listen/abx_accuracy"] == 0.75


def test_results_are_in_mlflow_once_however_often_they_are_sent(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path / "tests")
    path = answers_file(test, tmp_path / "cleo.json")
    said = take(sweep, tmp_path / "tests", path)
    assert said[0] == "cleo: 8 new answers, 0 that were there already"
    assert said[-2] == "Written to MLflow: listen/mos, listen/mos_high, listen/mos_low, listen/mos_ratings"
    assert take(sweep, tmp_path / "tests", path)[0] == "cleo: 0 new answers, 8 that were there already"
    assert sweep.metrics(sweep.parent) == {}
    run_id = test.design.systems["s1"].run_id or ""
    expected = {"listen/mos": 4, "listen/mos_low": 4 - 2.594, "listen/mos_high": 5, "listen/mos_ratings": 2}
    assert sweep.metrics(run_id) == pytest.approx(expected, abs=0.001)
    assert len(sweep.client.get_metric_history(run_id, "listen/mos")) == 1
    page = Path(sweep.client.download_artifacts(sweep.parent, f"listening/{test.design.id}.html")).read_text()
    assert page == Path(said[-1].removeprefix("Page of the results: ")).read_text() and "4.00 [1.41, 5.00]" in page
    told = json.loads(
        Path(sweep.client.download_artifacts(sweep.parent, f"listening/{test.design.id}.json")).read_text()
    )
    assert len(told["answers"]) == 8 and told["systems"]["s0"] == "loss=l1, trial 1"
    take(sweep, tmp_path / "tests", answers_file(test, path, listener="dan"))
    assert sweep.metrics(sweep.parent) == {"listen/mos_agreement": 1}
    assert sweep.metrics(run_id)["listen/mos_ratings"] == 4


def test_systems_against_the_original_have_a_metric_of_their_own(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path, "abx", trials=(3,), against_original=True)
    answer(test, "anna", right)
    results = summarize(test.design, read_answers(test.folder / "answers.jsonl"))
    assert [row.name for row in results.rows] == ["loss=vae, trial 3 vs original"]
    (metrics,) = results.metrics.values()
    assert metrics["listen/abx_original_accuracy"] == 1 and metrics["listen/abx_original_answers"] == 40


def test_a_file_is_taken_as_a_whole_or_not_at_all(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    good = json.loads(answers_file(test, tmp_path / "a.json").read_text())["answers"]
    forged, outside, unknown = ([dict(each) for each in good] for _ in range(3))
    forged[5]["token"] = forged[4]["token"]
    outside[7]["answer"] = 9
    unknown[7]["item"] = "0" * 16
    for votes, reason in (
        (forged, "this token was not issued by this test for this listener and clip"),
        (outside, "an answer is 1 to 5, got '9'"),
        (unknown, "no such clip in this test"),
        ([*good, good[0] | {"answer": 1}], "'cleo' has given other answers before"),
    ):
        path = answers_file(test, tmp_path / "bad.json", answers=votes)
        with pytest.raises(ReportError, match=f"^--import {path}: {reason}.*nothing was imported from"):
            take(sweep, tmp_path, path)
        assert read_answers(test.folder / "answers.jsonl") == []
    path = answers_file(test, tmp_path / "bad.json", copy="another")
    with pytest.raises(ReportError, match="this token was not issued"):
        take(sweep, tmp_path, path)


def test_somebody_else_of_the_same_code_is_noticed(sweep: Recorded, tmp_path: Path) -> None:
    test = made(sweep, tmp_path)
    answer(test, "cleo", lambda step: 1, left=6)
    with pytest.raises(ReportError, match="'cleo' has given other answers before; if this is another listener, change"):
        take(sweep, tmp_path, answers_file(test, tmp_path / "a.json"))
    assert len(read_answers(test.folder / "answers.jsonl")) == 2
    take(sweep, tmp_path, answers_file(test, tmp_path / "a.json", listener="cleo 2"))
    assert len(read_answers(test.folder / "answers.jsonl")) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read (No such file or directory)"),
        ("{", "is not an answers file of a listening test (the file: Invalid JSON"),
        ("[]", "is not an answers file of a listening test (the file: "),
        ('{"test": "mos-1"}', "is not an answers file of a listening test (copy: Field required)"),
        (
            '{"test": "mos-ffffffffff", "copy": "", "listener": "a", "answers": []}',
            "answers of another test, 'mos-ffffffffff'; ",
        ),
        (
            '{"test": "../..", "copy": "", "listener": "a", "answers": []}',
            "answers of another test, '../..'; ",
        ),
    ],
)
def test_a_file_that_is_none_is_said_in_one_line(
    sweep: Recorded, tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "answers.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReportError) as caught:
        take(sweep, tmp_path / "tests", path)
    assert str(caught.value).startswith(f"--import {path}: {said}") and "\n" not in str(caught.value)


def test_names_that_are_html_are_text_on_every_page(home: Path, tmp_path: Path) -> None:
    sweep = Recorded(home, name=SCRIPT.replace("/", ""), seconds=0.5)
    sweep.trial(1, f"loss={SCRIPT}", 0.6)
    sweep.trial(2, "loss='\"><img src=x onerror=alert(1)>", 0.5)
    test = made(sweep, tmp_path)
    answer(test, "<b>anna</b>", opinion)
    results = summarize(test.design, read_answers(test.folder / "answers.jsonl"))
    exported = tmp_path / "test.html"
    listen(sweep.client, sweep.name, tmp_path, Options(export=exported), lambda line: None)
    for page in (render_test(test), exported.read_text(), render_results(results)):
        assert "alert" in page and "<b>anna" not in page
        for forbidden in ("<script>alert", "<img"):
            assert forbidden not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, trial 1" in render_results(results)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "mus"}, "--method mus: is unknown; mos, abx, mushra, prefer are allowed"),
        ({"top": 0}, "--top 0: must be at least 1"),
        ({"export": Path("a"), "answers": Path("b")}, "--export and --import: only one of them at a time"),
        (
            {"against_original": True},
            "--against-original: is for --method abx; mos and mushra always have the original",
        ),
        (
            {"method": "abx", "trials": (1,)},
            "--method abx compares systems, and vae has only one here: loss=l1, trial 1;",
        ),
        ({"export": Path("/nowhere/test.html")}, "--export /nowhere/test.html: can't be written there (No such file"),
        ({"port": 70000}, "port 70000 on 127.0.0.1: must be from 0 to 65535; port "),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    sweep: Recorded, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ReportError) as caught:
        listen(sweep.client, sweep.name, tmp_path, Options(**options), lambda line: None)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_what_listeners_should_know_of_the_sounds_is_said_and_kept(home: Path, tmp_path: Path) -> None:
    sweep = Recorded(home, seconds=0.5)
    sweep.trial(1, "loss=l1", 0.6)
    sweep.seconds = 0.3
    sweep.sounds(sweep.trial(2, "loss=l2", 0.5, clips=("dog_1",)), 0.2, ("rain_2",))
    with pytest.raises(ReportError, match="these systems share no original; choose others with --trials"):
        made(sweep, tmp_path)
    said: list[str] = []
    make_test(sweep.client, "vae", tmp_path, Options(trials=(2,)), said.append)
    assert "  note: dog_1 of loss=l2, trial 2: silent, or too short to have a loudness, played as it is" in said


def test_answers_stay_when_mlflow_does_not_answer(
    sweep: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    test = made(sweep, tmp_path / "tests")
    path = answers_file(test, tmp_path / "cleo.json")
    stored = test.folder / "answers.jsonl"
    with pytest.raises(ReportError) as caught:
        listen(MlflowClient("http://127.0.0.1:9"), "vae", tmp_path / "tests", Options(answers=path), lambda line: None)
    assert str(caught.value) == (
        "MLflow at http://127.0.0.1:9 does not answer ([Errno 111] Connection refused); check MLFLOW_TRACKING_URI; "
        f"all answers are in {stored}, and the same command sends the results"
    )
    assert len(read_answers(stored)) == 8


def test_what_a_test_consists_of_and_can_show_is_said_before_it(sweep: Recorded, tmp_path: Path) -> None:
    said: list[str] = []
    test = make_test(sweep.client, "vae", tmp_path, Options(method="abx"), said.append)
    assert said == [
        "Fetching 2 clips of 2 systems from MLflow …",
        f"{test.design.id}: 40 answers a listener; 2 clips of",
        "  loss=l1, trial 1",
        "  loss=vae, trial 2",
        "Better than guessing about a pair: 65 % right (26) or more of 40 answers (1 listener); "
        "57 % right (113) or more of 200 answers (5 listeners); one-sided binomial test, 5 %.",
    ]
    answer(test, "anna", right)
    said.clear()
    make_test(sweep.client, "vae", tmp_path, Options(method="abx", trials=(1, 3)), said.append)
    assert f"  note: {test.design.id}, of other systems or sounds, has 40 answers, not counted here" in said
    said.clear()
    make_test(sweep.client, "vae", tmp_path, Options(), said.append)
    assert said[-1] == "Listeners who rate the hidden original below 3.5 on average are left out of the means."
