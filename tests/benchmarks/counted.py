"""The autoencoder, which says how many epochs were begun: what was executed again is more than what was recorded."""

from __future__ import annotations

from pydantic import Field

from trainables.autoencoder.trainable import Autoencoder


class Counted(Autoencoder):
    """Appends a line to a file at the begin of every epoch."""

    class Config(Autoencoder.Config):
        executed: str = Field(description="the file")

    def step(self) -> dict[str, float]:
        with open(self.config.executed, "a") as file:
            file.write("epoch\n")
        return super().step()
