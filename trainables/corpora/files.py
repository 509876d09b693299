"""Recordings, and the suffixes of their files; apart from `recordings` and `picture_files`, which decode them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

AUDIO_SUFFIXES = frozenset(".aac .aif .aiff .flac .m4a .mp3 .oga .ogg .opus .wav .wma".split())
VIDEO_SUFFIXES = frozenset(".avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .webm .wmv".split())
MEDIA_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES
PICTURE_SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .tif .tiff .webp".split())

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys instead of showing them; the last ones turn the direction of text around."""


@dataclass(frozen=True)
class Recording:
    """One file with sound, or a section of one.

    Attributes:
        name: its path below the corpus's root; unique.
        path: the file.
        class_name: the name of its class.
        group: the name of its source. All recordings of a group are in the same split.
        picture: the video or picture that belongs to it; None if there is none.
        start_s: where it starts in the file.
        end_s: where it ends in the file; None for the file's end.
        problem: why it is left out without being read; empty for most.
    """

    name: str
    path: Path
    class_name: str
    group: str
    picture: Path | None = None
    start_s: float = 0.0
    end_s: float | None = None
    problem: str = ""

    @property
    def key(self) -> str:
        """The state of the file: its size, its time and the section of it; in another state it is read anew."""
        if self.problem:
            return "left out"
        try:
            stat = self.path.stat()
        except OSError:  # also a path through a file, or a name that is too long
            return "missing"
        section = "" if self.start_s == 0 and self.end_s is None else f" {format_time(self.start_s)} {self.end_s}"
        return f"{stat.st_size} {stat.st_mtime_ns}{section}"


def format_time(time_s: float) -> str:
    """Return a time without digits that say nothing, and with all that do."""
    short = f"{time_s:g}"
    return short if float(short) == time_s else repr(time_s)


def make_printable(recording: Recording) -> Recording:
    """Return a recording whose names can be printed: what is not UTF-8, or what a terminal would obey, is escaped.

    The group keeps its control characters, by which its split was recorded; it is not shown.
    """
    names = (recording.name, recording.class_name, recording.group)
    name, class_name, group = [
        text.encode(errors="surrogateescape").decode(errors="backslashreplace") for text in names
    ]
    shown = (CONTROLS.sub(_escape, name), CONTROLS.sub(_escape, class_name), group)
    if shown == names:
        return recording
    return replace(recording, name=shown[0], class_name=shown[1], group=group)


def _escape(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()
