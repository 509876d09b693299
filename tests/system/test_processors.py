"""The same training on processors with and without AVX-512, as far as oneDNN can be told to do without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from trainables.components.judges.networks import NETWORKS
from trainables.components.judges.picture_judge import PictureNetwork
from trainables.components.networks.backbones import Backbone
from trainables.sound_to_image.gan_networks import Discriminator, Generator
from trainables.sound_to_image.picture_autoencoder import PictureAutoencoder

TOLERANCE = 1e-4
"""Relative. Kernels add in another order; after two batches losses and gradients differ by 1e-5 at most, measured."""


def results_elsewhere(corpus: Path, home: Path, instructions: str | None) -> dict[str, float]:
    """What `tests.support.elsewhere` prints in a process of its own that uses these instructions at most."""
    environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    if instructions:
        environment["ONEDNN_MAX_CPU_ISA"] = instructions
    command = [sys.executable, "-m", "tests.support.elsewhere", str(corpus), str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"with {instructions}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    results: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return results


def test_everything_trains_alike_whatever_instructions_the_processor_has(tiny_corpus: Path, tiny_home: Path) -> None:
    # In one home: its judges are trained once.
    results = {
        instructions: results_elsewhere(tiny_corpus, tiny_home, instructions)
        for instructions in (None, "AVX2", "SSE41")
    }
    for instructions in ("AVX2", "SSE41"):
        assert results[instructions] == pytest.approx(results[None], rel=TOLERANCE), instructions


@pytest.mark.parametrize(
    "network",
    [
        *(network(3) for network in NETWORKS.values()),
        *(PictureNetwork(name, 3) for name in NETWORKS),
        *(Backbone(name) for name in ("small", "resnet18", "resnet50")),
        Generator(16, noise_dim=8, width=8, image_size=64),
        Discriminator(16, width=8, image_size=64),
        PictureAutoencoder(64),
    ],
    ids=lambda network: type(network).__name__,
)
def test_no_network_has_the_convolution_that_damages_memory(network: nn.Module) -> None:
    """A strided 1x1 convolution of fewer than eight channels; see docs/known_problems.md."""
    broken = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1)
        if layer.in_channels < 8
    ]
    assert not broken
