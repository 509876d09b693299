"""The files in a trial's folder that MLflow gets, looked at again and again while the trial may make more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from orchestrator.state.paths import MEDIA, OUTBOX
from reports import vocabulary as words

SINGLE_FILES = (words.ARTIFACT_CONFIG, words.ARTIFACT_PER_RECORDING)

MEDIA_SUFFIXES = (".wav", ".png")


class TrialFiles:
    """A trial's folder as it was when last looked at.

    Attributes:
        folder: the trial's folder.
        size: bytes of its outbox.
        made_ns: what MLflow gets, each with the time of its making in nanoseconds: complete folders of renderings
            (`media/best`) and the files named in `SINGLE_FILES`.
    """

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: the trial's folder.
        """
        self.folder = folder
        self.size = 0
        self.made_ns: dict[str, int] = {}
        self._with_contents: dict[tuple[str, int], bool] = {}
        """For each folder of renderings that was looked into, and the time of its making, whether it has any."""

    @property
    def outbox(self) -> Path:
        """The file to which its worker appends epochs."""
        return self.folder / OUTBOX

    @property
    def media(self) -> list[str]:
        """The folders of sounds and pictures."""
        return [name for name in self.made_ns if name.startswith(f"{MEDIA}/")]

    @property
    def has_media(self) -> bool:
        """Whether there is a sound or a picture; a trainable that renders nothing has folders with tables only."""
        return any(self._has_contents(name) for name in self.media)

    def _has_contents(self, name: str) -> bool:
        key = name, self.made_ns[name]
        if key not in self._with_contents:
            with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / name) as entries:
                self._with_contents[key] = any(entry.name.endswith(MEDIA_SUFFIXES) for entry in entries)
        return self._with_contents.get(key, False)

    def look(self) -> bool:
        """Look again; return whether the outbox has grown or a file is new."""
        before = self.size, self.made_ns
        self.made_ns = read_times(self.folder, SINGLE_FILES)
        with contextlib.suppress(FileNotFoundError):
            self.size = self.outbox.stat().st_size
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / MEDIA) as entries:
            # A folder with a dot in its name is being written.
            renderings = ((entry.name, entry.stat().st_mtime_ns) for entry in entries if "." not in entry.name)
            self.made_ns |= {f"{MEDIA}/{name}": made_ns for name, made_ns in renderings}
        return before != (self.size, self.made_ns)


def read_times(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return when each of some files was made, in nanoseconds; files that are not there are left out."""
    times: dict[str, int] = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            times[name] = (folder / name).stat().st_mtime_ns
    return times
