"""What ends a report or a listening test with one message and no traceback."""

from __future__ import annotations


class ReportError(Exception):
    """The input is wrong, or MLflow doesn't answer: one line: where, what was given, what is allowed, what to do."""
