"""The format of a clip: the piece of a recording that is one example for a network.

Its spectrogram has a frame every 230 samples. A clip has a whole number of frames at every resolution, of which the
coarsest has a frame for 8 of these, so that any length in seconds can be had to within 4 frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trainables.errors import InputError

CLIP_SAMPLES = 44100
"""The samples of a clip where a corpus chooses no length."""
RATE_HZ = 22050
"""The sampling rate where a corpus chooses no other one: clips of 2 s with frequencies up to 11,025 Hz."""
LOWEST_HZ, HIGHEST_HZ = 8_000, 48_000
HOP_SAMPLES = 230
"""The samples from one frame of a spectrogram to the next."""
CUT_SAMPLES = 60
"""A clip lacks so many samples to a whole number of hops: no centred frame consists of padding alone."""
UNIT_FRAMES = 8
"""The full-resolution frames of one frame at the coarsest size."""
LEAST_FRAMES = 48
"""The frames of the shortest clip: 0.5 s at 22,050 Hz. Judges blur and halve the frames of the coarsest size."""
LONGEST_S = 30.0
"""The length of the longest clip. A batch of 64 spectrograms at full resolution then takes 0.8 GB at 22,050 Hz."""

Channels = Literal["mix", "left", "right"]


def count_frames(samples: int) -> int:
    """Return the number of full-resolution frames of a sound with so many samples."""
    return 1 + samples // HOP_SAMPLES


def count_samples(frames: int) -> int:
    """Return the number of samples of a clip with so many full-resolution frames."""
    return frames * HOP_SAMPLES - CUT_SAMPLES


@dataclass(frozen=True)
class ClipFormat:
    """The format of every clip of a corpus, and how recordings are cut into clips.

    Attributes:
        rate_hz: samples per second.
        wanted_samples: the length that was chosen; that of clips is the nearest one that is possible.
        wanted_hop: samples from the beginning of a clip to that of the next one; 0 for `wanted_samples`.
        channels: the channels of a recording that are heard: the mean of all, or the first or second one.
    """

    rate_hz: int = RATE_HZ
    wanted_samples: int = CLIP_SAMPLES
    wanted_hop: int = 0
    channels: Channels = "mix"

    @property
    def frames(self) -> int:
        """The full-resolution frames of a clip, a multiple of `UNIT_FRAMES`."""
        return UNIT_FRAMES * round((self.wanted_samples + CUT_SAMPLES) / HOP_SAMPLES / UNIT_FRAMES)

    @property
    def samples(self) -> int:
        """The samples of a clip."""
        return count_samples(self.frames)

    @property
    def clip_s(self) -> float:
        """The length of a clip in seconds."""
        return self.samples / self.rate_hz

    @property
    def hop_samples(self) -> int:
        """The samples from the beginning of a clip to that of the next one of its recording."""
        return self.wanted_hop or self.wanted_samples

    @property
    def hop_s(self) -> float:
        """The seconds from the beginning of a clip to that of the next one of its recording."""
        return self.hop_samples / self.rate_hz

    @property
    def least_samples(self) -> int:
        """The samples that are enough for a clip: a recording of 10 s has a clip of 10 s, which is 0.01 s longer."""
        return min(self.samples, self.wanted_samples)

    @property
    def least_s(self) -> float:
        """The seconds that are enough for a clip."""
        return self.least_samples / self.rate_hz

    @property
    def settings(self) -> dict[str, int | str]:
        """What a model has to know of the sounds that it reads or makes, as JSON values for `from_settings`."""
        return {"rate_hz": self.rate_hz, "clip_samples": self.samples, "channels": self.channels}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ClipFormat:
        """Return the format in a model's settings; those of before corpora could choose lack some or all of it."""
        return cls(
            int(settings.get("rate_hz", RATE_HZ)),
            int(settings.get("clip_samples", CLIP_SAMPLES)),
            channels=settings.get("channels", "mix"),
        )

    @property
    def cutting(self) -> str:
        """What is unusual about the cutting of recordings, for names of caches; empty if nothing is."""
        hop = "" if self.hop_samples == self.wanted_samples else f" every {self.hop_samples}"
        return hop + ("" if self.channels == "mix" else f" {self.channels}")

    @property
    def name(self) -> str:
        """What is unusual about the format, for names of caches; empty if nothing is."""
        # Corpora of the usual format keep the names that they had before there was a choice.
        rate = "" if self.rate_hz == RATE_HZ else f" {self.rate_hz} Hz"
        length = "" if self.wanted_samples == CLIP_SAMPLES else f" {self.wanted_samples} samples"
        return rate + length + self.cutting


USUAL_CLIP = ClipFormat()


def check_trained_format(where: str, state: Mapping[str, Any], here: ClipFormat) -> None:
    """Check that a trained model is of clips of the same length and rate as those here.

    Args:
        where: the beginning of the error message.
        state: the trainable's state, which has `ClipFormat.settings`. Without a rate it is of an earlier version, and
            taken to be of the usual one.
        here: the format of the clips here.

    Raises:
        InputError: it is of clips of another length or rate, or does not say the rate, and that here is unusual.
    """
    trained = ClipFormat.from_settings(state)
    if (trained.samples, trained.rate_hz) != (here.samples, here.rate_hz):
        rate = f"{trained.rate_hz} Hz" if "rate_hz" in state else f"what must be {RATE_HZ} Hz, since it is older"
        raise InputError(
            f"{where}: was trained on clips of {trained.samples} samples at {rate}, and those here have {here.samples}"
            f" at {here.rate_hz} Hz; train it on a corpus with the same clip_s and rate_hz, or set its own here"
        )
