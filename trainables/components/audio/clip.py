"""The format of a clip: the piece of a recording that is one example for a network.

A clip has the same number of samples in every corpus, so that one grid of frames and bins fits all of them. Its length
in seconds follows from the sampling rate, which a corpus may choose.
"""

CLIP_SAMPLES = 44100
RATE_HZ = 22050
"""The sampling rate where a corpus chooses no other one: clips of 2 s with frequencies up to 11,025 Hz."""
LOWEST_HZ, HIGHEST_HZ = 8_000, 48_000


def clip_seconds(rate_hz: int) -> float:
    """Return the length of a clip in seconds at a sampling rate."""
    return CLIP_SAMPLES / rate_hz
