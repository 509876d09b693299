"""What pages register is gone after each test: other tests on the same worker see what is shipped."""

from __future__ import annotations

import pytest

from trainables.corpora.settings import CORPORA
from trainables.testing.parts import REGISTRIES


@pytest.fixture(autouse=True)
def shipped_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every registry a copy of its parts for the length of a test."""
    for registry in (*REGISTRIES.values(), CORPORA):
        # The mapping, not its parts so far: a part that a test imports first would be gone with the test.
        monkeypatch.setattr(registry, "_parts", dict(registry))
