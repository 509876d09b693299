"""Training steps as CUDA graphs: a step is recorded once, then replayed with one launch.

A step of a small network is a thousand kernels of some microseconds each. Launching them from Python takes longer than
running them. A CUDA graph contains them all (docs.pytorch.org, "CUDA semantics", "CUDA Graphs").
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

CALLS = 3
"""The number of ordinary calls before the recording.

In them libraries choose their algorithms and optimizers allocate their state; the last call checks for synchronization.
"""

WAITED = "called a synchronizing CUDA operation"
WATCHING = "Synchronization debug mode is a prototype feature"
"""Parts of the warnings that torch emits in its synchronization debug mode."""

Argument = Tensor | float
Results = dict[str, Tensor]
Function = Callable[..., Results]
Shapes = tuple[torch.Size, ...]


@dataclass
class _Recording:
    """A graph, with the tensors that it reads its inputs from and writes its results to."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    results: Results

    def replay(self, arguments: tuple[Argument, ...]) -> Results:
        """Run the graph with other inputs, and return copies of its results."""
        for place, value in zip(self.inputs, arguments, strict=True):
            if isinstance(value, Tensor):
                place.copy_(value)
            else:
                place.fill_(value)
        self.graph.replay()
        # The next replay overwrites the results.
        return {name: value.clone() for name, value in self.results.items()}


class GraphReplayer:
    """A caller of one function that records it as a CUDA graph for each shape of its inputs, and replays the graph.

    The function is called as usual on a processor, in the first calls of each shape, and always if it can't be recorded
    because it synchronizes with the card or draws from a generator of the processor.

    A graph reads and writes weights and optimizer states at fixed addresses: if they are replaced, not overwritten, a
    new `GraphReplayer` is needed.

    Args:
        noise: the generator on the device that the function draws from, beside the device's default one.
    """

    def __init__(self, noise: torch.Generator) -> None:
        self._noise = noise
        self._calls: dict[Shapes, int] = {}
        self._recordings: dict[Shapes, _Recording] = {}
        self._is_recordable = True
        self._stream = _stream(noise.device) if noise.device.type == "cuda" else None
        # The recordings share one memory pool, since they are never replayed at the same time.
        self._pool = torch.cuda.graph_pool_handle() if self._stream else None

    def __call__(self, function: Function, *arguments: Argument) -> Results:
        """Return the function's results, from a graph if there is one.

        Args:
            function: always the same function.
            arguments: tensors on the device, and numbers, which the function gets as tensors on a card.
        """
        if self._stream is None:
            return function(*arguments)
        shapes = tuple(argument.shape for argument in arguments if isinstance(argument, Tensor))
        if shapes in self._recordings:
            return self._recordings[shapes].replay(arguments)
        calls = self._calls[shapes] = self._calls.get(shapes, 0) + 1
        inputs = [self._copy_to_device(argument) for argument in arguments]
        if calls == CALLS:
            return self._call_and_watch(function, inputs, self._stream)
        if calls > CALLS and self._is_recordable:
            try:
                self._recordings[shapes] = self._record(function, inputs, self._stream)
                return self._recordings[shapes].replay(arguments)
            except RuntimeError as error:
                self._is_recordable = False
                print(f"a step of training can't be recorded, and is slower: {str(error).splitlines()[0]}")
        return self._call(function, inputs, self._stream)

    def _copy_to_device(self, value: Argument) -> Tensor:
        return value.clone() if isinstance(value, Tensor) else torch.full((), value, device=self._noise.device)

    def _call(self, function: Function, inputs: list[Tensor], stream: torch.cuda.Stream) -> Results:
        """Call the function on the stream of the recordings: autograd and libraries keep state for each stream."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            results = function(*inputs)
        current.wait_stream(stream)
        return results

    def _call_and_watch(self, function: Function, inputs: list[Tensor], stream: torch.cuda.Stream) -> Results:
        """Call the function, and find out whether it can be recorded."""
        mode, drawn = torch.cuda.get_sync_debug_mode(), _processor_states()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                results = self._call(function, inputs, stream)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        waits = any(WAITED in str(warning.message) for warning in caught)
        for warning in caught:
            if not any(ours in str(warning.message) for ours in (WAITED, WATCHING)):
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        self._is_recordable = self._is_recordable and not waits and _processor_states() == drawn
        return results

    def _record(self, function: Function, inputs: list[Tensor], stream: torch.cuda.Stream) -> _Recording:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        # Threads of other libraries may use the card during the recording.
        with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
            results = function(*inputs)
        return _Recording(graph, inputs, results)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the process's stream for recordings. There is one, because libraries keep memory for each stream."""
    return torch.cuda.Stream(device)


def _processor_states() -> tuple[object, ...]:
    """Return the states of the processor's generators; a replay would repeat the numbers that a recording drew."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), name, np.asarray(keys).tobytes(), *rest, torch.get_rng_state().numpy().tobytes()
