"""A trainable that does what `behaviour` says, for tests of everything that goes wrong."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from trainables.corpora.corpus import Corpus
from trainables.trainable import Metric, Trainable, TrialConfig


class Odd(Trainable):
    """Counts epochs and, at its second, misbehaves."""

    class Config(TrialConfig):
        behaviour: str = Field("good", description="what it does at its second epoch, or at its start")
        folder: str = Field("", description="where kill_once remembers that it was killed")

    METRICS = {
        "val/score": Metric("max", "all", "the epoch"),
        "train/card": Metric("max", "all", "visible GPU, -1 none"),
    }

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.epoch = 0
        if config.behaviour == "hang_at_start":
            time.sleep(600)

    def step(self) -> dict[str, float]:
        self.epoch += 1
        score = float(self.epoch)
        if self.epoch == 2:
            match self.config.behaviour:
                case "raise":
                    raise ValueError("a shape that does not fit")
                case "memory":
                    raise MemoryError("no room for 64 clips")
                case "nan":
                    score = float("nan")
                case "silent":
                    return {"train/loss": 1.0}
                case "hang":
                    time.sleep(600)
                case "hang_in_c":
                    # No signal handler of Python's runs before this ends.
                    sum(range(10**13))
                case "exit":
                    os._exit(3)
                case "quit":
                    sys.exit(4)
                case "segfault":
                    ctypes.string_at(0)
                case "kill_once":
                    self._die_the_first_time()
        cards = os.environ.get("CUDA_VISIBLE_DEVICES")
        return {"val/score": score, "train/card": -2.0 if cards is None else float(cards or -1)}

    def _die_the_first_time(self) -> None:
        mark = os.path.join(self.config.folder, "killed")
        if not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]
