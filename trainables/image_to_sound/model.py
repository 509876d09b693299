"""The model of image_to_sound: a network that sees and one that hears share a latent, from which sounds are made.

It needs no corpus, so that it can be taken elsewhere with its weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.audio.spectrogram import LOUDEST_NATS
from trainables.components.losses.reconstruction import LOG_VARIANCE_RANGE
from trainables.components.networks.backbones import Backbone
from trainables.components.networks.bottleneck import WEIGHT_DECAY, Bottleneck
from trainables.components.pictures.augmentation import Pictures
from trainables.components.representation.normalizer import Normalizer
from trainables.errors import InputError
from trainables.image_to_sound.config import ImageToSoundConfig, Route
from trainables.image_to_sound.contrastive import Contrast
from trainables.support.state_files import read_state

HIDDEN = 256
MAX_KNOWN = 4096
"""Training sounds that a picture can find, at most."""
RETRIEVED = 5
"""The nearest so many are chosen from where several sounds are asked for."""
OF_AUTOENCODERS = {
    "representation": "linear",
    "reduction": "pool",
    "channels": "magnitude",
    "output": "linear",
    "norm": "group",
    "leaky_slope": 0.2,
}
"""Settings of autoencoder that the network here has no choice of; most of them change no tensor's shape."""

Clips = Float[Tensor, "clips 1 frames bins"]
LogPower = Float[Tensor, "clips frames bins"]
Latents = Float[Tensor, "clips latents"]
Distribution = tuple[Latents, Latents | None]


class SoundFromPicture(nn.Module):
    """Encodes pictures (`seen`) and sounds (`heard`), decodes latents, and knows the latents of training sounds."""

    known: Tensor
    spread: Tensor
    unit: Tensor

    def __init__(self, config: ImageToSoundConfig, *, weights: str | None = None, means: Sequence[float] = ()) -> None:
        """Args:
        weights: of the backbone, instead of those in the settings; `none` where a state will be loaded.
        means: of the training clips as the network sees them, which an untrained decoder gives.
        """
        super().__init__()
        self.config = config
        is_distribution = config.prior == "conditional"
        weights = config.weights if weights is None else weights
        # Small batches of a corpus of its own would spoil the statistics that good weights came with.
        is_tuned = config.weights != "none" and config.backbone_lr_share < 1
        self.backbone = Backbone(
            config.backbone, weights, frozen=config.backbone_lr_share == 0, keeps_statistics=is_tuned
        )
        self.head = nn.Sequential(
            nn.Linear(self.backbone.num_features, HIDDEN),
            nn.GELU(),
            nn.LayerNorm(HIDDEN),
            nn.Linear(HIDDEN, config.latent_dim * (2 if is_distribution else 1)),
        )
        self.audio = Bottleneck(
            config.clip_representation.shape,
            config.latent_dim,
            width=config.width,
            slope=0.2,
            norm="group",
            is_variational=is_distribution,
            has_linear_path=config.linear_path == "pca",
            has_tanh=False,
            sigma=None,
            means=means,
        )
        self.audio.requires_grad_(not config.audio_frozen)
        self.contrast = Contrast(config.class_share)
        self.normalizer = Normalizer({"magnitude": config.magnitude_normalization}, {"magnitude": slice(0, 1)})
        self.register_buffer("known", torch.zeros(0, config.latent_dim), persistent=False)
        self.register_buffer("spread", torch.zeros(config.latent_dim), persistent=False)
        self.register_buffer("unit", torch.ones(2, config.latent_dim))

    def seen(self, pictures: Pictures, autocast: torch.autocast) -> Distribution:
        """The latents of pictures: their mean and, where they are distributions, log-variance."""
        with autocast:
            outputs = self.head(self.backbone(pictures))
        mean, log_variance = outputs.float(), None
        if self.config.prior == "conditional":
            mean, log_variance = mean.chunk(2, dim=1)
            log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        return self._scaled_up(mean), log_variance

    def _scaled_up(self, standardized: Latents) -> Latents:
        """The head answers in units of the spread of sounds' latents, wherever those are."""
        return standardized * self.unit[1] + self.unit[0]

    def standardized(self, latents: Latents, unit: Tensor | None = None) -> Latents:
        """Latents in units of the spread of those of sounds; as they are where the settings say so.

        Args:
            unit: mean and spread, instead of those of the training sounds.
        """
        mean, spread = self.unit if unit is None else unit
        return (latents - mean) / spread if self.config.standardize_latent else latents

    def normalized(self, clips: Clips) -> Clips:
        """Log-power in nats as the network that hears is given it."""
        return self.normalizer.apply(clips, clips.new_zeros(len(clips), 0))

    def heard(self, clips: Clips, autocast: torch.autocast) -> Distribution:
        """The latents of sounds, given as normalized clips."""
        return self.audio.encode(clips, autocast)

    def remember(self, sound_latents: Latents, picture_latents: Latents) -> None:
        """Take the latents of training sounds, which pictures can then find, and how far from theirs pictures' are."""
        self.known, self.spread = sound_latents, (sound_latents - picture_latents).square().mean(dim=0).sqrt()

    def log_power(self, latents: Latents, autocast: torch.autocast) -> LogPower:
        """What latents sound like, on the grid, in nats."""
        clips, _ = self.audio.decode(latents, autocast)
        nothing = latents.new_zeros(len(latents), 0)
        return self.normalizer.invert(clips, nothing)[:, 0].clamp(max=LOUDEST_NATS)

    def routed(self, distribution: Distribution, route: Route, generator: torch.Generator | None = None) -> Latents:
        """The latents that pictures' own lead to; with a generator, others each time where the route has a choice."""
        mean, log_variance = distribution
        match route:
            case "decode":
                return mean
            case "sample":
                # A picture without a distribution of its own is as unsure as those of training were wrong.
                deviation = self.spread if log_variance is None else (log_variance / 2).exp()
                drawn = torch.randn(mean.shape, generator=generator or torch.Generator().manual_seed(0))
                return mean + deviation * drawn.to(mean.device)
        similarity = F.normalize(self.standardized(mean), dim=1) @ F.normalize(self.standardized(self.known), dim=1).T
        nearest = similarity.topk(min(RETRIEVED, len(self.known)), dim=1).indices
        if generator is None:
            return self.known[nearest[:, 0]]
        chosen = torch.randint(nearest.shape[1], (len(mean), 1), generator=generator)
        return self.known[nearest.gather(1, chosen.to(nearest.device))[:, 0]]

    def measure(self, latents: Latents) -> None:
        """Take the mean and the spread of the latents of training sounds as what latents are compared in."""
        self.unit.copy_(unit_of(latents))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For an optimizer; each trains at `lr_share` of the learning rate."""
        groups = [] if self.config.audio_frozen else self.audio.parameter_groups()
        share = self.config.backbone_lr_share
        for parameters, lr_share in ((self.backbone.parameters(), share), (self.head.parameters(), 1.0)):
            own = list(parameters)
            groups.append(
                {"params": [parameter for parameter in own if parameter.ndim > 1], "weight_decay": WEIGHT_DECAY}
            )
            groups.append({"params": [parameter for parameter in own if parameter.ndim <= 1], "weight_decay": 0.0})
            groups[-1]["lr_share"] = groups[-2]["lr_share"] = lr_share
        groups.append({"params": [self.contrast.log_temperature], "weight_decay": 0.0, "lr_share": 1.0})
        return [group for group in groups if group["lr_share"] > 0]

    def load_audio(self, path: Path) -> None:
        """Take the network that hears, and its normalization, from a trial of autoencoder or of image_to_sound.

        Raises:
            InputError: the file is of neither, or was trained with other settings.
        """
        state = read_state(path)
        if "model" in state:
            networks = {key.removeprefix("audio."): value for key, value in state["model"].items() if "audio." in key}
        else:
            networks = state.get("networks", {})
        own = self.audio.state_dict()
        # A likelihood's standard deviation has no use here.
        networks = {key: value for key, value in networks.items() if not key.startswith("sigma.")}
        theirs = state.get("config", {})
        names = ("spectrogram", "latent_dim", "width", "linear_path", "magnitude_normalization")
        other = [
            f"{name}: {theirs[name]}"
            for name in names
            if theirs.get(name, value := getattr(self.config, name)) != value
        ]
        if other:
            raise InputError(f"audio_init: {path}: was trained with {', '.join(other)}; set the same here")
        needs = OF_AUTOENCODERS.items()
        fixed = [f"{name}: {theirs[name]}" for name, value in needs if theirs.get(name, value) != value]
        if fixed:
            needed = ", ".join(f"{name}: {value}" for name, value in needs)
            raise InputError(
                f"audio_init: {path}: was trained with {', '.join(fixed)}; name a trial of autoencoder with {needed}"
            )
        wrong = [key for key in own if key not in networks or networks[key].shape != own[key].shape]
        if wrong:
            raise InputError(
                f"audio_init: {path}: is of no autoencoder that fits: {len(wrong)} of {len(own)} tensors are missing or"
                f" of another shape, such as {wrong[0]}; name a trial of autoencoder with the same spectrogram,"
                " latent_dim, width and linear_path (of loss vae with prior: conditional, of another without)"
            )
        self.audio.load_state_dict({key: networks[key] for key in own})
        self.normalizer.load_state_dict(state["normalization"])


def unit_of(latents: Latents, least: Float[Tensor, " latents"] | None = None) -> Float[Tensor, "2 latents"]:
    """The mean and the spread of latents, which is not taken as any smaller than `least`."""
    spread = latents.std(dim=0, correction=0).clamp(min=1e-3)
    return torch.stack([latents.mean(dim=0), spread if least is None else torch.maximum(spread, least)])
