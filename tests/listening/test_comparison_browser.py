"""MUSHRA and preference tests at a real browser, by keyboard: large and small, light and dark, served and as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from reports.listening.answers import Answers, read_answers
from reports.listening.design import REFERENCE, page_session
from reports.listening.open_steps import open_steps
from reports.listening.page import render_results
from reports.listening.preparation import ListeningTest
from reports.listening.results import summarize_test
from reports.listening.session import Options, listen, make_test
from tests.listening.test_listening_browser import PATIENCE_MS, Listener
from tests.listening.test_listening_server import holding
from tests.listening.test_listening_sources import Recorded, small_sweep
from tests.listening.test_simulated_listeners import rater, voter
from tests.support.browser import chromium, find_barriers, scrolls_sideways

WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 760}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    sweep = small_sweep(tmp_path_factory.mktemp("home"), empty_database, seconds=0.5, clips=("dog_1", "rain_2"))
    declared = {"val/judge_probability": {"mode": "max"}}
    sweep.client.log_dict(sweep.parent, {"metrics": declared, "renders": True}, "sweep.json")
    return sweep


def prepare(sweep: Recorded, folder: Path, method: str, **options: Any) -> ListeningTest:
    options = {"trials": (1, 2, 3)} | options
    return make_test(sweep.client, sweep.name, folder, Options(method=method, **options), lambda line: None)


def rate_page(page: Page, test: ListeningTest, listener: str, place: int) -> None:
    """Hear everything on a MUSHRA page by keyboard, and give the hidden original 100 and the others less."""
    step = test.plan(page_session(listener))[place]
    expect(page.locator("[data-slot=reference]")).to_be_enabled(timeout=PATIENCE_MS)
    expect(page.locator("#hint")).to_have_text("7 sounds are not heard yet.")
    page.keyboard.press("r")
    for slot in step.rated_slots:
        page.keyboard.press(slot)
        expect(page.locator(f"[data-slot={slot}].playing")).to_be_visible()
        page.keyboard.press("End" if step.slots[slot] == REFERENCE else "PageUp")
    expect(page.locator("#next")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mushra_page_is_rated_by_keyboard_and_goes_on_where_it_stopped(
    browser: Browser, sweep: Recorded, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    test = prepare(sweep, tmp_path, "mushra")
    viewport = WIDE if scheme == "light" else NARROW
    with holding(test) as held, browser.new_context(color_scheme=scheme, viewport=viewport) as context:
        anna = Listener(context, held.url, "anna")
        assert anna.count() == "1 of 2"
        rate_page(anna.page, test, "anna", 0)
        anna.page.screenshot(path=tmp_path / f"mushra_{scheme}.png", full_page=True)
        assert not find_barriers(anna.page) and not scrolls_sideways(anna.page)
        anna.page.keyboard.press("Enter")
        expect(anna.page.locator("#count")).to_have_text("2 of 2")
        anna.page.close()
        again = Listener(context, held.url, "Anna")
        assert again.count() == "2 of 2"
        rate_page(again.page, test, "anna", 1)
        again.page.locator("#next").click()
        assert again.thanked() == "All 2 answers of anna are stored; you can close this page."
        assert not anna.problems + again.problems
    stored = read_answers(test.folder / "answers.jsonl")
    for answer in stored:
        assert isinstance(answer.answer, dict)
        assert answer.answer.pop(REFERENCE) == 100 and all(1 <= rating <= 20 for rating in answer.answer.values())


def test_all_sounds_of_a_mushra_page_run_together_and_one_is_audible(
    browser: Browser, sweep: Recorded, tmp_path: Path
) -> None:
    with holding(prepare(sweep, tmp_path, "mushra")) as held, browser.new_context() as context:
        anna = Listener(context, held.url, "anna")
        expect(anna.page.locator("[data-slot=reference]")).to_be_enabled(timeout=PATIENCE_MS)
        for slot in "arb":
            anna.page.keyboard.press(slot)
        expect(anna.page.locator("[data-slot=b].playing")).to_be_visible(timeout=PATIENCE_MS)
        assert anna.page.evaluate("mushra.sources.length") == 7
        volumes: dict[str, float] = {"b": 0}
        for _ in range(PATIENCE_MS // 200):
            anna.page.wait_for_timeout(200)
            volumes = anna.page.evaluate(
                "Object.fromEntries(Object.entries(mushra.gains).map(([slot, gain]) => [slot, gain.gain.value]))"
            )
            if volumes["b"] > 0.99:
                break
        assert volumes.pop("b") > 0.99 and max(volumes.values()) < 0.01
        assert anna.page.evaluate("new Set(mushra.sources.map(source => source.loopEnd)).size") == 1
        anna.page.keyboard.press("Space")
        assert anna.page.evaluate("mushra.sources.length") == 0
        assert not anna.problems and not held.answers.stored


def prefer(listener: Listener, key: str) -> None:
    """Hear A and B, and answer."""
    before = listener.count()
    for slot in "ab":
        listener.page.keyboard.press(slot)
        expect(listener.page.locator(f"[data-slot={slot}].heard")).to_be_visible(timeout=PATIENCE_MS)
    listener.page.keyboard.press(key)
    expect(listener.page.locator("#count")).not_to_have_text(before)


def test_pairs_are_compared_by_keyboard_and_the_next_one_follows_from_the_votes(
    browser: Browser, sweep: Recorded, tmp_path: Path
) -> None:
    test = prepare(sweep, tmp_path, "prefer")
    with holding(test) as held, browser.new_context(viewport=WIDE) as context:
        anna = Listener(context, held.url, "anna")
        assert anna.count() == "1 of 41"
        anna.page.keyboard.press("1")
        expect(anna.page.locator("#hint")).to_have_text("Hear A and B to their end first.")
        prefer(anna, "1")
        prefer(anna, "2")
        anna.page.screenshot(path=tmp_path / "prefer.png")
        assert not find_barriers(anna.page) and not scrolls_sideways(anna.page)
        expected, done = open_steps(test, held.answers, "anna")
        assert done == 2 and anna.page.evaluate("steps[0].item") == expected[0].item.id
        prefer(anna, "3")
        anna.page.close()
        again = Listener(context, held.url, "anna")
        assert again.count() == "4 of 41"
        assert not anna.problems + again.problems
    assert [answer.answer for answer in read_answers(test.folder / "answers.jsonl")] == ["a", "tie", "b"]


@pytest.mark.parametrize("method", ["mushra", "prefer"])
def test_an_exported_file_is_taken_without_a_network_and_comes_back(
    browser: Browser, sweep: Recorded, tmp_path: Path, method: str
) -> None:
    exported, saved = tmp_path / "test.html", tmp_path / "answers.json"
    options = Options(method=method, trials=(1, 2, 3), export=exported)
    listen(sweep.client, sweep.name, tmp_path / "tests", options, lambda line: None)
    with browser.new_context(offline=True, viewport=NARROW, color_scheme="dark") as context:
        cleo = Listener(context, exported.as_uri(), "cleo")
        if method == "mushra":
            expect(cleo.page.locator("[data-slot=reference]")).to_be_enabled(timeout=PATIENCE_MS)
            for slot in "rabcdef":
                cleo.page.keyboard.press(slot)
                cleo.page.keyboard.press("ArrowRight")
            expect(cleo.page.locator("#next")).to_be_enabled()
            cleo.page.keyboard.press("Enter")
            expect(cleo.page.locator("#count")).to_have_text("2 of 2")
        else:
            prefer(cleo, "3")
        cleo.page.screenshot(path=tmp_path / f"{method}_file.png")
        assert not find_barriers(cleo.page) and not scrolls_sideways(cleo.page)
        with cleo.page.expect_download() as download:
            cleo.page.get_by_role("button", name="Save the answers").click()
        download.value.save_as(saved)
        assert not cleo.problems
    said: list[str] = []
    listen(sweep.client, sweep.name, tmp_path / "tests", Options(answers=saved), said.append)
    assert said[0] == "cleo: 1 new answer, 0 that were there already"


SCREENS: tuple[tuple[Literal["light", "dark"], ViewportSize], ...] = (("light", WIDE), ("dark", NARROW))


@pytest.mark.parametrize(("method", "choose"), [("mushra", rater), ("prefer", voter)])
def test_the_results_are_a_page_for_any_screen(
    browser: Browser, sweep: Recorded, tmp_path: Path, method: str, choose: Any
) -> None:
    test = prepare(sweep, tmp_path, method)
    with Answers(test) as answers:
        for seed in range(3):
            vote = choose(seed)
            while steps := open_steps(test, answers, f"listener {seed}")[0]:
                answers.add(f"listener {seed}", steps[0], vote(steps[0]), page_session(f"listener {seed}"))
        page_text = render_results(summarize_test(test, answers.stored))
    path = tmp_path / "results.html"
    path.write_text(page_text)
    for scheme, viewport in SCREENS:
        with browser.new_context(color_scheme=scheme, viewport=viewport) as context:
            page = context.new_page()
            page.goto(path.as_uri())
            page.screenshot(path=tmp_path / f"results_{method}_{scheme}.png", full_page=True)
            expect(page.get_by_text("Which metric agrees with the listeners?")).to_be_visible()
            assert not find_barriers(page) and not scrolls_sideways(page)
