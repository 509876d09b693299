"""Random generators: functions that seed, save and restore the global ones, and one that restores one of torch.

Code that runs a trainable seeds the global generators of Python, numpy and torch before construction, and saves them
beside the trainable's `state_dict`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_states() -> dict[str, Any]:
    """Return the states of the global generators, as tensors and plain values that `torch.save` can write."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Restore the states that `random_states` returned; those of graphics cards that are not here are ignored."""
    # `torch.load` may have moved the states to a card; every generator takes its state from the processor.
    random.setstate(states["python"])
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(states["torch"].cpu())
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state.cpu(), device)


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Restore the state of a generator; one that a generator of another kind of device saved seeds it.

    The state of a generator on a graphics card is its seed and its position, 16 bytes. That of one on the processor is
    5,056 bytes, and neither can be converted. The numbers that follow are then others, but always the same ones.

    Args:
        generator: on any device.
        state: what `get_state` of it, or of a generator on another device, returned; on any device.
    """
    # `torch.load` may have moved the state to a card; every generator takes its state from the processor.
    state = state.cpu()
    if len(state) == len(generator.get_state()):
        generator.set_state(state)
    else:
        digest = hashlib.sha256(state.numpy().tobytes()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "little"))
