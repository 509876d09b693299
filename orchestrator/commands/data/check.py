"""`orchestrate data check`: compare the cache of a corpus with its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.plugins.corpora import verify_cache
from reports import vocabulary as words

MOST_LINES = 20


class CacheWrong(OrchestratorError):
    """The cache of a corpus is damaged, or older than its files."""

    exit_code = 1


def check(settings: Mapping[str, Any], home: Path, say: Callable[[str], None]) -> None:
    """Read the whole cache of a corpus, and say what is wrong with it.

    Args:
        settings: the settings of the corpus.
        home: the folder of caches.
        say: prints a line.

    Raises:
        UserError: the corpus can't be used.
        CacheWrong: a recording is missing, has changed since, or is damaged.
    """
    verified = verify_cache(settings, home)
    lines = [
        f"damaged: {path}" + (f": {names[0]} and {len(names) - 1} more" if names else "")
        for path, names in verified.damaged.items()
    ]
    lines += [f"not prepared: {name}" for name in verified.missing]
    for line in lines[:MOST_LINES]:
        say(line)
    if len(lines) > MOST_LINES:
        say(f"and {len(lines) - MOST_LINES} more")
    counts = f"{words.amount(verified.recordings, 'recording')} in {words.amount(verified.shards, 'shard')}"
    if verified.damaged:
        raise CacheWrong(
            f"{counts}: {words.amount(len(verified.damaged), 'shard')} damaged; delete each of them (.npy and .jsonl);"
            " orchestrate data prepare decodes their sounds again, and the next sweep their pictures"
        )
    if verified.missing:
        raise CacheWrong(
            f"{counts}: {words.amount(len(verified.missing), 'recording')} new or changed;"
            " orchestrate data prepare decodes them"
        )
    say(f"{counts}: every checksum is right, and no file has changed since")
