"""The format of a clip: the piece of a recording that is one example for a network."""

RATE_HZ = 22050
CLIP_S = 2.0
CLIP_SAMPLES = 44100
