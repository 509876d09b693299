"""The error of reports and listening tests whose message is shown to the user without a traceback."""

from __future__ import annotations


class ReportError(Exception):
    """Wrong input, or an MLflow that does not answer.

    The message is one line: where, what was given, what is allowed, what to do.
    """


class SweepMissing(ReportError):
    """MLflow has other sweeps of this name, but not the one with this id."""
