"""Recordings, and the suffixes of their files; apart from `recordings` and `picture_files`, which decode them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

AUDIO_SUFFIXES = frozenset(".aac .aif .aiff .flac .m4a .mp3 .oga .ogg .opus .wav .wma".split())
VIDEO_SUFFIXES = frozenset(".avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .webm .wmv".split())
MEDIA_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES
PICTURE_SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .tif .tiff .webp".split())


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
    """Return a recording whose names are valid UTF-8: a file's name may be any bytes, which are then escaped."""
    names = (recording.name, recording.class_name, recording.group)
    printable = [name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name in names]
    if tuple(printable) == names:
        return recording
    return replace(recording, name=printable[0], class_name=printable[1], group=printable[2])
