"""The exception tree.

OrchestratorError            anything that ends a command with one message and no traceback
├── UserError                the input is wrong; exit code 2
│   └── SearchSpaceError     mistakes in a search space, one line each
└── SweepStopped             the sweep had to stop (disk full, Ray died); it can be resumed; exit code 1
"""

from __future__ import annotations

from collections.abc import Sequence


class OrchestratorError(Exception):
    """Ends a command with its message and no traceback."""

    exit_code = 1


class UserError(OrchestratorError):
    """The input is wrong: the message says where, what was given, what is allowed and what to do."""

    exit_code = 2


class SearchSpaceError(UserError):
    """Mistakes in a search space; `lines` has one message for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class SweepStopped(OrchestratorError):
    """The sweep had to stop; what it recorded is safe and the same command goes on."""
