"""The page of sounds in a real browser: what it shows, what is played, and how its keys behave."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from orchestrator.plugins.loader import Media
from orchestrator.state.curve import Objective
from orchestrator.tracking import sounds_page
from orchestrator.tracking.best_renderings import Column
from orchestrator.worker import media
from reports.listening.sounds import TARGET_LUFS, Sound
from tests.support.browser import find_barriers, scrolls_sideways, wide_page

RATE_HZ, SECONDS = 22_050, 2.0
OBJECTIVE = Objective("val/judge_probability", "max")
CLIPS = ("alarm_1", "bird_2", "dog_3")
ARMS = {"loss=l1": 440.0, "loss=<b>l2</b>": 3_000.0, "loss=vae": 6_000.0}
"""The arms, with the frequency of what each makes."""
PROBABILITY = {
    "loss=l1": {"alarm_1": 0.5, "bird_2": 0.1, "dog_3": 0.3},
    "loss=<b>l2</b>": {"alarm_1": 0.6, "bird_2": 0.95, "dog_3": 0.4},
    "loss=vae": {"alarm_1": 0.55, "bird_2": 0.3, "dog_3": 0.7},
}
LSD_DB = {"alarm_1": 9.0, "bird_2": 0.5, "dog_3": 4.0}
"""By how much the last arm's distances exceed those of the others."""


def tone(hz: float, level: float) -> NDArray[np.float32]:
    time_s = np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def make_column(folder: Path, arm: str, value: float, sounds: Mapping[str, NDArray[np.float32]]) -> Column:
    rows = []
    for clip in CLIPS:
        lsd_db = 2.0 + (LSD_DB[clip] if arm == "loss=vae" else 0.0)
        rows.append({"clip": clip, "judge_probability": PROBABILITY[arm][clip], "lsd_db": lsd_db, "spectrogram": clip})
    stacked = {clip: np.full((16, 8, 3), 200, np.uint8) for clip in CLIPS}
    media.write(folder, Media(audio=sounds, images=stacked, clips=rows, rate_hz=RATE_HZ), epoch=4)
    params = {"lr": "0.0003"}, {"latent_dim": "128"}
    return Column(arm, f"t0-{arm}", 4, 4, value, (True, value), {"val/fvu": 0.25}, *params, folder, 1)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> list[Column]:
    folder = tmp_path_factory.mktemp("arms")
    columns = []
    for number, (arm, hz) in enumerate(ARMS.items()):
        sounds: dict[str, NDArray[np.float32]] = {}
        for clip in CLIPS:
            sounds[f"{clip}_original"] = tone(1_500.0, 0.5)
            # The last arm is silent on one clip.
            level = 0.0 if (number, clip) == (2, "dog_3") else 0.02 * (number + 1)
            sounds[f"{clip}_reconstruction"] = tone(hz, level)
        columns.append(make_column(folder / str(number), arm, (0.7, 0.9, 0.8)[number], sounds))
    return columns


@pytest.fixture(scope="module")
def path(columns: list[Column]) -> Path:
    path = columns[0].media.parent / "listen.html"
    sounds_page.write_page(path, "Sweep vae", columns, OBJECTIVE)
    return path


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    with wide_page(browser, path) as page:
        yield page


def cell(page: Page, clip: str, column: int) -> Locator:
    """Return the cell of a clip; column 0 is the original."""
    return page.locator(f".clip[data-name={clip}] td").nth(column)


def look_at(element: Locator) -> NDArray[np.float64]:
    with Image.open(io.BytesIO(element.screenshot())) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float64)


def names(page: Page) -> list[str]:
    return [str(clip.get_attribute("data-name")) for clip in page.locator(".clip").all()]


def wait_until_playing(page: Page, clip: str, column: int) -> None:
    expect(cell(page, clip, column).locator("button")).to_have_attribute("aria-pressed", "true")


def read_position(page: Page, clip: str, column: int) -> float:
    return float(cell(page, clip, column).locator("input").input_value())


def test_each_column_shows_its_own_sound_once(page: Page) -> None:
    pictures = [look_at(cell(page, "alarm_1", column).locator(".track img")) for column in range(4)]
    frequencies = (1_500.0, *ARMS.values())
    for picture, hz in zip(pictures, frequencies, strict=True):
        # Without the frame around it.
        inner = picture[3:-3, 3:-3]
        brightest = inner.mean(axis=1).argmax() / len(inner)
        assert brightest == pytest.approx(1 - hz / (RATE_HZ / 2), abs=0.04)
    assert np.abs(pictures[1] - pictures[2]).mean() > 1
    waveform = look_at(cell(page, "alarm_1", 1).locator("svg"))
    assert waveform.std() > 10
    expect(page.locator(".clip img")).to_have_count(len(CLIPS) * (1 + len(ARMS)))


def test_rows_are_sorted_by_how_much_arms_differ_and_columns_stay(page: Page) -> None:
    assert names(page) == ["bird_2", "dog_3", "alarm_1"]
    expect(page.locator(".clip small:visible").first).to_have_text("arms differ by 0.850 in judge probability")
    page.get_by_label("Sort clips by").select_option(label="how much arms differ in lsd")
    assert names(page) == ["alarm_1", "dog_3", "bird_2"]
    expect(page.locator(".clip small:visible").first).to_have_text("arms differ by 9.00 dB in lsd")
    page.get_by_label("Sort clips by").select_option(label="name")
    assert names(page) == ["alarm_1", "bird_2", "dog_3"]
    heads = [head.inner_text().split(" judge")[0].split("\n")[0] for head in page.locator("thead th").all()]
    assert [head.rstrip(" 0123") for head in heads] == ["original", "loss=l", "loss=<b>l2</b>", "loss=vae"]


def test_the_numbers_are_those_of_the_tables(page: Page, columns: list[Column]) -> None:
    for number, column in enumerate(columns, 1):
        for row in json.loads((column.media / "clips.json").read_text())["clips"]:
            values = cell(page, row["clip"], number).locator(".values")
            expect(values).to_contain_text(f"judge probability {row['judge_probability']:.3f}")
            expect(values).to_contain_text(f"lsd {row['lsd_db']:.2f} dB")
        head = page.locator("thead th").nth(number)
        expect(head).to_contain_text(f"judge probability {column.value:.3f}")
    # The best value of a row is marked.
    assert page.locator(".clip[data-name=bird_2] .top").all_inner_texts() == ["judge probability 0.950"]


def test_the_winner_is_marked_and_its_parameters_are_shown(page: Page) -> None:
    assert "★ best" in page.locator("thead th").nth(2).inner_text()
    expect(page.locator("thead .star")).to_have_count(1)
    winner = page.locator(".winner")
    expect(winner).to_contain_text("loss=<b>l2</b> has the highest judge probability: 0.900")
    expect(winner).to_contain_text("lr 0.0003")
    expect(winner).to_contain_text("latent_dim 128")


def test_the_playhead_moves_while_a_sound_plays_and_stays_when_it_pauses(page: Page) -> None:
    cell(page, "dog_3", 1).locator("button").click()
    wait_until_playing(page, "dog_3", 1)
    playhead = cell(page, "dog_3", 1).locator(".track i")
    before = (playhead.bounding_box() or {})["x"]
    page.wait_for_function("position() > 0.4")
    assert (playhead.bounding_box() or {})["x"] > before + 20
    page.keyboard.press("Space")
    expect(cell(page, "dog_3", 1).locator("button")).to_have_attribute("aria-pressed", "false")
    paused = read_position(page, "dog_3", 1)
    assert paused > 0.4
    cell(page, "dog_3", 1).locator("button").click()
    wait_until_playing(page, "dog_3", 1)
    assert page.evaluate("voice.offset") == pytest.approx(paused, abs=0.011)


def test_another_arm_goes_on_at_the_same_instant(page: Page) -> None:
    cell(page, "bird_2", 1).locator("button").click()
    wait_until_playing(page, "bird_2", 1)
    page.wait_for_function("position() > 0.3")
    for key in ("3", "0", "2"):
        clock = "[position(), performance.now() / 1000]"
        position, now = page.evaluate(clock)
        page.keyboard.press(key)
        wait_until_playing(page, "bird_2", int(key))
        later_position, later = page.evaluate(clock)
        assert later_position - position == pytest.approx(later - now, abs=0.05)
    page.keyboard.press("Space")
    expect(page.locator("button[aria-pressed=true]")).to_have_count(0)
    assert page.evaluate("current.dataset.key") == "2"


def test_a_click_on_a_waveform_plays_from_there(page: Page) -> None:
    track = cell(page, "alarm_1", 2).locator(".track")
    box = track.bounding_box() or {}
    track.click(position={"x": 0.5 * box["width"], "y": 10})
    wait_until_playing(page, "alarm_1", 2)
    assert page.evaluate("voice.offset") == pytest.approx(SECONDS / 2, abs=0.05)


def test_arrows_move_the_playhead_without_playing(page: Page) -> None:
    slider = cell(page, "alarm_1", 1).locator("input")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert float(slider.input_value()) == pytest.approx(0.4)
    expect(page.locator("button[aria-pressed=true]")).to_have_count(0)


def test_sounds_of_a_clip_are_equally_loud_and_the_originals_are_unchanged(page: Page, columns: list[Column]) -> None:
    for number in range(4):
        sound = cell(page, "alarm_1", number).locator(".sound")
        data = base64.b64decode(sound.get_attribute("data-audio") or "")
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
        if number:
            original, _ = soundfile.read(columns[number - 1].media / "alarm_1_reconstruction.wav", dtype="int16")
            assert np.array_equal(samples, original)
        played = Sound(float(sound.get_attribute("data-gain") or 0) * samples / 2**15, rate_hz)
        assert played.loudness_lufs() == pytest.approx(TARGET_LUFS, abs=0.05)
    expect(cell(page, "dog_3", 3).locator(".level")).to_have_text("silent or too short to match")
    assert cell(page, "dog_3", 3).locator(".sound").get_attribute("data-gain") == "1.0000"


def test_the_switch_plays_the_original_levels(page: Page) -> None:
    waveforms = [cell(page, "alarm_1", column).locator("path") for column in (0, 1)]
    heights = [(waveform.bounding_box() or {})["height"] for waveform in waveforms]
    assert heights[1] == pytest.approx(heights[0], rel=0.3)
    cell(page, "alarm_1", 1).locator("button").click()
    wait_until_playing(page, "alarm_1", 1)
    page.wait_for_function("voice.gain.gain.value > 2")
    page.get_by_label("Equal loudness").uncheck()
    page.wait_for_function("Math.abs(voice.gain.gain.value - 1) < 0.01")
    expect(cell(page, "alarm_1", 1).locator(".level")).to_be_hidden()
    heights = [(waveform.bounding_box() or {})["height"] for waveform in waveforms]
    # The arm's tone has a 25th of the original's amplitude.
    assert heights[1] < 0.2 * heights[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 700, 390])
def test_no_barriers_and_no_sideways_scrolling(browser: Browser, path: Path, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(path.as_uri())
    assert find_barriers(page) == []
    assert not scrolls_sideways(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.keyboard.press("1")
    wait_until_playing(page, "bird_2", 1)
    assert find_barriers(page) == []
    # What a key chooses comes into sight.
    page.keyboard.press("3")
    wait_until_playing(page, "bird_2", 3)
    expect(cell(page, "bird_2", 3).locator("button")).to_be_in_viewport()
    page.close()


def test_the_keyboard_reaches_everything(page: Page) -> None:
    expected = page.locator("select, button, input").count()
    reached = set()
    for _ in range(expected + 2):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("[...document.querySelectorAll('select, button, input')].indexOf(document.activeElement)")
        )
    assert reached >= set(range(expected))


def test_less_motion_moves_the_playhead_in_steps(browser: Browser, path: Path) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(path.as_uri())
    page.keyboard.press("1")
    wait_until_playing(page, "bird_2", 1)
    page.wait_for_function("position() > 0.6")
    positions = page.evaluate(
        """async () => {
          const seen = [];
          for (let frame = 0; frame < 20; frame += 1) {
            await new Promise(requestAnimationFrame);
            seen.push(Number(document.querySelector('.on input').value));
          }
          return seen;
        }"""
    )
    assert all(position in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75) for position in positions)
    page.close()


def test_too_many_sounds_leave_out_the_clips_that_differ_least(columns: list[Column], tmp_path: Path) -> None:
    path = tmp_path / "listen.html"
    sounds_page.write_page(path, "Sweep vae", columns, OBJECTIVE)
    whole = path.stat().st_size
    sounds_page.write_page(path, "Sweep vae", columns, OBJECTIVE, max_bytes=whole - 1)
    text = path.read_text()
    assert len(text.encode()) < whole
    assert 'data-name="bird_2"' in text and 'data-name="alarm_1"' not in text
    assert "1 of 3 clips, those on which the arms differ least" in text


def test_too_many_arms_leave_out_the_worst(columns: list[Column], tmp_path: Path) -> None:
    path = tmp_path / "listen.html"
    sounds_page.write_page(path, "Sweep vae", columns[:1], OBJECTIVE)
    one_arm = path.stat().st_size
    limit = one_arm // 2
    sounds_page.write_page(path, "Sweep vae", columns, OBJECTIVE, max_bytes=limit)
    text = path.read_text()
    assert len(text.encode()) <= limit
    assert "of 3 arms, those with the worst judge probability" in text
    assert "Play bird_2, loss=&lt;b&gt;l2&lt;/b&gt;" in text and "Play bird_2, loss=l1" not in text


def test_values_that_look_equal_are_called_so(columns: list[Column], tmp_path: Path) -> None:
    path = tmp_path / "listen.html"
    close = [replace(column, value=0.9 + number / 1e5) for number, column in enumerate(columns)]
    sounds_page.write_page(path, "Sweep vae", close, OBJECTIVE)
    assert "0.900 (2 other arms have the same decimals)" in path.read_text()


def test_a_damaged_sound_is_named_on_the_page(columns: list[Column], tmp_path: Path) -> None:
    sounds = {f"{clip}_original": tone(1_500.0, 0.5) for clip in CLIPS}
    column = make_column(tmp_path / "arm", "loss=vae", 0.5, sounds)
    (column.media / "dog_3_reconstruction.wav").write_bytes(b"RIFF")
    path = tmp_path / "listen.html"
    sounds_page.write_page(path, "Sweep vae", [column], OBJECTIVE)
    text = path.read_text()
    assert "dog_3_reconstruction.wav: can&#39;t be read as a sound" in text
    # A picture of the trial stands in where there is no sound to draw.
    assert 'alt="spectrogram of alarm_1, loss=vae"' in text


@pytest.mark.parametrize("has_sounds", [True, False])
def test_a_photo_that_all_arms_got_is_shown_once(tmp_path: Path, has_sounds: bool) -> None:
    columns = []
    for number, arm in enumerate(("loss=l1", "loss=l2")):
        picture = np.full((20, 60, 3), 90 * number, np.uint8)
        picture[:, :20] = 200
        sounds = {"dog_3_reconstruction": tone(440.0, 0.1)} if has_sounds else {}
        rows = [{"clip": "dog_3", "judge_probability": 0.5, "image": "dog_3"}]
        media.write(tmp_path / arm, Media(audio=sounds, images={"dog_3": picture}, clips=rows), epoch=1)
        columns.append(Column(arm, arm, 1, 1, 0.5, (True, 0.5), {}, {}, {}, tmp_path / arm, 1))
    path = tmp_path / "listen.html"
    sounds_page.write_page(path, "Sweep cross", columns, OBJECTIVE)
    text = path.read_text()
    assert text.count('alt="image of dog_3, original"') == 1
    # What is right of the photo are generated pictures, or spectrograms that are drawn from the sounds instead.
    for arm in ("loss=l1", "loss=l2"):
        assert (f'alt="image of dog_3, {arm}"' in text) != has_sounds
