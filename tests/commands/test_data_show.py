"""The page of a corpus: what it finds, and what it looks like in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.data.show import Leaks, make_page
from orchestrator.commands.data.wall import count_durations
from tests.support.browser import find_barriers, scrolls_sideways
from trainables.components.audio.clip import ClipFormat
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.corpora.survey import survey

RATE_HZ = 22_050
CLASSES = ("<b>dog", "rain")


def make_sound(seed: int) -> np.ndarray:
    """4 s of a tone that wanders, over noise whose level changes."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    hz = np.interp(time_s, np.linspace(0, 4, 12), rng.uniform(200, 3000, 12))
    level = np.interp(time_s, np.linspace(0, 4, 15), rng.uniform(0.02, 0.3, 15))
    noise = level * rng.standard_normal(len(time_s))
    return 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ) + 0.3 * noise


def compress(sound: np.ndarray, path: Path) -> np.ndarray:
    """Return a sound as it comes out of a lossy file of half its level."""
    soundfile.write(path, 0.5 * sound, RATE_HZ, format="OGG")
    decoded, _ = soundfile.read(path)
    path.unlink()
    return decoded[: len(sound)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of eight recordings. One is nearly silent, one clipped, and one is unreadable, as is a picture."""
    root = tmp_path_factory.mktemp("sounds")
    for number, name in enumerate(CLASSES):
        (root / name).mkdir()
        for index in range(8):
            soundfile.write(root / name / f"{index}.wav", make_sound(10 * number + index), RATE_HZ)
            Image.new("RGB", (40, 30), (30 * index, 90, 90)).save(root / name / f"{index}.png")
    soundfile.write(root / "rain" / "quiet.wav", 5e-4 * make_sound(50), RATE_HZ)
    soundfile.write(root / "rain" / "loud.wav", np.clip(20 * make_sound(51), -1, 1), RATE_HZ)
    (root / "rain" / "broken.wav").write_bytes(b"nothing")
    (root / "rain" / "loud.png").write_bytes(b"nothing")
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def open_folder(root: Path, home: Path) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root)}, home)


@pytest.fixture(scope="module")
def leaking(root: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a recording of the test split the sound of one of the train split, and another one its neighbour's."""
    splits = open_folder(root, home).clips.drop_duplicates("recording").set_index("recording")["split"]
    dogs = splits[splits.index.str.startswith(CLASSES[0])]
    trained, twin, _ = dogs.index[dogs == "train"][:3]
    tested = dogs.index[dogs == "test"][0]
    sound, _ = soundfile.read(root / trained)
    scratch = tmp_path_factory.mktemp("scratch") / "sound.ogg"
    for name in (tested, twin):
        soundfile.write(root / name, compress(sound, scratch), RATE_HZ)
    return {"trained": trained, "twin": twin, "tested": tested}


@pytest.fixture(scope="module")
def path(root: Path, home: Path, leaking: dict[str, str]) -> Path:
    result = CliRunner().invoke(app, ["data", "show", "folder", "--root", str(root), "--home", str(home)])
    assert isinstance(result.exception, Leaks) and result.exception.exit_code == 1, result.exception
    assert str(result.exception).startswith("corpus folder: 2 sounds in two splits; delete one of each two files")
    output = " ".join(result.output.split())
    assert f"leak: {leaking['trained']} (train) sounds like {leaking['tested']} (test)" in output or (
        f"leak: {leaking['tested']} (test) sounds like {leaking['trained']} (train)" in output
    )
    (path,) = (home / "reports").glob("corpus-folder-*.html")
    return path


@pytest.fixture(params=[(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")], ids=lambda param: str(param))
def page(request: pytest.FixtureRequest, browser: Browser, path: Path) -> Iterator[Page]:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == [], "it needs no network"
    page.close()


def test_the_same_sound_is_found_in_other_files_and_levels(
    root: Path, home: Path, leaking: dict[str, str], path: Path
) -> None:
    corpus = open_folder(root, home)
    measured = survey(corpus)
    names = corpus.clips["recording"]
    pairs = {frozenset((names[pair.first], names[pair.second])): pair.is_leak for pair in measured.duplicates}
    assert pairs == {
        frozenset((leaking["trained"], leaking["tested"])): True,
        frozenset((leaking["twin"], leaking["tested"])): True,
        frozenset((leaking["trained"], leaking["twin"])): False,
    }
    assert set(names[measured.is_quiet]) == {"rain/quiet.wav"}
    assert set(names[measured.is_clipped]) == {"rain/loud.wav"}
    rms_db = 20 * np.log10(np.sqrt(np.mean((corpus.waveforms()[0] / 32767) ** 2)))
    assert measured.rms_db[0] == pytest.approx(rms_db, abs=0.01)


def test_the_page_shows_what_there_is_and_what_is_wrong(page: Page, leaking: dict[str, str]) -> None:
    text = page.inner_text("body")
    assert "18 recordings and 36 clips" in text
    assert "Error: 2 sounds in two splits" in text and leaking["tested"] in text
    assert "1 file skipped: unreadable" in text and "1 picture can't be read" in text
    assert "2 clips nearly silent" in text and "2 clips clipped" in text and "1 sound twice within a split" in text
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split()[:8] for row in rows] == [
        ["<b>dog", "8", "4", "2", "2", "0", "0.01", "16"],
        ["rain", "10", "6", "2", "2", "1", "0.01", "20"],
    ]
    figures = page.locator("figure")
    assert figures.count() == 8
    captions = " ".join(figures.all_inner_texts())
    assert all(f", {split}, " in captions for split in ("train", "validation", "test"))
    images = page.locator("figure img")
    assert all(images.nth(place).evaluate("image => image.naturalWidth > 0") for place in range(images.count()))
    assert page.locator(".bars").first.get_attribute("aria-label")


def test_levels_and_durations_are_written_in_full(root: Path, home: Path, path: Path) -> None:
    corpus = open_folder(root, home)
    measured = survey(corpus)
    html = make_page(corpus, replace(measured, rms_db=np.full_like(measured.rms_db, -0.04)), None)
    assert ", 0 dB<br>" in html and "−80 to −75 dB" in html
    clips = pd.DataFrame({"recording": ["a", *["half an hour"] * 900]})
    assert [bar.label for bar in count_durations(replace(corpus, clips=clips)).bars][-1] == "1712 to 1824 s"
    # Half of each clip is that of the next one.
    overlapping = replace(corpus, clips=clips, clip_format=ClipFormat(wanted_hop=22_050))
    assert [bar.label for bar in count_durations(overlapping).bars][-1] == "857 to 913 s"


def test_the_page_can_be_used_by_everybody_and_fits_its_window(page: Page) -> None:
    assert find_barriers(page) == []
    assert not scrolls_sideways(page)


def test_a_clip_is_played(browser: Browser, path: Path) -> None:
    page = browser.new_page()
    page.goto(path.as_uri())
    player = page.locator("audio").first
    player.evaluate("audio => audio.play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.1")
    assert player.evaluate("audio => audio.duration") == pytest.approx(2.0, abs=0.01)
    page.close()


def test_a_page_that_cannot_be_written_is_named(root: Path, home: Path, path: Path) -> None:
    arguments = ["data", "show", "folder", "--root", str(root), "--home", str(home), "-o", str(root)]
    said = str(CliRunner().invoke(app, arguments).exception)
    assert said.startswith(f"{root}: the page can't be written (Is a directory)")


@pytest.mark.parametrize(("rate_hz", "length_s", "top_khz"), [(22_050, 2, 11), (11_025, 4, 5.5)])
def test_a_corpus_without_leaks_is_shown_without_an_error(
    tiny_corpus: Path, tiny_home: Path, tmp_path: Path, rate_hz: int, length_s: int, top_khz: float
) -> None:
    out = tmp_path / "pages" / "corpus.html"
    arguments = ["data", "show", "folder", "--root", str(tiny_corpus), "--home", str(tiny_home), "-o", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--set", f"rate_hz={rate_hz}"])
    assert result.exit_code == 0, result.exception
    text = out.read_text()
    assert "Error" not in text and "Nothing: no file was skipped" in text
    assert f"of {length_s} s in" in text and f"frequency upwards to {top_khz} kHz" in text
