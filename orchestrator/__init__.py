"""The orchestrator: it runs sweeps, and is the only package that imports Ray.

For use from Python: `from orchestrator import Sweep, load`. See docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api.results import Results, load
    from orchestrator.api.sweep import Sweep

__all__ = ["Results", "Sweep", "load"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: commands import this package, and must not wait for the others."""
    if name == "Sweep":
        from orchestrator.api.sweep import Sweep

        return Sweep
    if name in ("Results", "load"):
        from orchestrator.api import results

        return getattr(results, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
