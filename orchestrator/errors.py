"""The exception tree.

OrchestratorError            anything that ends a command with one message and no traceback
├── UserError                the input is wrong; exit code 2
│   └── SearchSpaceError     mistakes in a search space, one line each
└── SweepStopped             the sweep had to stop (disk full, Ray died); it can be resumed; exit code 1
"""

from __future__ import annotations

from collections.abc import Sequence


class OrchestratorError(Exception):
    """An error that ends a command with its message and no traceback."""

    exit_code = 1


class UserError(OrchestratorError):
    """A mistake in the input: the message says where it is, what was given, what is allowed and what to do."""

    exit_code = 2


class SearchSpaceError(UserError):
    """The mistakes in a search space.

    Attributes:
        lines: one message for each mistake.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        """Join the messages.

        Args:
            lines: one message for each mistake.
        """
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class SweepStopped(OrchestratorError):
    """A sweep that had to stop, as on a full disk; nothing recorded is lost, and the same command resumes it."""
