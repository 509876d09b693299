"""A step of training as one launch on a graphics card: recorded once, then replayed.

A step of a small network is a thousand kernels of some microseconds each, and Python takes longer to launch them than
the card to run them. A CUDA graph (docs.pytorch.org, "CUDA semantics", "CUDA Graphs") holds them all.
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
"""Calls before the recording: libraries choose algorithms, optimizers make their state, and the last one is watched."""

WAITED = "called a synchronizing CUDA operation"
WATCHING = "Synchronization debug mode is a prototype feature"
"""What torch warns of in a watched call."""

Argument = Tensor | float
Results = dict[str, Tensor]
Function = Callable[..., Results]
Shapes = tuple[torch.Size, ...]


@dataclass
class _Recording:
    """A graph, with the places where its inputs are read and its results written."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    results: Results

    def replay(self, arguments: tuple[Argument, ...]) -> Results:
        for place, value in zip(self.inputs, arguments, strict=True):
            place.copy_(value) if isinstance(value, Tensor) else place.fill_(value)
        self.graph.replay()
        # The next replay writes over them.
        return {name: value.clone() for name, value in self.results.items()}


class GraphReplayer:
    """Calls functions that a graphics card replays from recordings, one for each shape of their inputs. Elsewhere, and
    the first times of each shape, they are really called; a function that can't be recorded always is.

    It can't be if it waits for the card, or draws on the processor. What it reads and writes beside its inputs has to
    stay where it is: where weights or an optimizer's state are replaced, not overwritten, a new `Replayed` is needed.

    Args:
        noise: the generator on the device that the function draws from, beside the device's own.
    """

    def __init__(self, noise: torch.Generator) -> None:
        self._noise = noise
        self._calls: dict[Shapes, int] = {}
        self._recordings: dict[Shapes, _Recording] = {}
        self._is_recordable = True
        self._stream = _stream(noise.device) if noise.device.type == "cuda" else None
        # One memory for all recordings: none is replayed while another one runs.
        self._pool = torch.cuda.graph_pool_handle() if self._stream else None

    def __call__(self, function: Function, *arguments: Argument) -> Results:
        """What the function, always the same one, gives for tensors on the device and for numbers, which a card gets as
        tensors too."""
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
        """Call it on the stream that would record it: autograd and libraries remember where they worked."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            results = function(*inputs)
        current.wait_stream(stream)
        return results

    def _call_and_watch(self, function: Function, inputs: list[Tensor], stream: torch.cuda.Stream) -> Results:
        """The same, and notice whether it can be recorded."""
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
        # Threads of other libraries may use the card meanwhile.
        with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
            results = function(*inputs)
        return _Recording(graph, inputs, results)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all of a process: libraries keep memory for every stream that they have worked on."""
    return torch.cuda.Stream(device)


def _processor_states() -> tuple[object, ...]:
    """Where the processor's generators stand: what is drawn from them would be recorded, and the same in every step."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), name, np.asarray(keys).tobytes(), *rest, torch.get_rng_state().numpy().tobytes()
