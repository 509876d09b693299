"""A walk that says how many epochs were begun, and is slower on a machine that is."""

from __future__ import annotations

import os
import time

from pydantic import Field

from tests.support.walk import Walk

SLOWNESS = "PACED_SLOWNESS"
"""The variable of a machine's environment that says how many times as long its epochs take."""


class Paced(Walk):
    """Appends a line to a file at the begin of every epoch."""

    class Config(Walk.Config):
        executed: str = Field(description="the file")

    def step(self) -> dict[str, float]:
        with open(self.config.executed, "a") as file:
            file.write("epoch\n")
        time.sleep(self.config.epoch_s * (float(os.environ.get(SLOWNESS, "1")) - 1))
        return super().step()
