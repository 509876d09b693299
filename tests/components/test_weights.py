"""The sizes that are counted from settings, compared to those of the networks themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.autoencoder.adversary import BandDiscriminators
from trainables.autoencoder.codec import make_bottleneck
from trainables.autoencoder.declaration import AutoencoderDeclaration
from trainables.components.networks.weights import TENSOR_BYTES
from trainables.image_to_sound.declaration import ImageToSoundDeclaration
from trainables.image_to_sound.model import SoundFromPicture
from trainables.sound_to_image.declaration import TYPICAL_CLASSES, SoundToImageDeclaration
from trainables.sound_to_image.gan_game import make_discriminator
from trainables.sound_to_image.generators import make_model
from trainables.trainable import Declaration

SIGMA_BYTES = {"learned": 3 * 4 + 4 * TENSOR_BYTES, "optimal": 2 * 4 + 2 * TENSOR_BYTES}
"""The one weight of the sigma `learned`, and the two numbers of `optimal`, which are left out."""


def measure(networks: Iterable[nn.Module]) -> int:
    """The size of the networks' state and of the two tensors and the counter that Adam keeps of each weight."""
    kept: list[Tensor] = []
    trained: list[Tensor] = []
    for network in networks:
        kept += network.state_dict().values()
        trained += [weight for weight in network.parameters() if weight.requires_grad]
    adam_bytes = sum(2 * weight.nbytes + 3 * TENSOR_BYTES for weight in trained)
    return adam_bytes + sum(tensor.nbytes + TENSOR_BYTES for tensor in kept)


def count(kind: type[Declaration], settings: dict[str, Any]) -> tuple[Any, int]:
    config = kind.Config(**settings)
    size = kind.checkpoint_bytes(config)
    assert size is not None
    return config, size


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spectrogram": "192x512", "width": 256, "norm": "batch"},
        {"spectrogram": "24x64", "width": 4, "latent_dim": 1},
        {"loss": "vae", "linear_path": "pca"},
        {"loss": "vae", "sigma": "per_pixel"},
        {"loss": "l1", "sigma": "per_pixel"},
        {"loss": "vae", "sigma": "learned"},
        {"channels": "both", "phase_representation": "cos_sin", "linear_path": "pca"},
        {"channels": "phase", "phase": "own", "magnitude": "original"},
        {"loss": "rvq", "vector_size": 8, "codebooks": 3, "codebook_size": 64},
        {"bottleneck": "spectral_norm", "loss": "vae", "linear_path": "pca"},
        {"bottleneck": "attention", "width": 12},
        {"adversarial_weight": 0.1},
        {"architecture": "time_slots", "width": 64, "loss": "vae", "sigma": "per_pixel", "linear_path": "pca"},
        {"ema": 0.99, "loss": "rvq"},
        {"architecture": "time_slots", "spectrogram": "192x512", "channels": "both", "norm": "batch"},
    ],
    ids=str,
)
def test_the_autoencoder_has_as_many_weights_as_are_counted(settings: dict[str, Any]) -> None:
    config, size = count(AutoencoderDeclaration, settings)
    with torch.device("meta"):
        networks: list[nn.Module] = [make_bottleneck(config)]
        if config.ema > 0:
            networks.append(make_bottleneck(config).requires_grad_(False))
        if config.adversarial_weight > 0:
            networks.append(BandDiscriminators())
        expected = measure(networks)
    assert size == expected - (SIGMA_BYTES.get(config.sigma, 0) if config.loss == "vae" else 0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prior": "conditional", "linear_path": "none"},
        {"spectrogram": "96x256", "width": 64, "latent_dim": 32},
        {"backbone": "resnet18", "backbone_lr_share": 0},
        {"backbone": "resnet50", "backbone_lr_share": 0.1},
        {"audio_frozen": True, "audio_init": "file.pt"},
        {"flow": True, "flow_width": 24, "flow_blocks": 2, "latent_dim": 16},
    ],
    ids=str,
)
def test_image_to_sound_has_as_many_weights_as_are_counted(settings: dict[str, Any]) -> None:
    config, size = count(ImageToSoundDeclaration, settings)
    with torch.device("meta"):
        assert size == measure([SoundFromPicture(config, weights="none")])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"image_size": 32, "width": 8},
        {"condition": "class", "noise_dim": 5},
        {"classifier_lr_share": 0.1},
        {"generator": "flow"},
        {"generator": "flow", "image_size": 32, "flow_width": 24, "flow_blocks": 1, "condition": "class"},
    ],
    ids=str,
)
def test_sound_to_image_has_as_many_weights_as_are_counted(settings: dict[str, Any]) -> None:
    config, size = count(SoundToImageDeclaration, settings)
    with torch.device("meta"):
        model = make_model(config, TYPICAL_CLASSES)
        networks: list[nn.Module] = [model]
        if config.generator == "gan":
            networks.append(make_discriminator(config, model.condition_dim))
    assert size == measure(networks)
