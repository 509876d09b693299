"""A listener at a real browser, by keyboard: a whole test of each kind, stopped midway, and one that came as a file."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from reports.listening.answers import read_answers
from reports.listening.preparation import ListeningTest
from reports.listening.session import Options, listen, make_test
from tests.listening.test_listening_server import holding
from tests.listening.test_listening_sources import Recorded, small_sweep

PATIENCE_MS = 15_000


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    """Sounds of half a second, which a browser plays in that time."""
    return small_sweep(tmp_path_factory.mktemp("home"), empty_database, seconds=0.5, clips=("dog_1", "rain_2"))


@pytest.fixture(scope="module")
def sweep_of_2_s(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    return small_sweep(tmp_path_factory.mktemp("home"), empty_database, clips=("dog_1",))


class Listener:
    """Types a code, and then hears and answers by keyboard."""

    def __init__(self, context: BrowserContext, url: str, code: str) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        expect(self.page.locator("#code")).to_be_focused()
        self.page.keyboard.type(code)
        self.page.keyboard.press("Enter")

    def count(self) -> str:
        expect(self.page.locator("#count")).to_be_visible()
        return self.page.locator("#count").inner_text()

    def rate(self, key: str) -> None:
        """Wait until the sound has been played by itself, and rate it."""
        before = self.count()
        expect(self.page.locator("[data-answer='1']")).to_be_enabled(timeout=PATIENCE_MS)
        self.page.keyboard.press(key)
        self._go_on(before)

    def tell(self, key: str) -> None:
        """Hear A, B and X, and say which X is."""
        before = self.count()
        for slot in "abx":
            self.page.keyboard.press(slot)
            expect(self.page.locator(f"[data-slot={slot}].heard")).to_be_visible(timeout=PATIENCE_MS)
        self.page.keyboard.press(key)
        self._go_on(before)

    def _go_on(self, before: str) -> None:
        expect(self.page.locator("#count")).not_to_have_text(before) if self.left(before) else self.thanked()

    def left(self, count: str) -> int:
        done, total = map(int, re.findall(r"\d+", count))
        return total - done

    def thanked(self) -> str:
        expect(self.page.locator("#end")).to_be_visible()
        return self.page.locator("#thanks").inner_text()


def made(sweep: Recorded, folder: Path, method: str = "mos", **options: Any) -> ListeningTest:
    return make_test(sweep.client, sweep.name, folder, Options(method=method, **options), lambda line: None)


def test_a_whole_test_is_rated_by_keyboard_and_goes_on_where_it_stopped(
    browser: Browser, sweep_of_2_s: Recorded, tmp_path: Path
) -> None:
    test = made(sweep_of_2_s, tmp_path, trials=(2,))
    with holding(test) as held, browser.new_context(color_scheme="dark") as context:
        anna = Listener(context, held.url, "Anna")
        assert anna.count() == "1 of 3"
        anna.page.keyboard.press("5")
        expect(anna.page.locator("#hint")).to_have_text("Hear it to its end first.")
        assert not held.answers.stored
        anna.page.wait_for_timeout(800)
        anna.page.screenshot(path=tmp_path / "mos_playing.png")
        anna.rate("5")
        anna.page.close()
        again = Listener(context, held.url, " anna")
        assert again.count() == "2 of 3"
        again.rate("4")
        again.rate("2")
        assert again.thanked() == "All 3 answers of anna are stored; you can close this page."
        again.page.screenshot(path=tmp_path / "mos_end.png")
        again.page.goto(f"{held.url}/results")
        again.page.screenshot(path=tmp_path / "mos_results.png")
        assert again.page.locator("tbody tr").count() == 3
        assert not anna.problems + again.problems
        assert all(url.startswith((held.url, "data:")) for url in anna.requests + again.requests)
    given = read_answers(test.folder / "answers.jsonl")
    assert [each.answer for each in given] == [5, 4, 2]
    assert [each.item for each in given] == [step.item.id for step in test.plan("listener anna")]


def test_a_sound_is_played_again_as_often_as_wanted(browser: Browser, sweep: Recorded, tmp_path: Path) -> None:
    with holding(made(sweep, tmp_path)) as held, browser.new_context() as context:
        anna = Listener(context, held.url, "anna")
        playing = anna.page.locator("[data-slot=sound].playing")
        expect(anna.page.locator("[data-answer='1']")).to_be_enabled()
        for _ in range(2):
            expect(playing).to_have_count(0)
            anna.page.keyboard.press("Space")
            expect(playing).to_have_count(1)
        assert not held.answers.stored


def test_an_abx_test_is_answered_by_keyboard_and_goes_on_where_it_stopped(
    browser: Browser, sweep: Recorded, tmp_path: Path
) -> None:
    test = made(sweep, tmp_path, "abx", trials=(1, 2))
    # Forty answers would take a minute.
    test = ListeningTest(test.design.model_copy(update={"items": test.design.items[:2]}), test.secret, test.folder)
    keys = {step.item.id: "1" if step.right == "a" else "2" for step in test.plan("listener bob")}
    order = [step.item.id for step in test.plan("listener bob")]
    with holding(test) as held, browser.new_context() as context:
        bob = Listener(context, held.url, "bob")
        assert bob.count() == "1 of 2"
        bob.page.keyboard.press("1")
        expect(bob.page.locator("#hint")).to_have_text("Hear A, B and X to their end first.")
        bob.tell(keys[order[0]])
        bob.page.keyboard.press("a")
        expect(bob.page.locator("[data-slot=a].heard")).to_be_visible()
        bob.page.screenshot(path=tmp_path / "abx.png")
        bob.page.close()
        again = Listener(context, held.url, "BOB")
        assert again.count() == "2 of 2"
        again.tell(keys[order[1]])
        again.thanked()
        assert not bob.problems + again.problems
    assert [each.right for each in read_answers(test.folder / "answers.jsonl")] == [True] * 2


def test_a_server_that_has_gone_is_said_and_the_answer_can_be_given_again(
    browser: Browser, sweep: Recorded, tmp_path: Path
) -> None:
    test = made(sweep, tmp_path)
    with browser.new_context() as context:
        with holding(test) as held:
            anna = Listener(context, held.url, "anna")
            expect(anna.page.locator("[data-answer='1']")).to_be_enabled()
        anna.page.keyboard.press("4")
        expect(anna.page.locator("#trial .problem")).to_contain_text("The test's server does not answer")
        assert anna.count() == "1 of 8"
        expect(anna.page.locator("[data-answer='4']")).to_be_enabled()


@pytest.mark.parametrize(("method", "trials"), [("mos", (1,)), ("abx", (1, 2))])
def test_an_exported_file_is_taken_without_a_network_and_comes_back(
    browser: Browser, sweep: Recorded, tmp_path: Path, method: str, trials: tuple[int, ...]
) -> None:
    exported, saved = tmp_path / "test.html", tmp_path / "answers.json"
    options = Options(method=method, trials=trials, export=exported)
    listen(sweep.client, sweep.name, tmp_path / "tests", options, lambda line: None)
    with browser.new_context(offline=True, viewport={"width": 390, "height": 760}) as context:
        cleo = Listener(context, exported.as_uri(), "<i>Cleo</i>")
        step = cleo.rate if method == "mos" else cleo.tell
        step("2")
        cleo.page.close()
        again = Listener(context, exported.as_uri(), "<I>cleo</I>")
        assert again.count().startswith("2 of ")
        step = again.rate if method == "mos" else again.tell
        for _ in range(5 if method == "mos" else 1):
            step("2")
        again.page.screenshot(path=tmp_path / f"{method}_file.png")
        with again.page.expect_download() as download:
            again.page.get_by_role("button", name="Save the answers").click()
        download.value.save_as(saved)
        assert download.value.suggested_filename.endswith("-_i_cleo_i_.json")
        requests = cleo.requests + again.requests
        assert not cleo.problems + again.problems
        assert all(url.startswith(("file:", "blob:", "data:")) for url in requests)
    said: list[str] = []
    listen(sweep.client, sweep.name, tmp_path / "tests", Options(answers=saved), said.append)
    count = 6 if method == "mos" else 2
    assert said[0] == f"<i>cleo</i>: {count} new answers, 0 that were there already"


def test_ctrl_c_ends_the_test_with_its_results_said_and_in_mlflow(
    browser: Browser, sweep: Recorded, tmp_path: Path
) -> None:
    code = (
        "import functools, sys; from pathlib import Path; from mlflow import MlflowClient; "
        "from reports.listening.session import Options, listen; say = functools.partial(print, flush=True); "
        "listen(MlflowClient(sys.argv[1]), 'vae', Path(sys.argv[2]), Options(port=0), say)"
    )
    command = [sys.executable, "-c", code, sweep.uri, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        url = next(found.group(1) for line in process.stdout if (found := re.search(r"is at  (http\S+)", line)))
        with browser.new_context() as context:
            dan = Listener(context, url, "dan")
            dan.rate("4")
            dan.page.close()
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 0, said
    assert "ratings of dan 1 of 8" in said and "Written to MLflow" in said and "Traceback" not in said
