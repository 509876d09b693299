"""Clips through a latent and back: the normalizations and networks of an autoencoder, whoever trains or hears them.

Clips are in nats and in units of π; targets and estimates of them are normalized, until they are `restored`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.latent_statistics import KnownLatents
from trainables.autoencoder.training_loss import Estimate, Target
from trainables.components.audio.spectrogram import LOUDEST_NATS
from trainables.components.losses.reconstruction import LOSSES, sample_latents
from trainables.components.losses.sigmas import SIGMAS
from trainables.components.networks.bottleneck import Bottleneck
from trainables.components.networks.pca_path import sample_size
from trainables.components.representation.normalizations import Clips, Statistics
from trainables.components.representation.normalizer import Normalizer
from trainables.components.representation.representation import ClipSplit

FIT_CLIPS = 256

Latents = Float[Tensor, "clips latents"]
Whose = Literal["predicted", "own"]


def bottleneck(config: AutoencoderConfig, means: Sequence[float] = ()) -> Bottleneck:
    """The networks that settings ask for; untrained, they give about `means` for every clip."""
    loss = LOSSES[config.loss]
    return Bottleneck(
        config.clip_representation.shape,
        config.latent_dim,
        width=config.width,
        slope=config.leaky_slope,
        norm=config.norm,
        is_variational=loss.is_variational,
        has_linear_path=config.linear_path == "pca",
        has_tanh=config.output == "tanh",
        sigma=SIGMAS[config.sigma](config.sigma_floor) if loss.has_sigma else None,
        means=means,
    )


class Codec:
    """Fitted to training clips, and ready to be trained.

    Attributes:
        representation: what the networks see of a clip.
        normalizer: what is done to it before.
        networks: encoder and decoder.
    """

    def __init__(
        self, config: AutoencoderConfig, train: ClipSplit, device: torch.device, order: torch.Generator
    ) -> None:
        """Args:
        train: the clips that it is fitted to.
        order: on the processor; draws a sample of them. Weights come from torch's own generator.
        """
        self.representation = config.clip_representation
        self.normalizer = Normalizer(config.normalizations, self.representation.parts)
        self.normalizer.fit(lambda: self._batches(train))
        self._config = config
        self._train = train
        self._device = device
        sums = [self.target(batch).clips.mean(dim=(2, 3)).sum(dim=0) for batch in self._batches(train)]
        means = (torch.stack(sums).sum(dim=0) / len(train)).tolist()
        self.networks = bottleneck(config, means).to(device)
        if self.networks.linear_path is not None:
            self.networks.linear_path.fit(self._sample(order))

    def _batches(self, train: ClipSplit) -> Iterator[Clips]:
        return (train.batch(positions) for positions in torch.arange(len(train)).split(FIT_CLIPS))

    def _sample(self, order: torch.Generator) -> Clips:
        """Training clips as the network sees them, rolled ones among them until there are enough."""
        wanted = sample_size(int(np.prod(self.representation.shape)))
        drawn = torch.randperm(len(self._train), generator=order)[:wanted]
        clips = torch.cat([self.target(self._train.batch(part)).clips for part in drawn.split(FIT_CLIPS)])
        copies = wanted // len(clips) if self._config.time_roll else 1
        return torch.cat([clips, *(self.rolled(clips, order) for _ in range(copies - 1))])

    def rolled(self, clips: Clips, order: torch.Generator) -> Clips:
        """Each clip rolled in time by a random number of frames; padding stays where it is."""
        start = self.representation.grid.padded_frames
        padding, sound = clips[:, :, :start], clips[:, :, start:].transpose(1, 2)
        frames = sound.shape[1]
        starts = torch.randint(frames, (len(clips), 1), generator=order)
        places = ((torch.arange(frames) + starts) % frames).to(clips.device, non_blocking=True)
        rolled = sound[torch.arange(len(clips), device=clips.device)[:, None], places].transpose(1, 2)
        return torch.cat([padding, rolled], dim=2) if start else rolled

    @property
    def _autocast(self) -> torch.autocast:
        automatic = "bfloat16" if self._device.type == "cuda" else "float32"
        precision = automatic if self._config.precision == "auto" else self._config.precision
        return torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def target(self, clips: Clips) -> Target:
        """Clips, normalized."""
        statistics = self.normalizer.statistics(clips)
        return Target(self.normalizer.apply(clips, statistics), statistics)

    def estimate(self, target: Target, noise: torch.Generator | None = None) -> Estimate:
        """What the networks make of targets, through the latents' means or, with noise, through samples of them."""
        mean, log_variance = self.networks.encode(target.clips, self._autocast)
        latents = mean if log_variance is None or noise is None else sample_latents(mean, log_variance, noise)
        clips, spread = self.networks.decode(latents, self._autocast)
        sigma = self.networks.sigma
        deviation = None if sigma is None else sigma(clips[:, :1], target.clips[:, :1], spread)
        return Estimate(clips, deviation, mean, log_variance)

    def restored(self, estimate: Estimate, target: Target, clip_statistics: Whose = "predicted") -> Clips:
        """Estimates in nats and in units of π again, by statistics that the latent tells or by the targets' own."""
        statistics = self._predicted(estimate.mean) if clip_statistics == "predicted" else target.statistics
        return self._audible(self.normalizer.invert(estimate.clips, statistics))

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, clip_statistics: Whose = "predicted") -> Clips:
        """Clips through the latent (at its mean) and back."""
        self.networks.eval()
        target = self.target(clips)
        return self.restored(self.estimate(target), target, clip_statistics)

    def samples(self, count: int) -> Clips:
        """Clips decoded from latents of the prior or, without one, of a Gaussian fitted to those of training clips;
        always the same ones."""
        if self.networks.is_variational:
            noise = torch.randn(count, self._config.latent_dim, generator=torch.Generator().manual_seed(0))
            latents = noise.to(self._device)
        else:
            latents = self._known.draw(count)
        parts = []
        for part in latents.split(FIT_CLIPS):
            decoded, _ = self.networks.decode(part, self._autocast)
            parts.append(self._audible(self.normalizer.invert(decoded, self._predicted(part))))
        return torch.cat(parts)

    def _predicted(self, latents: Latents) -> Statistics:
        """What latents say of clips' statistics; nothing where nobody needs any."""
        return self._known.predict(latents) if self.normalizer.num_statistics else latents.new_zeros(len(latents), 0)

    def _audible(self, clips: Clips) -> Clips:
        """Clips whose log-power has a finite power, whatever a network made of it."""
        return clips if "magnitude" not in self.representation.parts else clips.clamp(max=LOUDEST_NATS)

    @cached_property
    def _known(self) -> KnownLatents:
        """What training clips' latents tell while the weights are as they are."""

        def encode(clips: Clips) -> tuple[Latents, Statistics]:
            target = self.target(clips)
            return self.networks.encode(target.clips, self._autocast)[0], target.statistics

        return KnownLatents(self._train, encode)

    def forget(self) -> None:
        """The weights are no longer what they were."""
        self.__dict__.pop("_known", None)

    def state_dict(self) -> dict[str, Any]:
        return {"networks": self.networks.state_dict(), "normalization": self.normalizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.forget()
        self.networks.load_state_dict(state["networks"])
        self.normalizer.load_state_dict(state["normalization"])
