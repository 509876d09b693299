"""What listeners get: equally loud, never clipped, and an anchor as the recommendation has it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from reports.errors import ReportError
from reports.listening.sounds import MAX_PEAK, TARGET_LUFS, Sound, make_anchor, match_loudness, read_sound
from tests.listening.test_listening_sources import RATE_HZ, tone


def sound(**changes: float) -> Sound:
    return Sound(tone("dog_1", 2.0, **changes), RATE_HZ)


def click() -> Sound:
    """A quiet hum with one loud sample: high peak, low loudness."""
    samples = tone("rain_2", 2.0, level=0.01)
    samples[RATE_HZ] = 0.9
    return Sound(samples, RATE_HZ)


def test_sounds_of_a_clip_become_equally_loud() -> None:
    matched, alone = match_loudness({"loud": sound(level=0.9), "quiet": sound(level=0.02), "noisy": sound(noise=0.6)})
    assert [each.loudness_lufs() for each in matched.values()] == pytest.approx([TARGET_LUFS] * 3, abs=0.01)
    assert not alone


def test_a_peak_that_would_clip_lowers_all_sounds_of_its_clip_alike() -> None:
    matched, _ = match_loudness({"click": click(), "other": sound()})
    loudness = [each.loudness_lufs() for each in matched.values()]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.01) and loudness[0] < TARGET_LUFS
    assert matched["click"].peak() == pytest.approx(MAX_PEAK)
    read, _ = soundfile.read(io.BytesIO(matched["click"].to_wav()))
    assert np.abs(read).max() < 1 and np.abs(read - matched["click"].samples).max() < 1e-4


@pytest.mark.parametrize(
    "samples", [np.zeros(2 * RATE_HZ), tone("dog_1", 2.0, level=0.0003), tone("dog_1", 0.3), np.zeros(0)]
)
def test_silence_and_what_is_too_quiet_or_too_short_is_left_as_it_is(samples: np.ndarray) -> None:
    matched, alone = match_loudness({"odd": Sound(samples, RATE_HZ), "other": sound()})
    assert list(alone) == ["odd"]
    assert np.array_equal(matched["odd"].samples, samples)
    assert matched["other"].loudness_lufs() == pytest.approx(TARGET_LUFS, abs=0.01)


def test_a_clip_that_is_silent_throughout_is_left_as_it_is() -> None:
    silent = Sound(np.zeros(2 * RATE_HZ), RATE_HZ)
    matched, alone = match_loudness({"a": silent, "b": silent})
    assert set(alone) == {"a", "b"} and not matched["a"].samples.any()


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100])
def test_the_anchor_is_that_of_the_recommendation(rate_hz: int) -> None:
    impulse = np.zeros(rate_hz)
    impulse[rate_hz // 2] = 1.0
    anchor = make_anchor(Sound(impulse, rate_hz)).samples
    hz, response = signal.freqz(anchor, worN=8192, fs=rate_hz)
    db = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(db[hz < 3500]).max() < 0.1
    assert db[hz > 4000].max() < -25 and db[hz > 4500].max() < -50
    assert anchor.argmax() == rate_hz // 2 and len(anchor) == rate_hz


def test_an_anchor_of_two_channels_is_filtered_in_each() -> None:
    stereo = Sound(np.stack([tone("dog_1", 0.5), tone("rain_2", 0.5)], axis=1), RATE_HZ)
    anchor = make_anchor(stereo)
    one = make_anchor(Sound(stereo.samples[:, 1], RATE_HZ))
    assert np.allclose(anchor.samples[:, 1], one.samples)


def test_what_is_no_sound_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    soundfile.write(tmp_path / "b.wav", np.full(100, np.nan), RATE_HZ, subtype="FLOAT")
    for name, said in (("a.wav", "a.wav: can't be read as a sound"), ("b.wav", "b.wav: has no samples, or some that")):
        with pytest.raises(ReportError, match=f"^{said}"):
            read_sound(tmp_path / name)
    with pytest.raises(ReportError, match=r"^sounds of 8000 Hz have too little above"):
        make_anchor(Sound(np.zeros(8000), 8000))
