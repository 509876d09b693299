"""A clip: the piece of a recording that is an example of every network."""

RATE_HZ = 22050
CLIP_S = 2.0
CLIP_SAMPLES = 44100
