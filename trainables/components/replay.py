"""A step of training as one launch on a graphics card: recorded once, then replayed.

A step of a small network is a thousand kernels of some microseconds each, and Python takes longer to launch them than
the card to run them. A CUDA graph (docs.pytorch.org, "CUDA semantics", "CUDA Graphs") holds them all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

CALLS = 3
"""Calls before the recording: libraries choose algorithms, optimizers make their state, and the last one is watched."""

WAITED = "called a synchronizing CUDA operation"
"""What torch warns of."""

Given = Tensor | float
Results = dict[str, Tensor]
Shapes = tuple[torch.Size, ...]


@dataclass
class _Recording:
    """A graph, with the places where its inputs are read and its results written."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    results: Results

    def replay(self, given: tuple[Given, ...]) -> Results:
        for place, value in zip(self.inputs, given, strict=True):
            place.copy_(value) if isinstance(value, Tensor) else place.fill_(value)
        self.graph.replay()
        # The next replay writes over them.
        return {name: value.clone() for name, value in self.results.items()}


class Replayed:
    """A function that a graphics card replays from a recording, one for each shape of its inputs; elsewhere, and the
    first times of each shape, it is called. One that waits for the card cannot be recorded, and is always called.

    What it reads and writes beside its inputs has to stay where it is: where weights or an optimizer's state are
    replaced, not overwritten, a new `Replayed` is needed. What it draws has to come from the device's generators.

    Args:
        function: takes tensors on the device and numbers (here tensors too); gives tensors by name.
        noise: the generator that it draws from, on the device.
    """

    def __init__(self, function: Callable[..., Results], noise: torch.Generator) -> None:
        self._function = function
        self._noise = noise
        self._calls: dict[Shapes, int] = {}
        self._recordings: dict[Shapes, _Recording] = {}
        self._waits = False
        self._stream = None
        if noise.device.type == "cuda":
            self._stream = torch.cuda.Stream(noise.device)
            # One memory for all recordings: none is replayed while another one runs.
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, *given: Given) -> Results:
        if self._stream is None:
            return self._function(*given)
        shapes = tuple(each.shape for each in given if isinstance(each, Tensor))
        if shapes not in self._recordings:
            calls = self._calls[shapes] = self._calls.get(shapes, 0) + 1
            inputs = [self._placed(each) for each in given]
            if calls < CALLS or self._waits:
                return self._called(inputs, self._stream)
            if calls == CALLS:
                return self._watched(inputs, self._stream)
            self._recordings[shapes] = self._recorded(inputs, self._stream)
        return self._recordings[shapes].replay(given)

    def _placed(self, value: Given) -> Tensor:
        return value.clone() if isinstance(value, Tensor) else torch.full((), value, device=self._noise.device)

    def _called(self, inputs: list[Tensor], stream: torch.cuda.Stream) -> Results:
        """Call it on the stream that would record it: autograd and libraries remember where they worked."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            results = self._function(*inputs)
        current.wait_stream(stream)
        return results

    def _watched(self, inputs: list[Tensor], stream: torch.cuda.Stream) -> Results:
        """The same, and notice whether it waits for the card."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                results = self._called(inputs, stream)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        self._waits = any(WAITED in str(each.message) for each in caught)
        return results

    def _recorded(self, inputs: list[Tensor], stream: torch.cuda.Stream) -> _Recording:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        # Threads of other libraries may use the card meanwhile.
        with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
            results = self._function(*inputs)
        return _Recording(graph, inputs, results)
