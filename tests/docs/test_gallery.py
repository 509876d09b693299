"""The gallery of a recorded sweep: the question, its answer, and sounds that play, on wide and narrow screens."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from docs.make_gallery import Card, Row, _limit, make_breakable, make_gallery
from orchestrator.commands.init import find_examples
from orchestrator.errors import UserError
from tests.support.browser import find_barriers, scrolls_sideways
from tests.support.sweep_folder import SweepFolder, record_sweep

ROOT = Path(__file__).parents[2]
EARLIER = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>L1 &amp; L2?</title>'
    '<meta name="description" content="&lt;L1&gt; is worse."><h1>L1 &amp; L2?</h1><a href="index.html">All</a></html>'
)
"""A page of a sweep that the home does not have any more."""


def search(sweep: SweepFolder) -> None:
    """One trial of each arm, the second of which is the better one."""
    metrics = {"val/judge_probability": {"mode": "max", "comparable": "all", "description": "what the judge gives"}}
    sweep.start(metrics=metrics, renders=True)
    for trial, loss in ((1, "l2"), (2, "vae")):
        sweep.ask(trial, loss, searched={})
        for epoch in (1, 2):
            sweep.report(trial, epoch, judge_probability=0.2 * epoch + 0.05 * trial)
        sweep.end(trial, "completed", epochs=2)
        sweep.render(trial, "best", 2, level=0.1 * trial, seconds=1.0)
    sweep.close()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    sweep = record_sweep(tmp_path_factory.mktemp("gallery"), empty_database, search)
    folder = sweep.home / "gallery"
    folder.mkdir()
    (folder / "removed.html").write_text("a page of a search space that is gone")
    (folder / "losses-mine.html").write_text(EARLIER)
    paths = make_gallery(sweep.home, folder)
    assert [path.name for path in paths] == ["index.html", "vae.html"]
    assert {path.name for path in folder.glob("*")} == {"index.html", "vae.html", "losses-mine.html"}
    assert (folder / "losses-mine.html").read_text() == EARLIER
    return folder


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, gallery: Path) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto((gallery / "index.html").as_uri())
    yield page
    context.close()


def test_a_question_is_answered_and_heard(page: Page) -> None:
    question = find_examples()["vae"].question
    assert not find_barriers(page) and not scrolls_sideways(page)
    page.get_by_role("link", name=question).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(question)
    expect(page.locator(".answer")).to_contain_text("0.500")
    expect(page.get_by_text("orchestrate sweep search_spaces/vae.yaml")).to_be_visible()
    expect(page.locator(".cards li b").filter(has_text="original").first).to_be_visible()
    for arm, value in (("loss=l2", "0.450"), ("loss=vae", "0.500")):
        card = page.locator(".cards li").filter(has_text=arm).first
        expect(card).to_contain_text(f"judge probability {value}")
        expect(page.get_by_role("row").filter(has_text=arm)).to_contain_text(value)
    assert page.locator(".cards img").evaluate_all("images => images.every(image => image.naturalWidth > 40)")
    page.locator("audio").nth(1).evaluate("audio => audio.play()")
    page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 0.1")
    assert page.locator("audio").nth(1).evaluate("audio => audio.duration") == pytest.approx(1, abs=0.2)
    assert not find_barriers(page) and not scrolls_sideways(page)


def test_a_page_stays_when_its_sweep_is_deleted(page: Page) -> None:
    entries = page.locator(".questions li")
    expect(entries).to_have_text([re.compile(r"L1 & L2\?\s*<L1> is worse\."), re.compile("variational")])
    entries.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("L1 & L2?")


def render_in_two_ways(sweep: SweepFolder) -> None:
    """Two seeds of one arm, the first of which is better; of both, two renderings."""
    metrics = {"val/judge_probability": {"mode": "max", "comparable": "all", "description": "what the judge gives"}}
    sweep.start(metrics=metrics, renders=True)
    for trial, score in ((1, 0.6), (2, 0.4)):
        sweep.ask(trial, searched={})
        sweep.report(trial, 1, judge_probability=score)
        sweep.end(trial, "completed", epochs=1)
        renderings = []
        for place, voice in enumerate(("soft", "loud")):
            folder = f"renderings/voice={voice}"
            sweep.render(trial, f"../{folder}", 1, level=0.1 * (place + 1), seconds=1.0)
            values = {"val/sound_judge_probability": score + 0.1 * place}
            renderings.append(
                {"name": f"voice={voice}", "settings": {"voice": voice}, "folder": folder, "metrics": values}
            )
        sweep.event("evaluated", trial=trial, metrics={}, renderings=renderings, error=None)
    sweep.close()


def test_of_one_arm_the_renderings_of_the_best_trial_are_heard(
    tmp_path: Path, empty_database: Path, browser: Browser
) -> None:
    sweep = record_sweep(tmp_path, empty_database, render_in_two_ways)
    make_gallery(sweep.home, tmp_path / "gallery")
    page = browser.new_page()
    page.goto((tmp_path / "gallery" / "vae.html").as_uri())
    cards = page.locator(".cards").first.locator("li")
    expect(cards).to_have_text(
        ["original", re.compile(r"voice=loud.*judge probability 0\.700"), re.compile(r"voice=soft.*0\.600")]
    )
    expect(page.get_by_text("The renderings of the best trial")).to_be_visible()
    page.close()


def test_a_page_has_as_many_clips_as_fit_and_never_none() -> None:
    large = Card("original", "", "x" * 150_000)
    rows = [Row(str(number), (large,)) for number in range(3)]
    assert [row.clip for row in _limit(rows)] == ["0"]
    small = [Row(str(number), (Card("original", "", "x" * 90_000),)) for number in range(3)]
    assert [row.clip for row in _limit(small)] == ["0", "1"]


def test_a_home_without_an_answer_is_one_message(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no finished sweep of a search space .*; run one"):
        make_gallery(home, tmp_path / "gallery")
    assert not (tmp_path / "gallery").exists()


LABELS = ("encoded=phase_anti_wrapping", "phase=nearest_griffin_lim, clip_statistics=own", "a<b=c_d")
BREAKS = """(label) => {
    const walker = document.createTreeWalker(label, NodeFilter.SHOW_TEXT), places = [];
    let before = null;
    for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (let place = 0; place < node.length; place++) {
            const range = document.createRange();
            range.setStart(node, place);
            range.setEnd(node, place + 1);
            const top = range.getBoundingClientRect().top;
            if (before !== null && top > before.top + 4) places.push(before.sign);
            before = {top, sign: node.data[place]};
        }
    return places;
}"""
"""The characters behind which a label is broken."""


@pytest.mark.parametrize("width", [390, 1440])
def test_a_label_is_not_broken_within_a_word(browser: Browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    labels = "".join(f"<li><b>{make_breakable(label)}</b></li>" for label in LABELS)
    style = (ROOT / "docs" / "gallery_style.jinja").read_text()
    page.set_content(f"<style>{style} .cards li {{ width: 150px }}</style><ul class=cards>{labels}</ul>")
    bold = page.locator("b")
    assert bold.all_text_contents() == list(LABELS)
    breaks = "".join("".join(label.evaluate(BREAKS)) for label in bold.all())
    assert breaks and set(breaks) <= set("=_, ")
    page.close()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "gallery").glob("*.html")), ids=lambda path: path.stem)
def test_the_pages_of_the_repository_are_as_the_templates_write_them(path: Path) -> None:
    page = path.read_text()
    assert f"<style>{(ROOT / 'docs' / 'gallery_style.jinja').read_text().rstrip()}" in page
    written = re.findall("<b>(.*?)</b>|<h2>(?!All arms)(.*?)</h2>", page)
    for label in ("".join(groups) for groups in written):
        assert label == make_breakable(html.unescape(label.replace("<wbr>", "")))
