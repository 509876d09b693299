"""The files below a corpus's root, and the symbolic links among them that are left out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainables.corpora.files import MEDIA_SUFFIXES, PICTURE_SUFFIXES, Recording

LEADS_OUT = "out of the corpus's root (corpus.follow_links: true reads it)"
LEADS_NOWHERE = "a link that leads nowhere"


class Tree:
    """The folders of a corpus.

    Args:
        roots: the root, and other folders that the settings name. A link from one of them to another does not lead out.
        follow_links: whether links that lead out of them are followed.
    """

    def __init__(self, roots: Iterable[Path], *, follow_links: bool = False) -> None:
        self.roots = [root.expanduser() for root in roots]
        self._follow_links = follow_links
        self._real_roots = [Path(os.path.realpath(root)) for root in self.roots]
        self._real_folders: dict[Path, Path] = {}
        self._left_out: dict[str, Recording] = {}

    def list_files(
        self, folder: Path, class_name: str = "", suffixes: frozenset[str] = MEDIA_SUFFIXES | PICTURE_SUFFIXES
    ) -> set[str]:
        """Return the path of each file with one of some suffixes below a folder, relative to it, without hidden ones.

        Each folder is read once: a corpus may have tens of thousands of files, and a link may lead to a folder that
        contains it. Links to folders below it are followed with `follow_links` only.

        Args:
            folder: a folder; it may be missing.
            class_name: the class of the files, where it is known.
            suffixes: the suffixes, in small letters.
        """
        if self._leave_out(folder, class_name):
            return set()
        files: set[str] = set()
        visited: set[str] = set()
        links: list[str] = []
        waiting = [""]
        while waiting or links:
            # Folders come before links, so that a file keeps its own name where a link leads to it, too.
            inner_folder = waiting.pop() if waiting else links.pop()
            real = os.path.realpath(folder / inner_folder)
            if real in visited:
                continue
            visited.add(real)
            try:
                entries = sorted(os.scandir(folder / inner_folder), key=lambda entry: entry.name, reverse=True)
            except (PermissionError, FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{inner_folder}{entry.name}"
                if entry.name.startswith("."):
                    continue
                is_link = entry.is_symlink()
                if os.path.isdir(entry.path) if is_link else entry.is_dir():
                    if not is_link:
                        waiting.append(f"{name}/")
                    elif not self._leave_out(folder / name, class_name) and self._follow_links:
                        links.append(f"{name}/")
                elif os.path.splitext(name)[1].lower() in suffixes:
                    if not is_link or not self._leave_out(folder / name, class_name):
                        files.add(name)
        return files

    def check(self, recording: Recording) -> Recording:
        """Return a recording, with its `problem` set if its file lies outside the root.

        A picture outside the root is removed from the recording, and listed by `list_left_out`.
        """
        if self._leads_out(recording.path):
            return replace(recording, problem=LEADS_OUT)
        if recording.picture is not None and recording.picture != recording.path:
            if self._leave_out(recording.picture, recording.class_name):
                return replace(recording, picture=None)
        return recording

    def list_left_out(self) -> list[Recording]:
        """Return the links that were left out so far, each with its problem, sorted."""
        return [self._left_out[name] for name in sorted(self._left_out)]

    def _leave_out(self, path: Path, class_name: str) -> bool:
        """Return whether a path is left out, and remember it if so."""
        problem = LEADS_OUT if self._leads_out(path) else ""
        if os.path.islink(path) and not os.path.exists(path):
            problem = LEADS_NOWHERE
        if problem:
            root = next((root for root in self.roots if path.is_relative_to(root)), path.parent)
            # Of a folder that leads out and what is in it, only the folder is named.
            above = [folder for folder in path.parents if folder != root and folder.is_relative_to(root)]
            link = next((folder for folder in reversed(above) if self._leads_out(folder)), path)
            name = link.relative_to(root).as_posix()
            self._left_out[name] = Recording(name, link, class_name, name, problem=problem)
        return bool(problem)

    def _leads_out(self, path: Path) -> bool:
        if self._follow_links:
            return False
        # A folder is resolved once; most files are no links.
        folder = self._real_folders.get(path.parent)
        if folder is None:
            folder = self._real_folders[path.parent] = Path(os.path.realpath(path.parent))
        real = Path(os.path.realpath(path)) if os.path.islink(path) else folder / path.name
        return not any(real.is_relative_to(root) for root in self._real_roots)
