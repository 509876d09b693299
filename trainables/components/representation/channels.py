"""The channels of a clip; apart from `representation`, which imports torch."""

from __future__ import annotations

from typing import Literal

ChannelsName = Literal["magnitude", "phase", "both"]
PhaseName = Literal["instantaneous_frequency", "angle", "cos_sin"]
Part = Literal["magnitude", "phase"]


def channels_of_parts(channels: ChannelsName, phase: PhaseName) -> dict[Part, slice]:
    """Return the channels of each part that a clip has.

    Args:
        channels: magnitude, phase, or both.
        phase: the form of the phase; `cos_sin` has two channels.
    """
    phase_channels = 2 if phase == "cos_sin" else 1
    match channels:
        case "magnitude":
            return {"magnitude": slice(0, 1)}
        case "phase":
            return {"phase": slice(0, phase_channels)}
    return {"magnitude": slice(0, 1), "phase": slice(1, 1 + phase_channels)}


def num_channels(channels: ChannelsName, phase: PhaseName) -> int:
    """Return the number of channels of a clip; arguments as for `channels_of_parts`."""
    return max(int(part.stop) for part in channels_of_parts(channels, phase).values())
