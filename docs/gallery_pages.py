"""The pages of docs/gallery, and the list of them.

The list is read from the pages, so that a page stays when the home of its sweep is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from orchestrator.commands.init import find_examples

LIST = "index.html"


@dataclass(frozen=True)
class Page:
    """What the list says of a page.

    Attributes:
        file: its name.
        question: its title.
        answer: the answer in a sentence.
    """

    file: str
    question: str
    answer: str


class _Head(HTMLParser):
    """Reads the title and the description of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.description = ""
        self._is_in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_in_title = tag == "title"
        attributes = dict(attrs)
        if tag == "meta" and attributes.get("name") == "description":
            self.description = attributes.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        self._is_in_title = False

    def handle_data(self, data: str) -> None:
        if self._is_in_title:
            self.title += data


def match_sweeps(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each sweep with the search space that it belongs to, in the order of the search spaces.

    Args:
        names: the sweeps. One belongs to the search space whose name it has, or begins with, as `losses-mine` does.
    """
    examples = find_examples()
    sweeps = sorted(names)
    for name in examples:
        for sweep in sweeps:
            matching = [example for example in examples if sweep == example or sweep.startswith(f"{example}-")]
            if matching and max(matching, key=len) == name:
                yield sweep, name


def read_pages(folder: Path) -> Sequence[Page]:
    """Return the pages of a folder in the order of the search spaces, and delete those whose search space is gone."""
    paths = {path.stem: path for path in folder.glob("*.html") if path.name != LIST}
    pages = []
    for sweep, _ in match_sweeps(paths):
        path = paths.pop(sweep)
        head = _Head()
        head.feed(path.read_text(encoding="utf-8"))
        pages.append(Page(path.name, head.title, head.description))
    for path in paths.values():
        path.unlink()
    return pages
