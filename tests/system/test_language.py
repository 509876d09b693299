"""Names say what they hold: words that could hold anything stay rare."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("orchestrator", "trainables", "reports")
VAGUE = frozenset("each found told made known again given asked heard seen".split())
MOST = 0.005
"""The part of all names of variables and parameters that may be vague; optuna has 0.001."""


def bound_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module binds: variables, fields and parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def test_vague_names_are_rare() -> None:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    names = Counter(name for path in files for name in bound_names(ast.parse(path.read_text())))
    vague = {name: names[name] for name in VAGUE if names[name]}
    assert sum(vague.values()) <= MOST * names.total(), vague
