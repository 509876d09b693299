"""A trainable that holds a file until it is closed, as others hold a process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from tests.benchmarks.noop import Noop
from trainables.components.generation import Model
from trainables.corpora.corpus import Corpus
from trainables.corpora.splits import Split
from trainables.errors import InputError


class Held(Noop):
    """Makes a file in `folder` at its start, and deletes it in `close`."""

    class Config(Noop.Config):
        folder: str = Field("", description="where the files are")
        refuses: bool = Field(False, description="whether it takes no state")

    GENERATES = ("sound", "sound")

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        super().__init__(config, corpus, device=device, seed=seed)
        self.refuses = config.refuses
        self.path = Path(config.folder, uuid.uuid4().hex)
        self.path.touch()
        # What was held at any time stays countable.
        with (self.path.parent / "held.log").open("a") as log:
            log.write("held\n")

    def close(self) -> None:
        self.path.unlink()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.refuses:
            raise KeyError("weights")
        super().load_state_dict(state)

    def evaluate(self, split: Split) -> pd.DataFrame | None:
        return pd.DataFrame({"recording": ["a"], "score": [1.0]})

    def exported(self) -> Model:
        raise InputError("nothing to export")
