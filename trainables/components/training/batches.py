"""The batches of a training split: their order, and their data, which may be larger than the memory.

Data that fit are drawn in a random order. Larger data are streamed: blocks of clips that are neighbours on the disk are
read in a random order into a buffer, out of which single clips are drawn.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.training.reading_ahead import read_ahead
from trainables.corpora.shards.rows import SplitRows

BLOCK_CLIPS = 64
"""Clips that are read at once: 0.8 MB of spectrograms of 48x128, 13 MB of those of 192x512."""
BUFFER_CLIPS = 2048
"""Clips that wait in memory: 25 MB of spectrograms of 48x128, 400 MB of those of 192x512."""

NOWHERE = -1
"""The place of a clip that is not in the buffer."""

Positions = Int64[Tensor, " _"]
"""Positions of clips within a split; batches of one pass may have different sizes."""


@dataclass(frozen=True)
class Batch:
    """The data of one step.

    Attributes:
        positions: of the clips within the split, on the processor.
        rows: what each column has of these clips, on the column's device.
    """

    positions: Positions
    rows: Sequence[Tensor]


def draw_streamed(num_clips: int, generator: torch.Generator, *, block: int, buffer: int) -> Positions:
    """Draw an order of all clips in which they can be read block by block.

    The blocks come in a random order. Their clips fill the buffer; then a random one leaves it for each that enters.

    Args:
        num_clips: the number of clips.
        generator: the generator that draws the order.
        block: the number of clips of a block.
        buffer: the number of clips in the buffer.
    """
    blocks = torch.arange(num_clips).split(block)
    order = torch.randperm(len(blocks), generator=generator).tolist()
    entering = torch.cat([blocks[number] for number in order]).tolist()
    held, leaving = entering[:buffer], []
    # Whole numbers alone are drawn and compared, so that the order is the same on every machine.
    places = torch.randint(len(held), (num_clips - len(held),), generator=generator).tolist()
    for place, clip in zip(places, entering[buffer:], strict=True):
        leaving.append(held[place])
        held[place] = clip
    rest = torch.randperm(len(held), generator=generator).tolist()
    return torch.tensor(leaving + [held[place] for place in rest], dtype=torch.int64)


class BlockBuffer:
    """The clips of a streamed pass that were read and whose turn has not come.

    A block is read when the first of its clips is due.

    Args:
        columns: the parts of the data.
        order: the positions of all clips, in the order in which they are taken.
        block: the number of clips of a block.
        buffer: the number of clips for which there are places at first; more are made where they are needed.
    """

    def __init__(self, columns: Sequence[SplitRows], order: Positions, *, block: int, buffer: int) -> None:
        self._columns = columns
        self._block = block
        self._more = min(len(order), buffer + block)
        self._turn = np.empty(len(order), np.int64)
        self._turn[order.numpy()] = np.arange(len(order))
        self._place = np.full(len(order), NOWHERE)
        self._free: list[int] = []
        self._rows = [column.make_empty(0) for column in columns]

    def __len__(self) -> int:
        return int((self._place != NOWHERE).sum())

    def take(self, positions: NDArray[np.int64]) -> dict[SplitRows, NDArray[Any]]:
        """Return what each column has of the clips that are due, and forget them."""
        first_turn = self._turn[positions].min()
        for number in np.unique(positions[self._place[positions] == NOWHERE] // self._block):
            block = np.arange(number * self._block, min((number + 1) * self._block, len(self._turn)))
            # After a resume, the turn of many of them is over.
            self._read(block[(self._turn[block] >= first_turn) & (self._place[block] == NOWHERE)])
        places = self._place[positions]
        self._place[positions] = NOWHERE
        self._free += places.tolist()
        return {column: rows[places] for column, rows in zip(self._columns, self._rows, strict=True)}

    def _read(self, positions: NDArray[np.int64]) -> None:
        if len(self._free) < len(positions):
            size, more = len(self._rows[0]), max(self._more, len(positions))
            self._free += range(size, size + more)
            pairs = zip(self._columns, self._rows, strict=True)
            self._rows = [np.concatenate([rows, column.make_empty(more)]) for column, rows in pairs]
        places = np.array([self._free.pop() for _ in positions])
        for column, rows in zip(self._columns, self._rows, strict=True):
            rows[places] = column.read(positions)
        self._place[positions] = places


@dataclass
class _Pass:
    """A pass over the split, in which each clip is in one batch.

    Attributes:
        drawn_from: the state of the generator before the order was drawn.
        parts: the positions of each batch.
        buffer: has what is streamed; None if nothing is.
        given: the number of batches that were given out.
    """

    drawn_from: Tensor
    parts: Sequence[Positions]
    buffer: BlockBuffer | None
    given: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all batches were given out."""
        return self.given >= len(self.parts)


class Batches:
    """The batches of a training split, epoch by epoch.

    What is not kept on the device is read in a thread while earlier steps are computed; all random numbers are drawn in
    the thread of the caller. A split is streamed if a column of it does not fit. Then a pass goes on in the next epoch
    if an epoch ends before it; otherwise every epoch has an order of its own.

    Args:
        columns: the parts of the data, such as spectrograms and pictures of the same clips.
        size: the number of clips in a batch.
        order: the generator that draws the orders.
        least: a batch of fewer clips, which the last one of a pass may be, is left out.

    Attributes:
        waited_s: the seconds in which the last epoch waited for data.
    """

    def __init__(self, columns: Sequence[SplitRows], size: int, order: torch.Generator, *, least: int = 1) -> None:
        self.waited_s = 0.0
        self._columns = columns
        self._size = size
        self._order = order
        self._least = least
        self._block, self._buffer = BLOCK_CLIPS, BUFFER_CLIPS
        self._pass: _Pass | None = None
        self._epoch: Generator[Batch, None, None] | None = None

    def epoch(self, most: int | None = None) -> Iterator[Batch]:
        """Yield the batches of an epoch, which ends with the pass at the latest.

        Args:
            most: the largest number of batches; None for all.
        """
        self.close()
        self._epoch = self._run_epoch(most)
        return self._epoch

    def close(self) -> None:
        """End an epoch that was left before its end, and with it the thread."""
        if self._epoch is not None:
            self._epoch.close()
            self._epoch = None

    def _run_epoch(self, most: int | None) -> Generator[Batch, None, None]:
        self.waited_s = 0.0
        if self._pass is None or self._pass.is_over:
            self._pass = self._draw_pass(self._order)
        current = self._pass
        parts = current.parts[current.given :][:most]
        with closing(self._load(parts, current.buffer)) as batches:
            for _ in parts:
                began_s = time.perf_counter()
                batch = next(batches)
                self.waited_s += time.perf_counter() - began_s
                current.given += 1
                yield batch
        if current.is_over or current.buffer is None:
            self._pass = None

    def _draw_pass(self, generator: torch.Generator) -> _Pass:
        drawn_from, num_clips = generator.get_state(), len(self._columns[0])
        large, buffer = [column for column in self._columns if not column.fits], None
        if large:
            order = draw_streamed(num_clips, generator, block=self._block, buffer=self._buffer)
            buffer = BlockBuffer(large, order, block=self._block, buffer=self._buffer)
        else:
            order = torch.randperm(num_clips, generator=generator)
        parts = [part for part in order.split(self._size) if len(part) >= self._least]
        return _Pass(drawn_from, parts, buffer)

    def _load(self, parts: Sequence[Positions], buffer: BlockBuffer | None) -> Generator[Batch, None, None]:
        """Yield the batches at these positions."""
        read_columns = [column for column in self._columns if not column.is_kept]
        if not read_columns:
            for part in parts:
                yield Batch(part, [column.take(part) for column in self._columns])
            return

        def read(part: Positions) -> dict[SplitRows, Tensor]:
            positions = part.numpy()
            streamed = {} if buffer is None else buffer.take(positions)
            others = {column: column.read(positions) for column in read_columns if column not in streamed}
            return {column: column.pin(rows) for column, rows in (streamed | others).items()}

        with closing(read_ahead(read, parts)) as loaded:
            for part, rows in zip(parts, loaded, strict=True):
                yield Batch(
                    part,
                    [column.take(part) if column.is_kept else column.send(rows[column]) for column in self._columns],
                )

    def state_dict(self) -> dict[str, Any]:
        """Return where the pass is, which may be in the middle; nothing if the next epoch begins a pass."""
        if self._pass is None or self._pass.is_over:
            return {}
        return {"drawn_from": self._pass.drawn_from, "given": self._pass.given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned: the batches that follow are the same."""
        self.close()
        self._pass = None
        if state:
            # A generator's state lives on the processor, wherever the checkpoint was loaded to.
            generator = torch.Generator()
            generator.set_state(state["drawn_from"].cpu())
            self._pass = self._draw_pass(generator)
            self._pass.given = state["given"]
