"""A walk that says how many epochs were begun, and is slower on a machine that is."""

from __future__ import annotations

import os
import time

from pydantic import Field

from tests.support.walk import Walk

SLOW = "PACED_SLOW"
"""The variable of a machine's environment with the path of a file: while that exists, the machine is slow."""
SLOW_TIMES = 4
"""How many times as long epochs take there."""


class Paced(Walk):
    """Appends a line to a file at the begin of every epoch."""

    class Config(Walk.Config):
        executed: str = Field(description="the file")

    def step(self) -> dict[str, float]:
        with open(self.config.executed, "a") as file:
            file.write("epoch\n")
        if os.path.exists(os.environ.get(SLOW, "")):
            time.sleep(self.config.epoch_s * (SLOW_TIMES - 1))
        return super().step()
