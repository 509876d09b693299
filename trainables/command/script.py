"""The trainable of a command: an epoch lasts until the command prints the objective."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, create_model

from trainables.command import keeper
from trainables.command.config import AnyConfig
from trainables.command.description import STDOUT, Command, fill, to_text, variable_name
from trainables.command.ending import explain_end
from trainables.command.output import EPOCH, Output, Parser, Row
from trainables.command.snapshots import Snapshots
from trainables.errors import InputError
from trainables.trainable import Metric, Trainable

POLL_S = 0.02
"""The time between two looks at the output."""
SETTLE_S = 0.1
"""How long the command still runs after its first epoch: one with short epochs prints more of them in this time."""
SURE_RATIO = 10
"""If an epoch takes this many times as long as a pause, the command is paused long before its next checkpoint."""


class EpochsMissing(InputError):
    """The command went on after a later epoch than the last one that it had printed."""


class CommandTrainable(Trainable):
    """Runs a command, and returns what it prints as metrics; `make_trainable` makes a subclass for each command.

    The command is paused from the moment at which it prints the objective until the next `step`. In between its
    checkpoint is copied, so that the copy belongs to the trial's epoch even if the command is killed while it writes
    the next one. A command without a checkpoint begins anew after a kill, and the epochs that it repeats are skipped.
    """

    COMMAND: ClassVar[Command]
    STATE_IS_WHOLE = False

    def __init__(self, config: Any, corpus: object, *, device: str, seed: int) -> None:
        self.config = config
        self._device = device
        self._seed = seed
        self._max_epochs = 2**31
        self._place: Path | None = None
        self._own_folder: tempfile.TemporaryDirectory[str] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._parser = Parser(self.COMMAND.objective, self.COMMAND.metrics)
        self._pending: deque[Row] = deque()
        self._num_read = self._num_saved = self._num_skipped = self._num_since_go = 0
        self._was_paused = self._is_numbered = False
        self._first: float | None = None

    @classmethod
    def code_files(cls) -> list[Path]:
        """Return the files that the command runs."""
        return cls.COMMAND.files()

    def place(self, folder: Path, max_epochs: int) -> None:
        """Keep the output and the checkpoint of the command in a folder of the trial."""
        self._place, self._max_epochs = folder, max_epochs

    @property
    def _folder(self) -> Path:
        if self._place is None:
            self._own_folder = tempfile.TemporaryDirectory(prefix="orchestrate-command-")
            self._place = Path(self._own_folder.name)
        return self._place

    def step(self) -> dict[str, float]:
        """Let the command run until it prints the objective, and return what it printed.

        Raises:
            TrainingOver: the command has ended after its last epoch.
            MemoryShort: the command ran out of memory.
            InputError: the command failed, or printed no objective.
        """
        if self._pending:
            return self._pending.popleft()
        try:
            self._wait_for_epoch()
        except EpochsMissing:
            if not self._num_saved:
                raise
            # It was killed after it had saved an epoch, and before it had printed it.
            self.close()
            self._num_saved = 0
            self._wait_for_epoch()
        return self._pending.popleft()

    def _wait_for_epoch(self) -> None:
        """Let the command run until it has printed an epoch, pause it, and copy its checkpoint."""
        if self._keeper is None:
            self._start()
        self._num_since_go, go = 0, time.monotonic()
        self._order(keeper.GO)
        assert self._keeper is not None
        looked = time.monotonic()
        while not self._read():
            code = self._keeper.poll()
            if code is not None:
                if self._read(ended=True):
                    break
                log = self._folder / "output.log"
                raise explain_end(self.COMMAND, code, log, self._num_read, self._parser.num_lines)
            looked = time.monotonic()
            time.sleep(POLL_S)
        printed = time.monotonic()
        if not self._was_paused:
            time.sleep(SETTLE_S)
        self._pause()
        pause_s = time.monotonic() - looked
        # It may have printed more before it was paused, and its checkpoint is as far as that.
        self._read()
        is_slow = self._was_paused and printed - go >= SURE_RATIO * pause_s
        if self._snapshots.take(self._num_read, is_sure=self._is_sure(is_slow=is_slow)):
            self._num_saved = self._num_read
        self._was_paused = True

    def _is_sure(self, *, is_slow: bool) -> bool:
        """Return whether the checkpoint is whole and of the last epoch that was printed.

        A command whose epochs are shorter than a pause may already write the next one.

        Args:
            is_slow: whether the epochs are much longer than a pause.
        """
        # The number of a repeated or a missing epoch tells; without numbers one of several may have been saved.
        if self._num_since_go > 1 and not self._is_numbered:
            return False
        if is_slow:
            return True
        printed_ns, written_ns = self._output.printed_ns, self._snapshots.written_ns
        if printed_ns is None:
            return False
        # File systems count time in steps of some ms. After the first epoch there was time to print a second one.
        is_alone = not self._was_paused and self._num_since_go == 1
        return written_ns <= printed_ns if is_alone else written_ns < printed_ns

    def _start(self) -> None:
        """Start the command from its last checkpoint, or from the beginning."""
        folder, command = self._folder, self.COMMAND
        work = folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        self._snapshots = Snapshots(folder / "checkpoint", folder / "kept")
        if self._num_read == 0:
            self._snapshots.clear()
        elif not self._snapshots.restore(self._num_saved):
            print(f"There is no copy of the checkpoint after epoch {self._num_saved}: the command begins anew.")
            self._num_saved = 0
        self._num_skipped = self._num_read - self._num_saved
        values = self._values(work)
        Path(values["params_file"]).write_text(json.dumps(self.config.model_dump(mode="json"), indent=1))
        log = folder / "output.log"
        source = log if command.output == STDOUT else Path(command.folder, fill(command.output, values))
        self._output = Output(source, self._parser)
        words = command.fill(values)
        if self._own_folder is None:
            print(f"Running {shlex.join(words)} in {command.folder}; its output is in {log}", flush=True)
        self._was_paused = False
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__, str(log), str(command.grace_s), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=command.folder,
            env=os.environ
            | {variable_name(name): to_text(value) for name, value in values.items()}
            | {"PYTHONUNBUFFERED": "1"},
        )

    def _values(self, work: Path) -> dict[str, Any]:
        """Return the values of the names in braces and of the environment."""
        folder = self._folder
        supplied = {
            "checkpoint": str(folder / "checkpoint"),
            "folder": str(work),
            "params_file": str(folder / "params.json"),
            "seed": self._seed,
            "max_epochs": self._max_epochs,
            "device": self._device,
        }
        return {**self.config.model_dump(mode="json"), **supplied}

    def _read(self, *, ended: bool = False) -> bool:
        """Read the output; return whether there are rows that `step` has not returned."""
        for row in self._output.rows(ended=ended):
            self._num_since_go += 1
            number = row.pop(EPOCH, None)
            self._is_numbered = number is not None
            if self._is_new(number):
                self._num_read += 1
                self._pending.append(row)
        return bool(self._pending)

    def _is_new(self, number: float | None) -> bool:
        """Return whether a row is of an epoch that was not read before.

        Args:
            number: the number by which the command calls the epoch, counted from any number; None if it has none.

        Raises:
            EpochsMissing: the numbers have a gap.
        """
        if number is None:
            self._num_skipped -= 1
            return self._num_skipped < 0
        self._first = number if self._first is None else self._first
        index = int(number - self._first) + 1
        if index > self._num_read + 1:
            raise EpochsMissing(
                f"{self.COMMAND.title} printed epoch {number:g} after epoch {self._first + self._num_read - 1:g}: it "
                "has to save its checkpoint before it prints an epoch"
            )
        return index > self._num_read

    def _order(self, order: bytes) -> None:
        """Give the keeper an order; it may have ended."""
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.stdin.write(order)

    def _pause(self) -> None:
        """Wait until the command has come to a halt or has ended."""
        self._order(keeper.PAUSE)
        if self._keeper is not None and self._keeper.stdout is not None:
            self._keeper.stdout.read(len(keeper.PAUSED))

    def state_dict(self) -> dict[str, Any]:
        """Return which epochs were read, and which copy of the checkpoint belongs to them."""
        return {
            "read": self._num_read,
            "saved": self._num_saved,
            "first": self._first,
            "pending": list(self._pending),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the command is started by the next step that needs it."""
        self.close()
        self._num_read, self._num_saved = state["read"], state["saved"]
        self._first = state["first"]
        self._pending = deque(state["pending"])

    def close(self) -> None:
        """End the command: after its last epoch it may end by itself, before that it is stopped."""
        if self._keeper is None or self._keeper.stdin is None:
            return
        if self._num_read - len(self._pending) >= self._max_epochs:
            self._order(keeper.GO)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(self.COMMAND.grace_s)
        self._keeper.stdin.close()
        self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()
        self._keeper = None


def make_trainable(reference: Mapping[str, Any]) -> type[CommandTrainable]:
    """Return the trainable of a command.

    Args:
        reference: the fields of a `Command`.

    Raises:
        InputError: the command can't be run.
    """
    command = Command.read(reference)
    command.check()
    description = "a value in the command"
    fields: dict[str, Any] = {
        name: (str | int | float | bool, Field(description=description)) for name in command.parameters
    }
    config = create_model("Config", __base__=AnyConfig, **fields)
    metric = Metric(command.mode, "all", f"as {command.title} prints it")
    members = {"__module__": __name__, "COMMAND": command, "Config": config, "METRICS": {command.objective: metric}}
    return type(command.title, (CommandTrainable,), members)
