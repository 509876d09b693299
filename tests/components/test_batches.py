"""Batches of training clips: their order, streaming through a buffer, reading ahead, and resuming in the middle."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from trainables.components.training import batches as module
from trainables.components.training.batches import Batch, Batches, draw_streamed
from trainables.components.training.reading_ahead import AHEAD, read_ahead
from trainables.corpora.shards.rows import SplitRows

CLIPS, BLOCK, BUFFER, SIZE = 203, 8, 40, 6
CPU = torch.device("cpu")


class Watched(np.ndarray):
    """An array that remembers which rows were read, and can't read some."""

    reads: list[np.ndarray]
    broken: int | None = None

    def __getitem__(self, key: Any) -> Any:
        if self.broken is not None and self.broken in key:
            raise OSError(5, "Input/output error")
        self.reads.append(key)
        return self.view(np.ndarray)[key]


def watched(count: int = CLIPS) -> Watched:
    """Rows of two numbers, of which the first is the row's own."""
    array = np.stack([np.arange(count), 7 * np.arange(count)], axis=1).astype(np.float16).view(Watched)
    array.reads = []
    return array


def rows_of(array: np.ndarray, *, streamed: bool = True, keep: bool = False) -> SplitRows:
    # Every other row of the array is of another split.
    clips = np.arange(0, len(array), 2)
    return SplitRows(array, clips, CPU, most_bytes=0 if streamed else 1 << 30, keep=keep)


def batches_of(*columns: SplitRows, seed: int = 0, **settings: Any) -> Batches:
    return Batches(columns, SIZE, torch.Generator().manual_seed(seed), **settings)


def positions_in(batches: Iterator[Batch]) -> list[list[int]]:
    return [batch.positions.tolist() for batch in batches]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_CLIPS", BLOCK)
    monkeypatch.setattr(module, "BUFFER_CLIPS", BUFFER)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def draw(count: int, seed: int = 0, block: int = 64, buffer: int = 2048) -> torch.Tensor:
    return draw_streamed(count, torch.Generator().manual_seed(seed), block=block, buffer=buffer)


@pytest.mark.parametrize(("count", "block", "buffer"), [(1, 64, 2048), (50, 64, 16), (1000, 64, 128), (1000, 7, 5000)])
def test_an_order_has_every_clip_once_and_follows_the_seed(count: int, block: int, buffer: int) -> None:
    order = draw(count, 0, block, buffer)
    assert torch.equal(order.sort().values, torch.arange(count))
    assert torch.equal(order, draw(count, 0, block, buffer))
    assert count == 1 or not torch.equal(order, draw(count, 1, block, buffer))


def test_clips_are_mixed_as_the_size_of_the_buffer_says() -> None:
    count, block, buffer = 30_000, 64, 2048
    order = draw(count)
    # Of a perfect shuffle, neighbours are a third of the clips apart.
    assert order.diff().abs().float().mean() == pytest.approx(count / 3, rel=0.04)
    # Two random clips of the buffer are of one block as often as a block is of twice the buffer.
    same_block = (order.div(block, rounding_mode="floor").diff() == 0).float().mean()
    assert same_block == pytest.approx(block / (2 * buffer), rel=0.3)
    # No part of a pass is mixed less: of 32 clips, no more than a few share their block.
    blocks = [part.div(block, rounding_mode="floor").unique().numel() for part in order.split(32)[:-1]]
    assert np.mean(blocks[:20]) > 21 and np.mean(blocks[-20:]) > 21 and min(blocks) > 12
    # Blocks themselves come in a random order: the first tenth of a pass is of the whole split.
    first = order[: count // 10].float()
    assert first.mean() == pytest.approx(count / 2, rel=0.15)


def test_a_pass_reads_each_block_once_and_holds_no_more_than_the_buffer() -> None:
    array = watched(2 * CLIPS)
    order = draw(CLIPS, 0, BLOCK, BUFFER)
    buffer = module.BlockBuffer([rows_of(array)], order, block=BLOCK, buffer=BUFFER)
    held = []
    for part in order.split(SIZE):
        (rows,) = buffer.take(part.numpy()).values()
        assert np.array_equal(rows, array.view(np.ndarray)[2 * part.numpy()])
        held.append(len(buffer))
    assert max(held) <= BUFFER + BLOCK and held[-1] == 0
    assert all(np.array_equal(read, np.arange(read[0], read[-1] + 1, 2)) for read in array.reads), "of neighbours"
    assert np.array_equal(np.sort(np.concatenate(array.reads)), np.arange(0, 2 * CLIPS, 2)), "once"


@pytest.mark.parametrize("most", [None, 4])
def test_every_pass_has_each_clip_once_with_its_rows_in_another_order(most: int | None) -> None:
    array = watched(2 * CLIPS)
    batches, passes = batches_of(rows_of(array)), []
    for _ in range(2):
        clips: list[int] = []
        while len(clips) < CLIPS:
            epoch = list(batches.epoch(most))
            assert 0 < len(epoch) <= (most or CLIPS)
            for batch in epoch:
                assert torch.equal(batch.rows[0][:, 1], (14.0 * batch.positions).half())
            clips += [clip for part in epoch for clip in part.positions.tolist()]
        assert sorted(clips) == list(range(CLIPS))
        passes.append(clips)
    assert passes[0] != passes[1]


def test_what_fits_is_drawn_anew_in_every_epoch_in_the_order_of_torch() -> None:
    plain = np.arange(2 * CLIPS, dtype=np.float32)[:, None]
    for keep in (True, False):
        batches, order = batches_of(rows_of(plain, streamed=False, keep=keep)), torch.Generator().manual_seed(0)
        for most in (None, 3, 3):
            expected = torch.randperm(CLIPS, generator=order).split(SIZE)[:most]
            for batch, part in zip(batches.epoch(most), expected, strict=True):
                assert torch.equal(batch.positions, part) and torch.equal(batch.rows[0][:, 0], 2.0 * part)


def test_columns_that_are_streamed_read_and_kept_are_of_the_same_clips() -> None:
    plain = np.arange(2 * CLIPS, dtype=np.float32)[:, None]
    columns = rows_of(plain), rows_of(plain, streamed=False), rows_of(plain, streamed=False, keep=True)
    for batch in batches_of(*columns).epoch():
        assert all(torch.equal(rows[:, 0], 2.0 * batch.positions) for rows in batch.rows)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("given", [0, 1, 7, CLIPS // SIZE, CLIPS // SIZE + 1])
def test_a_resume_in_the_middle_of_a_pass_goes_on_with_the_same_batches(given: int, streamed: bool) -> None:
    order = torch.Generator().manual_seed(3)
    whole = Batches([rows_of(watched(2 * CLIPS), streamed=streamed)], SIZE, order)
    epoch = whole.epoch()
    for _ in range(given):
        next(epoch)
    state, drawn = whole.state_dict(), order.get_state()
    expected = positions_in(epoch) + positions_in(whole.epoch())
    other = torch.Generator().manual_seed(9)
    resumed = Batches([rows_of(watched(2 * CLIPS), streamed=streamed)], SIZE, other)
    other.set_state(drawn)
    resumed.load_state_dict(state)
    # Where no batch or all of them were given, the next epoch begins a pass.
    is_inside = 0 < given < CLIPS // SIZE + 1
    assert bool(state) == is_inside
    later = positions_in(resumed.epoch()) + (positions_in(resumed.epoch()) if given <= CLIPS // SIZE else [])
    assert later == expected


def test_a_pass_that_goes_on_is_saved_between_epochs() -> None:
    batches = batches_of(rows_of(watched(2 * CLIPS)))
    list(batches.epoch(5))
    assert batches.state_dict()["given"] == 5
    fits = batches_of(rows_of(watched(2 * CLIPS), streamed=False))
    list(fits.epoch(5))
    assert fits.state_dict() == {}


def test_too_small_a_last_batch_is_left_out() -> None:
    count = 4 * SIZE + 1
    sizes = [len(batch.positions) for batch in batches_of(rows_of(watched(2 * count)), least=2).epoch()]
    assert sizes == 4 * [SIZE]
    assert len(list(batches_of(rows_of(watched(2 * count))).epoch())) == 5


def test_nothing_is_drawn_from_global_generators() -> None:
    # Python's own generator is used by the checks of shapes in tests.
    before = torch.get_rng_state(), str(np.random.get_state())
    list(batches_of(rows_of(watched(2 * CLIPS))).epoch())
    assert torch.equal(torch.get_rng_state(), before[0]) and str(np.random.get_state()) == before[1]


def test_an_error_of_the_reading_thread_is_raised_with_its_traceback() -> None:
    array = watched(2 * CLIPS)
    batches = batches_of(rows_of(array))
    array.broken = 200
    with pytest.raises(OSError, match="Input/output error") as error:
        list(batches.epoch())
    frames = [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    assert "test_an_error_of_the_reading_thread_is_raised_with_its_traceback" in frames and "__getitem__" in frames
    # The clips that were lost with the thread are read again.
    array.broken = None
    given = batches.state_dict()["given"]
    assert len(list(batches.epoch())) == len(range(0, CLIPS, SIZE)) - given


def test_the_thread_ends_with_the_epoch_or_when_it_is_closed() -> None:
    batches, before = batches_of(rows_of(watched(2 * CLIPS))), threading.active_count()
    epoch = batches.epoch()
    next(epoch)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before
    # Batches that were read and not taken come in the next epoch.
    assert sum(len(batch.positions) for batch in batches.epoch()) == CLIPS - SIZE


def test_only_a_few_batches_are_read_ahead() -> None:
    calls: list[int] = []

    def read(item: int) -> int:
        calls.append(item)
        return item

    ahead = read_ahead(read, range(100))
    assert [next(ahead) for _ in range(10)] == list(range(10))
    ahead.close()
    assert len(calls) <= 10 + AHEAD


def test_waiting_is_measured_epoch_by_epoch() -> None:
    batches = batches_of(rows_of(watched(2 * CLIPS)))
    assert batches.waited_s == 0
    list(batches.epoch(3))
    first = batches.waited_s
    assert first > 0
    list(batches.epoch(0))
    assert batches.waited_s == 0
