"""Networks that all trials share, such as judges: trained once for a corpus, then loaded from its cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from trainables.support.cache import write_once


def preparation_device() -> torch.device:
    """Return the device for work that all trials share: the first graphics card if there is one."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def load_or_train(network: nn.Module, path: Path, train: Callable[[], nn.Module]) -> None:
    """Load the weights of a network from the cache; the first time, train it.

    Args:
        network: gets the weights.
        path: the file of the weights in the cache. Its name identifies all that they depend on.
        train: returns a trained network with the same weights; it is called by one process while others wait.
    """

    def make(part: Path) -> None:
        torch.save({key: value.cpu() for key, value in train().state_dict().items()}, part)

    network.load_state_dict(torch.load(write_once(path, make), weights_only=True))


@contextmanager
def isolate_training(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch and record gradients in the block, and leave both as they were after it.

    The caller may be in inference mode, and its random numbers must not depend on whether a network was in the cache.

    Args:
        seed: the seed in the block.
        device: the device of the training, whose random generator is restored too.
    """
    forked = [device] if device.type == "cuda" else []
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=forked):
        torch.manual_seed(seed)
        yield
