"""Links that leave docs/: a forge follows them, the built site has no such page and shows the path instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace every link to a file that the site does not have by its text and its path in the repository.

    Raises:
        PluginError: there is no such file.
    """
    folder = Path(page.file.abs_src_path).parent

    def replace(match: re.Match[str]) -> str:
        text, target = match["text"], match["target"]
        if ":" in target or not (target.startswith("../") or target.startswith("examples/")):
            return match[0]
        path = (folder / target).resolve()
        if not path.exists():
            raise PluginError(f"{page.file.src_path}: links to {target}, which does not exist")
        name = path.relative_to(ROOT).as_posix()
        return f"`{name}`" if text.strip("`") in (name, path.name) else f"{text} (`{name}`)"

    return LINK.sub(replace, markdown)
