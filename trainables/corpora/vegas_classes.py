"""The ten classes of VEGAS, and the names that other data sets and copies give them."""

from __future__ import annotations

import re

VEGAS_CLASSES = {
    "baby_cry": ("Baby cry, infant cry", "baby babbling", "baby crying", "infant crying"),
    "chainsaw": ("Chainsaw", "chainsawing trees"),
    "dog": ("Dog", "Bark", "dog barking", "dog bow-wow", "Bow-wow"),
    "drum": ("Drum", "Drum kit", "Snare drum", "Bass drum", "playing drum kit", "playing snare drum"),
    "fireworks": ("Fireworks", "fireworks banging"),
    "helicopter": ("Helicopter", "helicopter"),
    "printer": ("Printer", "printer printing"),
    "rail_transport": ("Rail transport", "Train", "railroad car, train wagon", "train wheels squealing"),
    "snoring": ("Snoring", "people snoring"),
    "water_flowing": ("Water", "Stream", "stream burbling", "waterfall burbling"),
}
"""The ten classes of VEGAS, each with the labels of AudioSet and VGGSound that mean it."""
SPELLINGS = {
    "printers": "printer",
    "human_snoring": "snoring",
    "baby_cry_infant_cry": "baby_cry",
    "baby_crying": "baby_cry",
    "drums": "drum",
    "firework": "fireworks",
    "helicopters": "helicopter",
    "chainsaws": "chainsaw",
    "dogs": "dog",
}
"""Names that folders of VEGAS's classes have in copies of it, in small letters with underscores."""


def name_class(folder: str) -> str:
    """Return VEGAS's own name of a class for the name of its folder; another name is returned as it is."""
    spelling = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    name = SPELLINGS.get(spelling, spelling)
    return name if name in VEGAS_CLASSES else folder
