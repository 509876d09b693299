"""What the live display says of the machine, of graphics cards too, of which this one may have none."""

from __future__ import annotations

import pytest

from orchestrator.overview.machine import Load, parse_cards


def test_each_card_has_its_load_and_its_memory() -> None:
    loads = parse_cards("37, 4096, 81920\n0, 0, 81920\n")
    assert loads == [
        Load("GPU 0", 0.37, "busy"),
        Load("GPU 0", 0.05, "4.0 of 80.0 GiB"),
        Load("GPU 1", 0.0, "busy"),
        Load("GPU 1", 0.0, "0.0 of 80.0 GiB"),
    ]


def test_a_card_that_does_not_tell_its_load_is_an_error() -> None:
    """Virtual cards answer `[N/A]`; the display then shows no cards."""
    with pytest.raises(ValueError, match="N/A"):
        parse_cards("[N/A], 4096, 81920\n")
