"""MUSHRA and preference tests taken by simulated listeners: attentive ones, random ones, one, and several."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import ReportError
from reports.listening.answers import Answer, Answers, read_answers
from reports.listening.design import ANCHOR, MID_ANCHOR, REFERENCE, Step, is_catch, page_session
from reports.listening.metric_agreement import kendall_tau
from reports.listening.open_steps import open_steps, steps_of_copy
from reports.listening.preparation import ListeningTest
from reports.listening.results import contrasts_of, lines_of, summarize_test
from reports.listening.session import Options, listen, make_test
from reports.listening.sounds import Sound, make_anchor, read_sound
from reports.listening.tables import Results
from tests.listening.test_listening_sources import Recorded, small_sweep

QUALITY = {REFERENCE: 100, MID_ANCHOR: 60, ANCHOR: 20, "s0": 30, "s1": 75, "s2": 55}
METRICS = {"val/fvu": (0.5, 0.1, 0.2), "val/judge_accuracy": (0.9, 0.2, 0.1), "val/loss": (1.0, 2.0, 3.0)}
Choose = Callable[[Step], Answer]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    """Three trials of which the first is the worst; FVU agrees with that, the judge says the opposite."""
    sweep = small_sweep(tmp_path_factory.mktemp("home"), empty_database, seconds=0.5)
    declared = {
        "val/fvu": {"mode": "min", "comparable": "all"},
        "val/judge_accuracy": {"mode": "max", "comparable": "all"},
        "val/loss": {"mode": "min", "comparable": "same_loss"},
    }
    sweep.client.log_dict(sweep.parent, {"metrics": declared, "renders": True}, "sweep.json")
    runs = {
        run.data.tags["orchestrate.trial"]: run.info.run_id
        for run in sweep.client.search_runs([sweep.experiment])
        if run.data.tags["orchestrate.role"] == "trial"
    }
    for name, values in METRICS.items():
        for number, value in enumerate(values, 1):
            sweep.client.log_metric(runs[str(number)], "best/" + name.replace("/", "_"), value)
    return sweep


def prepare(sweep: Recorded, folder: Path, method: str, **options: Any) -> ListeningTest:
    options = {"trials": (1, 2, 3)} | options
    return make_test(sweep.client, sweep.name, folder, Options(method=method, **options), lambda line: None)


def take(test: ListeningTest, listener: str, choose: Choose) -> None:
    """Let a listener answer everything that the test asks."""
    with Answers(test) as answers:
        while steps := open_steps(test, answers, listener)[0]:
            answers.add(listener, steps[0], choose(steps[0]), page_session(listener))


def rater(seed: int, spread: float = 4) -> Choose:
    """A listener whose ratings scatter around the known qualities; the hidden original is recognized."""
    generator = np.random.default_rng(seed)

    def rate(step: Step) -> Answer:
        scattered = {slot: QUALITY[step.slots[slot]] + generator.normal(0, spread) for slot in step.rated_slots}
        return {
            slot: 100 if step.slots[slot] == REFERENCE else int(np.clip(rating, 0, 89))
            for slot, rating in scattered.items()
        }

    return rate


def guesser(seed: int) -> Choose:
    """A listener who rates, or votes, at random."""
    generator = np.random.default_rng(seed)

    def guess(step: Step) -> Answer:
        if len(step.slots) > 2:
            return {slot: int(generator.integers(0, 101)) for slot in step.rated_slots}
        return str(generator.choice(["a", "b", "tie"]))

    return guess


def voter(seed: int, certainty: float = 8) -> Choose:
    """A listener who prefers the better of two systems with a probability that grows with their distance."""
    generator = np.random.default_rng(seed)

    def vote(step: Step) -> Answer:
        gap = (QUALITY[step.slots["a"]] - QUALITY[step.slots["b"]]) / certainty
        return "a" if generator.random() < 1 / (1 + math.exp(-gap)) else "b"

    return vote


def results_of(test: ListeningTest) -> Results:
    return summarize_test(test, read_answers(test.folder / "answers.jsonl"))


def test_a_mushra_page_has_all_systems_the_hidden_original_and_both_anchors(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    assert len(test.design.items) == len(test.design.clips) == 2
    orders = set()
    for listener in ("anna", "bob", "cleo", "dan"):
        for step in test.plan(page_session(listener)):
            assert step.slots["reference"] == REFERENCE
            assert sorted(step.rated_slots) == list("abcdef")
            assert sorted(step.slots[slot] for slot in step.rated_slots) == sorted(QUALITY)
            orders.add(tuple(step.slots.values()))
    assert len(orders) > 4
    clip = test.design.clips[0]
    assert len(read_sound(test.sound(clip, REFERENCE)).samples) == len(read_sound(test.sound(clip, ANCHOR)).samples)
    noise = make_anchor(Sound(np.random.default_rng(0).normal(0, 0.1, 22_050), 22_050), 7000)
    power = np.abs(np.fft.rfft(noise.samples)) ** 2
    frequencies = np.fft.rfftfreq(len(noise.samples), 1 / noise.rate_hz)
    passed, stopped = power[frequencies < 6900].mean(), power[frequencies > 8100].mean()
    assert 10 * np.log10(passed / stopped) > 40


def test_mushra_ratings_become_means_medians_contrasts_and_agreements(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    for seed in range(6):
        take(test, f"listener {seed}", rater(seed))
    results = results_of(test)
    for key, row in zip(test.design.systems, results.rows, strict=True):
        assert row.estimate is not None and row.estimate.count == 12
        assert row.estimate.low is not None and row.estimate.high is not None and row.median is not None
        assert row.estimate.low <= row.estimate.value <= row.estimate.high
        assert abs(row.estimate.value - QUALITY[key]) < 5 and abs(row.median - QUALITY[key]) < 5
    assert [contrast.p < 0.05 for contrast in results.contrasts] == [True] * 3
    assert contrasts_of(results)[0].startswith("loss=l1, trial 1 − loss=vae, trial 2: -4")
    by_metric = {agreement.metric: agreement for agreement in results.metric_agreements}
    assert by_metric.keys() == {"val/fvu", "val/judge_accuracy"}, "the loss means something else in each arm"
    assert (by_metric["val/fvu"].tau, by_metric["val/fvu"].low) == (1, 1)
    assert by_metric["val/judge_accuracy"].tau == pytest.approx(-1 / 3)
    run = test.design.systems["s1"].run_id or ""
    assert results.metrics[run]["listen/mushra"] == pytest.approx(75, abs=5)
    said = lines_of(results)
    assert "  val/fvu and the listeners: Kendall's τ 1.00 [1.00, 1.00] over 3 systems" in said
    assert any("has the listeners' order of 3 systems in one of 6 cases" in line for line in said)
    assert not results.left_out and not results.remarks


def test_who_rates_at_random_is_excluded_from_a_mushra_test_and_named(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    for seed in range(5):
        take(test, f"listener {seed}", rater(seed))
    before = results_of(test).rows
    take(test, "monkey", guesser(3))
    results = results_of(test)
    assert results.rows == before
    assert len(results.left_out) == 1
    assert results.left_out[0].startswith("left out: monkey rated the hidden original below 90 on ")


def test_one_listener_is_said_to_say_nothing_about_others(sweep: Recorded, tmp_path: Path) -> None:
    for method, choose in (("mushra", rater(0)), ("prefer", voter(0))):
        test = prepare(sweep, tmp_path, method)
        take(test, "anna", choose)
        assert any("one listener: the intervals are about these clips" in line for line in lines_of(results_of(test)))


def test_if_nobody_passes_the_screening_there_is_no_result_and_it_is_said(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    take(test, "monkey", lambda step: dict.fromkeys(step.rated_slots, 40))
    results = results_of(test)
    assert all(row.estimate is None for row in results.rows)
    assert all(math.isnan(values["listen/mushra"]) for values in results.metrics.values())
    assert "and above the 3.5 kHz anchor on 0: as ratings at random would be" in results.left_out[0]


def test_preferences_become_strengths_in_the_right_order(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "prefer")
    assert test.design.num_answers == 41
    for seed in range(3):
        take(test, f"listener {seed}", voter(seed))
    results = results_of(test)
    assert [row.name for row in results.rows] == ["loss=vae, trial 2", "loss=vae, trial 3", "loss=l1, trial 1"]
    assert not results.left_out
    assert sum(row.estimate.value for row in results.rows if row.estimate) == pytest.approx(0)
    assert results.contrasts and results.contrasts[0].p < 0.05
    assert results.metric_agreements[0].metric == "val/fvu" and results.metric_agreements[0].tau == 1


def test_an_attention_check_comes_at_equal_distances_and_a_random_voter_fails_them(
    sweep: Recorded, tmp_path: Path
) -> None:
    test = prepare(sweep, tmp_path, "prefer")
    take(test, "anna", voter(0))
    take(test, "monkey", guesser(5))
    stored = [one for one in read_answers(test.folder / "answers.jsonl") if one.listener == "anna"]
    checks = [place for place, one in enumerate(stored) if set(one.systems) == {REFERENCE, ANCHOR}]
    assert len(checks) == 5 and checks[0] < 10
    results = results_of(test)
    assert len(results.left_out) == 1 and results.left_out[0].startswith("left out: monkey did not prefer the original")
    assert results_of(test).rows == results.rows
    assert sum(row.estimate.count for row in results.rows if row.estimate) == 2 * (len(stored) - len(checks))


def test_a_listener_who_agrees_no_more_than_guesses_is_named_but_counts(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "prefer")
    for seed in range(3):
        take(test, f"listener {seed}", voter(seed, certainty=4))
    generator = np.random.default_rng(0)
    take(test, "eve", lambda step: voter(9)(step) if is_catch(step.item) else str(generator.choice(["a", "b"])))
    results = results_of(test)
    assert not results.left_out
    assert any(remark.startswith("eve agrees with the other listeners in ") for remark in results.remarks)


def test_an_adaptive_test_goes_on_where_it_stopped(sweep: Recorded, tmp_path: Path) -> None:
    test = prepare(sweep, tmp_path, "prefer")
    with Answers(test) as answers:
        for _ in range(7):
            steps, _ = open_steps(test, answers, "anna")
            answers.add("anna", steps[0], "a", page_session("anna"))
        next_step, done = open_steps(test, answers, "anna")
    with Answers(test) as answers:
        assert open_steps(test, answers, "anna") == (next_step, 7) and done == 7


def test_votes_about_the_same_trials_count_in_a_later_test(sweep: Recorded, tmp_path: Path) -> None:
    first = prepare(sweep, tmp_path, "prefer", trials=(1, 2))
    take(first, "anna", voter(0))
    both = prepare(sweep, tmp_path, "prefer")
    results = results_of(both)
    counts = {row.name: row.estimate.count if row.estimate else 0 for row in results.rows}
    assert counts["loss=vae, trial 3"] == 0 < counts["loss=l1, trial 1"]
    with Answers(both) as answers:
        step = open_steps(both, answers, "bob")[0][0]
    assert "s2" in step.item.systems, "the trial without votes is asked about first"


@pytest.mark.parametrize(("method", "choose"), [("mushra", rater(1)), ("prefer", voter(1))])
def test_an_exported_test_comes_back_once(sweep: Recorded, tmp_path: Path, method: str, choose: Choose) -> None:
    test = prepare(sweep, tmp_path, method)
    steps = steps_of_copy(test, "c0de")
    assert len(steps) == test.design.num_answers == len({step.item.id for step in steps})
    votes = [{"item": step.item.id, "token": step.token, "answer": choose(step)} for step in steps]
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"test": test.design.id, "copy": "c0de", "listener": "Cleo", "answers": votes}))
    said: list[str] = []
    for _ in range(2):
        listen(sweep.client, sweep.name, tmp_path, Options(answers=path), said.append)
    assert f"cleo: {len(steps)} new answers, 0 that were there already" in said
    assert f"cleo: 0 new answers, {len(steps)} that were there already" in said
    name = "listen/mushra" if method == "mushra" else "listen/preference"
    assert name in sweep.metrics(test.design.systems["s1"].run_id or "")
    assert f"listen/agreement/{method}/val/fvu" in sweep.metrics(sweep.parent)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"a": 50}, "an answer is a rating from 0 to 100 for each of a, b, c, d, e, f"),
        (dict.fromkeys("abcdef", 101), "an answer is a rating from 0 to 100 for each of a, b, c, d, e, f"),
        (3, "an answer is a rating from 0 to 100 for each of a, b, c, d, e, f"),
    ],
)
def test_a_broken_file_of_a_mushra_test_is_refused_whole(
    sweep: Recorded, tmp_path: Path, answer: object, reason: str
) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    steps = steps_of_copy(test, "c0de")
    votes: list[dict[str, Any]] = [
        {"item": step.item.id, "token": step.token, "answer": dict.fromkeys(step.rated_slots, 50)} for step in steps
    ]
    votes[1]["answer"] = answer
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"test": test.design.id, "copy": "c0de", "listener": "Cleo", "answers": votes}))
    with pytest.raises(ReportError, match=reason + ", got .*; nothing was imported from this file"):
        listen(sweep.client, sweep.name, tmp_path, Options(answers=path), lambda line: None)
    assert not read_answers(test.folder / "answers.jsonl")


@pytest.mark.parametrize("method", ["mushra", "prefer"])
def test_a_test_of_one_trial_is_refused_with_what_to_do(sweep: Recorded, tmp_path: Path, method: str) -> None:
    with pytest.raises(ReportError) as caught:
        prepare(sweep, tmp_path, method, trials=(1,))
    assert str(caught.value) == (
        f"--method {method} compares systems, and vae has only one here: loss=l1, trial 1; give two with --trials, or "
        "rate it alone with --method mos"
    )


def test_more_systems_than_a_mushra_page_may_have_are_refused(home: Path, tmp_path: Path) -> None:
    crowd = Recorded(home, clips=("dog_1",), seconds=0.5)
    for number in range(1, 11):
        crowd.trial(number, f"loss=l{number}", number / 20)
    with pytest.raises(ReportError, match="at most 9, and these are 10; give --top 9 or fewer --trials"):
        prepare(crowd, tmp_path, "mushra", trials=tuple(range(1, 11)))


def test_kendalls_tau_is_scipys() -> None:
    from scipy import stats

    generator = np.random.default_rng(0)
    scores, values = generator.integers(0, 5, (20, 6)).astype(float), generator.integers(0, 4, 6).astype(float)
    expected = [stats.kendalltau(row, values).statistic for row in scores]
    assert kendall_tau(scores, values) == pytest.approx(expected)
