"""The model of image_to_sound: a picture network and a sound network with a shared latent, and a decoder.

It needs no corpus, so that an exported model is these weights and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.audio.sizes import FRAMES
from trainables.components.audio.spectrogram import LOUDEST_NATS
from trainables.components.losses.reconstruction import LOG_VARIANCE_RANGE
from trainables.components.networks.backbones import Backbone
from trainables.components.networks.bottleneck import WEIGHT_DECAY, Bottleneck
from trainables.components.pictures.augmentation import Pictures
from trainables.components.representation.normalizer import Normalizer
from trainables.components.shapes import Latents, Spectrograms
from trainables.image_to_sound.config import ImageToSoundConfig, Route
from trainables.image_to_sound.contrastive import Contrast
from trainables.image_to_sound.declaration import HIDDEN
from trainables.image_to_sound.sound_flow import make_flow

MAX_TRAIN_LATENTS = 4096
"""Training sounds that the route `retrieve` searches, at most."""
NUM_CANDIDATES = 5
"""The route `retrieve` with a random generator chooses among so many nearest sounds."""
DRAWN_ROUTES: frozenset[Route] = frozenset({"sample", "flow"})
"""Routes that draw random numbers for every picture."""
Clips = Float[Tensor, "clips 1 frames bins"]
Distribution = tuple[Latents, Latents | None]
"""Mean and log-variance of latents; no log-variance with `prior: none`."""


class SoundFromPicture(nn.Module):
    """Encodes pictures and sounds into a shared latent, and decodes latents into magnitudes.

    Attributes:
        clip_frames: frames of a clip at full resolution.
        backbone, head: the picture network.
        audio: encoder and decoder of sounds.
        train_latents: latents of training sounds, for the route `retrieve`.
        pair_deviation: root mean square distance in each latent between training pictures and their sounds.
        unit: mean and standard deviation of the latents of training sounds.
        flow: generates latents of sounds; None without `flow: true`.
    """

    train_latents: Tensor
    pair_deviation: Tensor
    unit: Tensor

    def __init__(
        self,
        config: ImageToSoundConfig,
        *,
        weights: str | None = None,
        means: Sequence[float] = (),
        clip_frames: int = FRAMES,
    ) -> None:
        """Build the networks with random weights, but for those of a pretrained backbone.

        Args:
            config: the settings of the trial.
            weights: of the backbone, instead of those in the config; `none` where a state will be loaded.
            means: of normalized training clips, which an untrained decoder outputs for every latent.
            clip_frames: frames of a clip at full resolution.
        """
        super().__init__()
        self.config = config
        self.clip_frames = clip_frames
        is_distribution = config.prior == "conditional"
        weights = config.weights if weights is None else weights
        # Pretrained weights keep their batch statistics: those of a corpus's small batches would be worse.
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
            config.clip_representation.shape(clip_frames),
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
        self.register_buffer("train_latents", torch.zeros(0, config.latent_dim), persistent=False)
        self.register_buffer("pair_deviation", torch.zeros(config.latent_dim), persistent=False)
        self.register_buffer("unit", torch.ones(2, config.latent_dim))
        self.flow = make_flow(config)

    def encode_pictures(self, pictures: Pictures, autocast: torch.autocast) -> Distribution:
        """Return the latents of pictures within −1..1."""
        with autocast:
            outputs = self.head(self.backbone(pictures))
        mean, log_variance = outputs.float(), None
        if self.config.prior == "conditional":
            mean, log_variance = mean.chunk(2, dim=1)
            log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        # The head predicts standardized latents, wherever the latents of sounds are.
        return mean * self.unit[1] + self.unit[0], log_variance

    def standardize(self, latents: Latents, unit: Tensor | None = None) -> Latents:
        """Subtract the mean of the latents of sounds and divide by their standard deviation.

        With `standardize_latent: false` latents are returned unchanged.

        Args:
            latents: of pictures or of sounds.
            unit: mean and standard deviation, instead of those of the training sounds.
        """
        mean, deviation = self.unit if unit is None else unit
        return (latents - mean) / deviation if self.config.standardize_latent else latents

    def normalize(self, clips: Clips) -> Clips:
        """Normalize log-power in nats for the sound network."""
        return self.normalizer.apply(clips, clips.new_zeros(len(clips), 0))

    def encode_sounds(self, clips: Clips, autocast: torch.autocast) -> Distribution:
        """Return the latents of sounds, given as normalized clips."""
        return self.audio.encode(clips, autocast)

    def set_train_latents(self, sound_latents: Latents, picture_latents: Latents) -> None:
        """Set `train_latents` and `pair_deviation` from the latents of training pairs."""
        self.train_latents = sound_latents
        self.pair_deviation = (sound_latents - picture_latents).square().mean(dim=0).sqrt()

    def decode_log_power(self, latents: Latents, autocast: torch.autocast) -> Spectrograms:
        """Decode latents into log-power in nats, on the model's grid."""
        clips, _ = self.audio.decode(latents, autocast)
        no_statistics = latents.new_zeros(len(latents), 0)
        return self.normalizer.invert(clips, no_statistics)[:, 0].clamp(max=LOUDEST_NATS)

    def apply_route(
        self,
        distribution: Distribution,
        route: Route,
        generator: torch.Generator | None = None,
        *,
        rendering: ImageToSoundConfig | None = None,
    ) -> Latents:
        """Return the latents that are decoded for pictures.

        Args:
            distribution: the latents of the pictures.
            route: `decode` takes their mean, `sample` draws around it, `retrieve` takes the latents of the training
                sounds with the highest cosine similarity, and `flow` those that the flow generates for the mean.
            generator: on the CPU; `sample` and `flow` need it. With it `retrieve` chooses at random among the
                `NUM_CANDIDATES` nearest sounds, and without it `retrieve` takes the nearest.
            rendering: has the flow's number of steps and guidance; the config of the trial if it is None.
        """
        mean, log_variance = distribution
        match route:
            case "decode":
                return mean
            case "sample":
                # Without a predicted variance, it is the error that training pictures have on average.
                deviation = self.pair_deviation if log_variance is None else (log_variance / 2).exp()
                assert generator is not None, "it draws"
                return mean + deviation * torch.randn(mean.shape, generator=generator).to(mean.device)
            case "flow":
                assert self.flow is not None, "the settings were checked"
                assert generator is not None, "it draws"
                return self.flow.generate(mean, self.unit, generator, rendering or self.config)
        queries, items = self.standardize(mean), self.standardize(self.train_latents)
        similarity = F.normalize(queries, dim=1) @ F.normalize(items, dim=1).T
        nearest = similarity.topk(min(NUM_CANDIDATES, len(self.train_latents)), dim=1).indices
        if generator is None:
            return self.train_latents[nearest[:, 0]]
        chosen = torch.randint(nearest.shape[1], (len(mean), 1), generator=generator)
        return self.train_latents[nearest.gather(1, chosen.to(nearest.device))[:, 0]]

    def generate_pass(
        self, rendering: ImageToSoundConfig, autocast: torch.autocast
    ) -> Callable[[Distribution], Spectrograms]:
        """Return a function that generates log-power in nats from the latents of pictures, in the batches of one pass.

        Each picture of a pass gets its own random numbers, and every pass the same.

        Args:
            rendering: has the route, and the flow's number of steps and guidance.
            autocast: the precision of the networks.
        """
        route = rendering.route
        noise = torch.Generator().manual_seed(0) if route in DRAWN_ROUTES else None

        def generate(distribution: Distribution) -> Spectrograms:
            return self.decode_log_power(self.apply_route(distribution, route, noise, rendering=rendering), autocast)

        return generate

    def set_unit(self, latents: Latents) -> None:
        """Set `unit` to the mean and the standard deviation of the latents of training sounds."""
        self.unit.copy_(measure_unit(latents))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups for an optimizer; each trains at `lr_share` of the learning rate."""
        groups = [] if self.config.audio_frozen else self.audio.parameter_groups()
        groups += _picture_groups(self.backbone, self.config.backbone_lr_share)
        groups += _picture_groups(self.head, 1.0)
        groups.append({"params": [self.contrast.log_temperature], "weight_decay": 0.0, "lr_share": 1.0})
        return [group for group in groups if group["lr_share"] > 0]


def measure_unit(latents: Latents, least: Float[Tensor, " latents"] | None = None) -> Float[Tensor, "2 latents"]:
    """Return the mean and the standard deviation of each latent, the latter at least 0.001 and at least `least`."""
    deviation = latents.std(dim=0, correction=0).clamp(min=1e-3)
    return torch.stack([latents.mean(dim=0), deviation if least is None else torch.maximum(deviation, least)])


def _picture_groups(network: nn.Module, lr_share: float) -> list[dict[str, Any]]:
    """Return two parameter groups: matrices with weight decay, and vectors (norms and biases) without."""
    parameters = list(network.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY, "lr_share": lr_share},
        {"params": vectors, "weight_decay": 0.0, "lr_share": lr_share},
    ]
