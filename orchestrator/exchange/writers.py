"""Who writes into the store: each attempt at a trial, and each evaluation, has a name, and writes below it only."""

from __future__ import annotations

import re
from dataclasses import dataclass

WRITER = re.compile(r"(?P<driver>\d{4}-[0-9a-f]{4})-(?P<attempt>\d{4,})(?P<evaluation>-e\d+)?")


@dataclass(frozen=True, order=True)
class Writer:
    """Who writes: the driver that started it, by its home, the number of the attempt, and which evaluation of it."""

    driver: str
    attempt: int
    evaluation: int = 0

    def __str__(self) -> str:
        suffix = f"-e{self.evaluation}" if self.evaluation else ""
        return f"{self.driver}-{self.attempt:04d}{suffix}"

    def follows(self, earlier: Writer) -> bool:
        """Return whether another writer came before this one.

        Two homes that have taken a sweep over at the same time know nothing of each other.
        """
        return earlier < self and (
            earlier.driver == self.driver or generation(earlier.driver) < generation(self.driver)
        )

    @classmethod
    def parse(cls, name: str) -> Writer | None:
        """Return the writer of a name; None if it is no name of one."""
        match = WRITER.fullmatch(name)
        if match is None:
            return None
        return cls(match["driver"], int(match["attempt"]), int((match["evaluation"] or "-e0")[2:]))


def generation(driver: str) -> int:
    """Return how many homes had driven a sweep when a home became its driver, that one included."""
    return int(driver.partition("-")[0])


def trial_prefix(sweep: str, number: int) -> str:
    """Return the prefix of all that was written of a trial."""
    return f"{sweep}/trials/{number:04d}"


def driver_prefix(sweep: str, driver: str) -> str:
    """Return the prefix of what the driver of one home has written of a sweep."""
    return f"{sweep}/drivers/{driver}"
