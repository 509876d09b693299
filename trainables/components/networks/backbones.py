"""Backbones of pictures: torchvision's ResNets, with or without pretrained weights, and a small network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.networks.residual import ResidualBlock
from trainables.components.networks.weights import SMALL_CHANNELS, BackboneName
from trainables.components.pictures.augmentation import Pictures
from trainables.errors import InputError
from trainables.support.state_files import read_tensors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Features = Float[Tensor, "pictures features"]


class Backbone(nn.Module):
    """A network that maps pictures within −1..1 to `num_features` numbers each.

    Args:
        name: the network.
        weights: `none`, `imagenet` (torchvision's, downloaded the first time), or the path of a state dict. The small
            network has none.
        frozen: whether no weight is trained; this keeps the statistics, too.
        keeps_statistics: whether batch normalization stays in evaluation mode, with the statistics of the weights.

    Raises:
        InputError: the weights can't be read or downloaded, or are of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: BackboneName, weights: str = "none", *, frozen: bool = False, keeps_statistics: bool = False
    ) -> None:
        super().__init__()
        self._keeps_statistics = frozen or keeps_statistics
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.body, self.num_features = _build_small() if name == "small" else _build_resnet(name, weights)
        self.body.to(memory_format=torch.channels_last)
        self.body.requires_grad_(not frozen)
        self.train()

    def train(self, mode: bool = True) -> Backbone:
        """Set the training mode; a backbone that keeps its statistics stays in evaluation mode."""
        super().train(mode and not self._keeps_statistics)
        return self

    def forward(self, pictures: Pictures) -> Features:
        """Return the features of pictures within −1..1."""
        features: Features = self.body(((pictures + 1) / 2 - self.mean) / self.std)
        return features


def _build_small() -> tuple[nn.Module, int]:
    channels = (3, *SMALL_CHANNELS)
    blocks = [ResidualBlock(above, below) for above, below in pairwise(channels)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels[-1]


def _build_resnet(name: str, weights: str) -> tuple[nn.Module, int]:
    # Imported here: it takes four seconds, and trials without pictures don't need it.
    from torchvision import models

    network: Any = models.get_model(name)
    if weights == "imagenet":
        network.load_state_dict(_download_weights(name))
    elif weights != "none":
        _load_file(network, name, Path(weights).expanduser())
    num_features = network.fc.in_features
    network.fc = nn.Identity()
    return network, int(num_features)


def _download_weights(name: str) -> dict[str, Tensor]:
    from torchvision import models

    try:
        state: dict[str, Tensor] = models.get_model_weights(name).DEFAULT.get_state_dict(
            progress=False, check_hash=True
        )
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"weights: imagenet: torchvision can't download those of {name} ({error}); give the path of a file that has"
            " them, or weights: none"
        ) from error
    return state


def _load_file(network: nn.Module, name: str, path: Path) -> None:
    """Load the weights of a file, except those of its last layer, whose classes may be others."""
    where = f"weights: {path}"
    content = read_tensors(
        path, where, "a state dict of tensors", f"none, imagenet, or a file with a {name}'s state dict"
    )
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    is_state = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not is_state or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f"{where}: holds no state dict; it is needed as torch.save(network.state_dict(), path) saves it"
        )
    state = {key.removeprefix("module."): value for key, value in state.items()}
    own = {key: value for key, value in network.state_dict().items() if not key.startswith("fc.")}
    wrong = [key for key, value in own.items() if key not in state or state[key].shape != value.shape]
    if wrong:
        raise InputError(
            f"{where}: is no {name}: {len(wrong)} of its {len(own)} tensors are missing or of another shape, such as"
            f" {wrong[0]}; choose the backbone that the file is of"
        )
    network.load_state_dict({key: state[key] for key in own}, strict=False)
