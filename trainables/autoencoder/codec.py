"""The codec of the autoencoder: its normalizations and networks, for training as well as for rendering.

Clips hold log-power in nats and phases in units of π. Targets and estimates are normalized; `Codec.restore` inverts
the normalization.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch

from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.latent_statistics import TrainLatents
from trainables.autoencoder.training_loss import Estimate, Target
from trainables.components.audio.sizes import FRAMES
from trainables.components.audio.spectrogram import LOUDEST_NATS
from trainables.components.losses.reconstruction import sample_latents
from trainables.components.losses.registries import LOSSES, SIGMAS
from trainables.components.networks.bottleneck import Bottleneck
from trainables.components.networks.pca_path import sample_size
from trainables.components.networks.quantizer import Quantized, ResidualQuantizer
from trainables.components.representation.normalization import Statistics
from trainables.components.representation.normalizer import Normalizer, RidgeRegression
from trainables.components.representation.representation import ClipSplit
from trainables.components.shapes import Clips, Latents
from trainables.components.training.precision import disable_tf32

FIT_CLIPS = 256
"""Clips in a batch where no gradient is needed."""

StatisticsSource = Literal["predicted", "own"]


def make_bottleneck(config: AutoencoderConfig, means: Sequence[float] = (), clip_frames: int = FRAMES) -> Bottleneck:
    """Return untrained networks for a config.

    Args:
        config: the settings of the trial.
        means: the mean of each channel over the training clips, which the untrained decoder outputs for every clip.
        clip_frames: frames of a clip at full resolution.
    """
    loss = LOSSES[config.loss]
    return Bottleneck(
        config.clip_representation.shape(clip_frames),
        config.latent_dim,
        width=config.width,
        slope=config.leaky_slope,
        norm=config.norm,
        is_variational=loss.is_variational,
        has_linear_path=config.linear_path == "pca",
        has_tanh=config.output == "tanh",
        sigma=SIGMAS[config.sigma](config.sigma_floor) if loss.has_sigma else None,
        means=means,
        bottleneck=config.bottleneck,
        quantizer=_make_quantizer(config) if loss.is_quantized else None,
        architecture=config.architecture,
    )


def _make_quantizer(config: AutoencoderConfig) -> ResidualQuantizer:
    return ResidualQuantizer(
        config.latent_dim,
        vector_size=config.vector_size,
        num_codebooks=config.codebooks,
        codebook_size=config.codebook_size,
    )


class Codec:
    """Normalizer and networks, fitted to the training clips; the networks' weights are yet to be trained.

    Attributes:
        representation: the channels and the grid of the networks' input.
        normalizer: normalizes clips before the networks, and inverts that after them.
        networks: encoder and decoder.
    """

    def __init__(
        self, config: AutoencoderConfig, train: ClipSplit, device: torch.device, order: torch.Generator
    ) -> None:
        """Fit the normalizer and the linear path to the training clips.

        Weights are drawn from torch's global generator.

        Args:
            config: the settings of the trial.
            train: the training clips.
            device: where the networks run.
            order: a generator on the CPU, from which the clips that the linear path is fitted to are drawn.
        """
        self.representation = config.clip_representation
        self.normalizer = Normalizer(config.normalizations, self.representation.parts)
        self.normalizer.fit(lambda: self._batches(train))
        self._config = config
        self._train = train
        self._device = device
        sums = [self.target(batch).clips.mean(dim=(2, 3)).sum(dim=0) for batch in self._batches(train)]
        means = (torch.stack(sums).sum(dim=0) / len(train)).tolist()
        self.networks = make_bottleneck(config, means, train.clip_frames).to(device)
        if self.networks.linear_path is not None:
            self.networks.fit_linear_path(self._sample(order))

    def _batches(self, train: ClipSplit) -> Iterator[Clips]:
        return (train.batch(positions) for positions in torch.arange(len(train)).split(FIT_CLIPS))

    def _sample(self, order: torch.Generator) -> Clips:
        """Return normalized training clips for the linear path's fit.

        Where the corpus is too small and `time_roll` is set, the sample also holds rolled copies of its clips.
        """
        wanted = sample_size(math.prod(self._train.shape))
        drawn = torch.randperm(len(self._train), generator=order)[:wanted]
        clips = torch.cat([self.target(self._train.batch(part)).clips for part in drawn.split(FIT_CLIPS)])
        copies = wanted // len(clips) if self._config.time_roll else 1
        return torch.cat([clips, *(self.roll_clips(clips, order) for _ in range(copies - 1))])

    def roll_clips(self, clips: Clips, order: torch.Generator) -> Clips:
        """Return each clip rolled in time by a random number of frames; frames of padding stay where they are.

        Args:
            clips: normalized or not.
            order: a generator on the CPU.
        """
        start = self.representation.grid.count_padded_frames(clips.shape[2])
        padding, sound = clips[:, :, :start], clips[:, :, start:].transpose(1, 2)
        frames = sound.shape[1]
        starts = torch.randint(frames, (len(clips), 1), generator=order)
        indices = ((torch.arange(frames) + starts) % frames).to(clips.device, non_blocking=True)
        rolled = sound[torch.arange(len(clips), device=clips.device)[:, None], indices].transpose(1, 2)
        return torch.cat([padding, rolled], dim=2) if start else rolled

    @property
    def _autocast(self) -> torch.autocast:
        automatic = "bfloat16" if self._device.type == "cuda" else "float32"
        precision = automatic if self._config.precision == "auto" else self._config.precision
        return torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bfloat16")

    @property
    def exact_convolutions(self) -> contextlib.AbstractContextManager[None]:
        """A context in which convolutions are in single precision, if the setting is; gradients need it, too."""
        return disable_tf32() if self._config.precision == "float32" else contextlib.nullcontext()

    def target(self, clips: Clips) -> Target:
        """Normalize clips, and keep the statistics that invert it."""
        statistics = self.normalizer.statistics(clips)
        return Target(self.normalizer.apply(clips, statistics), statistics)

    def estimate(self, target: Target, noise: torch.Generator | None = None) -> Estimate:
        """Encode and decode normalized clips.

        Args:
            target: normalized clips.
            noise: on the device; samples the latents of a variational loss, and replaces dead codes. Without it means
                are decoded, and codebooks stay as they are.
        """
        mean, log_variance, quantized = self._encode(target.clips, noise)
        latents = mean if log_variance is None or noise is None else sample_latents(mean, log_variance, noise)
        with self.exact_convolutions:
            clips, spread = self.networks.decode(latents, self._autocast)
        sigma = self.networks.sigma
        deviation = None if sigma is None else sigma(clips[:, :1], target.clips[:, :1], spread)
        return Estimate(clips, deviation, mean, log_variance, quantized)

    def _encode(
        self, clips: Clips, noise: torch.Generator | None = None
    ) -> tuple[Latents, Latents | None, Quantized | None]:
        """Return the latents of normalized clips, their log-variances, and, where there are codebooks, their codes."""
        with self.exact_convolutions:
            mean, log_variance = self.networks.encode(clips, self._autocast)
        if self.networks.quantizer is None:
            return mean, log_variance, None
        quantized = self.networks.quantizer(mean, noise)
        return quantized.latents, log_variance, quantized

    def restore(self, estimate: Estimate, target: Target, clip_statistics: StatisticsSource = "predicted") -> Clips:
        """Invert the normalization of estimates: log-power in nats, phases in units of π.

        Args:
            estimate: what the networks returned.
            target: the clips that were encoded.
            clip_statistics: whether a normalization by clip is inverted with statistics that are predicted from the
                latent, or with the clip's own.
        """
        statistics = target.statistics if clip_statistics == "own" else self._predict_statistics(estimate.mean)
        return self._clamp_log_power(self.normalizer.invert(estimate.clips, statistics))

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, clip_statistics: StatisticsSource = "predicted") -> Clips:
        """Return reconstructions of clips, decoded from the mean of their latents; sets the networks to evaluation."""
        self.networks.eval()
        target = self.target(clips)
        return self.restore(self.estimate(target), target, clip_statistics)

    def samples(self, count: int) -> Clips:
        """Return clips decoded from random latents; a call with the same weights returns the same clips.

        Latents come from the prior of a variational loss, otherwise from a Gaussian fitted to those of training clips.
        """
        if self.networks.is_variational:
            noise = torch.randn(count, self._config.latent_dim, generator=torch.Generator().manual_seed(0))
            latents = noise.to(self._device)
        else:
            latents = self._train_latents.draw(count)
        if self.networks.quantizer is not None:
            latents = self.networks.quantizer(latents).latents
        parts = []
        for part in latents.split(FIT_CLIPS):
            with self.exact_convolutions:
                decoded, _ = self.networks.decode(part, self._autocast)
            parts.append(self._clamp_log_power(self.normalizer.invert(decoded, self._predict_statistics(part))))
        return torch.cat(parts)

    def _predict_statistics(self, latents: Latents) -> Statistics:
        """Predict the statistics of clips from their latents; no columns where the normalization needs none."""
        regression = self.statistics_regression
        return latents.new_zeros(len(latents), 0) if regression is None else regression(latents)

    def _clamp_log_power(self, clips: Clips) -> Clips:
        """Limit log-power, whose power would be infinite for some outputs of an untrained network."""
        return clips if "magnitude" not in self.representation.parts else clips.clamp(max=LOUDEST_NATS)

    @cached_property
    def _train_latents(self) -> TrainLatents:
        """The latents of training clips under the current weights; `forget_latents` clears them."""

        def encode(clips: Clips) -> tuple[Latents, Statistics]:
            target = self.target(clips)
            return self._encode(target.clips)[0], target.statistics

        return TrainLatents(self._train, encode)

    def copy_networks(self) -> Codec:
        """Return a codec with a copy of the networks and the same normalizer."""
        copied = copy.copy(self)
        copied.networks = copy.deepcopy(self.networks)
        return copied

    def forget_latents(self) -> None:
        """Clear the cached latents of training clips; call it whenever the weights change."""
        self.__dict__.pop("_train_latents", None)

    @property
    def statistics_regression(self) -> RidgeRegression | None:
        """The regression from latents to statistics under the current weights; None if nothing needs it."""
        return self._train_latents.predict if self.normalizer.num_statistics else None

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the fitted normalization."""
        return {"networks": self.networks.state_dict(), "normalization": self.normalizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.forget_latents()
        self.networks.load_state_dict(state["networks"])
        self.normalizer.load_state_dict(state["normalization"])
