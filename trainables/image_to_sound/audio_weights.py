"""The first weights of the sound network of image_to_sound: of a trained one, or fitted to training clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainables.components.assessment.pairs import PairSplit
from trainables.components.audio.clip import ClipFormat, check_trained_format
from trainables.components.networks.pca_path import sample_size
from trainables.errors import InputError
from trainables.image_to_sound.model import SoundFromPicture
from trainables.support.state_files import read_state

FIT_CLIPS = 256
FIXED_AUTOENCODER_SETTINGS = {
    "representation": "linear",
    "reduction": "pool",
    "channels": "magnitude",
    "output": "linear",
    "norm": "group",
    "leaky_slope": 0.2,
    "architecture": "maps",
    "bottleneck": "plain",
}
"""Settings of autoencoder that are fixed here; the shapes of tensors reveal few of them, so the config is compared."""


def initialize_audio(
    model: SoundFromPicture, train: PairSplit, clip_format: ClipFormat, order: torch.Generator
) -> None:
    """Load the sound network from `audio_init`, or fit its normalization and its linear path to training clips.

    Args:
        model: gets the weights.
        train: the training pairs.
        clip_format: the format of their sounds.
        order: draws the clips that principal components are computed from.
    """
    if model.config.audio_init != "scratch":
        load_audio(model, Path(model.config.audio_init), clip_format)
        return
    model.normalizer.fit(lambda: (train.sounds(part) for part in torch.arange(len(train)).split(FIT_CLIPS)))
    if model.audio.linear_path is not None:
        num_clips = sample_size(math.prod(train.shape))
        positions = torch.randperm(len(train), generator=order)[:num_clips]
        sample = [model.normalize(train.sounds(part)) for part in positions.split(FIT_CLIPS)]
        model.audio.fit_linear_path(torch.cat(sample))


def load_audio(model: SoundFromPicture, path: Path, clip_format: ClipFormat) -> None:
    """Load the sound network and its normalization from a trial of autoencoder or of image_to_sound.

    Args:
        model: gets the weights.
        path: the file of the trial.
        clip_format: the format of the clips here.

    Raises:
        InputError: the file is a checkpoint of neither, or was trained with other settings or clips.
    """
    state = read_state(path)
    if "model" in state:
        networks = {key.removeprefix("audio."): value for key, value in state["model"].items() if "audio." in key}
    else:
        networks = state.get("networks", {})
    own = model.audio.state_dict()
    # A likelihood's standard deviation is not used here.
    networks = {key: value for key, value in networks.items() if not key.startswith("sigma.")}
    saved_config = state.get("config", {})
    check_trained_format(f"audio_init: {path}", state, clip_format)
    names = ("spectrogram", "latent_dim", "width", "linear_path", "magnitude_normalization")
    different = _differences(saved_config, {name: getattr(model.config, name) for name in names})
    if different:
        raise InputError(f"audio_init: {path}: was trained with {', '.join(different)}; set the same here")
    different = _differences(saved_config, FIXED_AUTOENCODER_SETTINGS)
    if different:
        needed = ", ".join(f"{name}: {value}" for name, value in FIXED_AUTOENCODER_SETTINGS.items())
        raise InputError(
            f"audio_init: {path}: was trained with {', '.join(different)}; name a trial of autoencoder with {needed}"
        )
    wrong = [key for key in own if key not in networks or networks[key].shape != own[key].shape]
    if wrong:
        raise InputError(
            f"audio_init: {path}: is of no autoencoder that fits: {len(wrong)} of {len(own)} tensors are missing or"
            f" of another shape, such as {wrong[0]}; name a trial of autoencoder with the same spectrogram,"
            " latent_dim, width and linear_path (of loss vae with prior: conditional, of another without)"
        )
    model.audio.load_state_dict({key: networks[key] for key in own})
    model.normalizer.load_state_dict(state["normalization"])


def _differences(saved_config: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the saved settings that are not as expected, as `name: value`; settings that weren't saved are."""
    return [
        f"{name}: {saved_config[name]}" for name, value in expected.items() if saved_config.get(name, value) != value
    ]
