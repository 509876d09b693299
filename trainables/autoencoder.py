"""The autoencoder of the report, made sound: convolutions down to a latent and back, on magnitudes, phases, or both."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components import presentation
from trainables.components.assessment import Assessor
from trainables.components.autoencoder_config import METRICS, OF_MAGNITUDES, AutoencoderConfig
from trainables.components.autoencoder_references import reference_lines
from trainables.components.bottleneck import Bottleneck
from trainables.components.judge import open_judge
from trainables.components.known_latents import KnownLatents
from trainables.components.linear_path import sample_size
from trainables.components.losses import LOSSES, sampled
from trainables.components.metrics import FractionUnexplained, Variation
from trainables.components.normalizations import Clips, Statistics
from trainables.components.normalizer import Normalizer
from trainables.components.objective import Estimate, Objective, Target
from trainables.components.presentation import Rendered
from trainables.components.progress import Progress, silent
from trainables.components.references import class_means
from trainables.components.rendering import PHASES, Memory, Scene
from trainables.components.replay import Replayed
from trainables.components.representation import ClipSplit
from trainables.components.sigmas import SIGMAS
from trainables.components.spectrogram import BINS, FRAMES, log_power
from trainables.components.training import (
    Scalar,
    descend,
    fetched,
    finite_means,
    finite_steps,
    saved_bytes,
    warm_up,
)
from trainables.corpora.corpus import Corpus, required
from trainables.corpora.features import clip_power
from trainables.corpora.splits import Split
from trainables.trainable import Media, Trainable

BETA1 = 0.9
ACTIVE_VARIANCE = 0.01
"""A latent whose mean varies less between clips carries nothing (Burda, Grosse and Salakhutdinov, 2016)."""
FIT_CLIPS = 256
MAX_SAMPLES = 512
LOUDEST_NATS = 30.0
"""130 dB above what full scale can have."""

Latents = Float[Tensor, "clips latents"]
Full = Float[Tensor, "clips 192 512"]


class Autoencoder(Trainable):
    """Encodes a clip into `latent_dim` numbers and decodes it again.

    With `linear_path: pca` the convolutions add to what principal components do, in both directions.
    With a variational loss the latent is a distribution, sampled in training and taken at its mean when it is judged.
    The learning rate rises over `warmup_steps` and then stays, so that more epochs later are the same as more epochs
    at once.
    """

    Config = AutoencoderConfig
    RENDERING = frozenset({"phase", "magnitude", "clip_statistics"})
    METRICS = METRICS
    DEBUG = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "batch_size": 4, "sound_clips": 1}

    def __init__(self, config: AutoencoderConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config: AutoencoderConfig = config
        self.corpus = required(corpus, Autoencoder)
        self.device = torch.device(device)
        self.loss = LOSSES[config.loss]
        self.representation = config.clip_representation
        self.num_steps = 0
        self.train = self._split(self.corpus.indices("train"))
        self.validation = self._split(self.corpus.indices("validation"))
        self.assessor = Assessor(self.corpus, "validation", open_judge(self.corpus, device=self.device), self.device)
        self.memory = Memory(self.corpus)
        self.normalizer = Normalizer(config.normalizations, self.representation.parts)
        self.normalizer.fit(self._training_batches)
        self.objective = Objective(config, self.normalizer)
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = self._networks()
        betas = BETA1, config.adam_beta2
        # Capturable: a graphics card records its steps, also of a trial that began without one.
        self.optimizer = torch.optim.AdamW(
            self.networks.parameter_groups(), config.lr, betas, fused=True, capturable=True
        )
        self._replayed = Replayed(self._descended, self._noise)

    def _split(self, clips: NDArray[np.int64]) -> ClipSplit:
        return ClipSplit(self.corpus, self.representation, clips, self.device)

    def _training_batches(self) -> Iterator[Clips]:
        return (self.train.batch(positions) for positions in torch.arange(len(self.train)).split(FIT_CLIPS))

    def _networks(self) -> Bottleneck:
        sums = [self._target(batch).clips.mean(dim=(2, 3)).sum(dim=0) for batch in self._training_batches()]
        means = (torch.stack(sums).sum(dim=0) / len(self.train)).tolist()
        networks = _networks(self.config, means).to(self.device)
        if networks.linear_path is not None:
            networks.linear_path.fit(self._sample())
        return networks

    def _sample(self) -> Clips:
        """Training clips as the network sees them, rolled ones among them until there are enough."""
        wanted = sample_size(int(np.prod(self.representation.shape)))
        order = torch.randperm(len(self.train), generator=self._order)[:wanted]
        clips = torch.cat([self._target(self.train.batch(part)).clips for part in order.split(FIT_CLIPS)])
        copies = wanted // len(clips) if self.config.time_roll else 1
        return torch.cat([clips, *(self._rolled(clips) for _ in range(copies - 1))])

    def _rolled(self, clips: Clips) -> Clips:
        """Each clip rolled in time by a random number of frames; padding stays where it is."""
        start = self.representation.grid.padded_frames
        padding, sound = clips[:, :, :start], clips[:, :, start:].transpose(1, 2)
        frames = sound.shape[1]
        starts = torch.randint(frames, (len(clips), 1), generator=self._order)
        order = ((torch.arange(frames) + starts) % frames).to(clips.device, non_blocking=True)
        rolled = sound[torch.arange(len(clips), device=clips.device)[:, None], order].transpose(1, 2)
        return torch.cat([padding, rolled], dim=2) if start else rolled

    @classmethod
    def prepare(
        cls, configs: Sequence[AutoencoderConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        return reference_lines(configs, required(corpus, cls), progress)

    @classmethod
    def reported(cls, config: AutoencoderConfig) -> Collection[str]:
        loss = LOSSES[config.loss]
        missing = set() if config.channels != "phase" else OF_MAGNITUDES
        missing |= set() if loss.is_variational else {"train/kl", "val/active_units"}
        missing |= set() if loss.has_sigma else {"train/min_sigma"}
        missing |= set() if _has_bound(config) else {"val/bits_per_dim"}
        return [name for name in METRICS if name not in missing]

    @classmethod
    def checkpoint_bytes(cls, config: AutoencoderConfig) -> int:
        with torch.device("meta"):
            return saved_bytes([_networks(config, ())])

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        return open_judge(required(corpus, cls)).id

    def _target(self, clips: Clips) -> Target:
        statistics = self.normalizer.statistics(clips)
        return Target(self.normalizer.apply(clips, statistics), statistics)

    def _estimate(self, target: Target, noise: torch.Generator | None = None) -> Estimate:
        """What the network makes of its targets, through the latents' means or, with noise, through samples of them."""
        mean, log_variance = self.networks.encode(target.clips, self._autocast())
        latents = mean if log_variance is None or noise is None else sampled(mean, log_variance, noise)
        clips, spread = self.networks.decode(latents, self._autocast())
        sigma = self.networks.sigma
        deviation = None if sigma is None else sigma(clips[:, :1], target.clips[:, :1], spread)
        return Estimate(clips, deviation, mean, log_variance)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self) -> dict[str, float]:
        self.__dict__.pop("_known", None)
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.networks.train()
        order = torch.randperm(len(self.train), generator=self._order).split(self.config.batch_size)
        steps = fetched([self._train_step(self.train.batch(part)) for part in order[: self.batches_per_epoch]])
        metrics = {**finite_means(steps), "optim/lr": float(self.optimizer.param_groups[0]["lr"])}
        if self.loss.has_sigma:
            # A mean would hide the step that matters.
            metrics["train/min_sigma"] = min((step["min_sigma"] for step in finite_steps(steps)), default=math.nan)
        return metrics

    def _train_step(self, clips: Clips) -> dict[str, Scalar]:
        """One step of the optimizer, left out if anything isn't finite; what was measured stays on the device."""
        self.num_steps += 1
        rates = warm_up(self.optimizer, self.config.lr, self.num_steps, self.config.warmup_steps)
        # The latent learns to carry something before it is asked to carry little.
        kl_share = min(1.0, self.num_steps / max(1, self.config.kl_warmup_steps))
        return self._replayed(self._rolled(clips) if self.config.time_roll else clips, kl_share, *rates)

    def _descended(self, clips: Clips, kl_share: float | Scalar, *rates: float | Scalar) -> dict[str, Scalar]:
        target = self._target(clips)
        estimate = self._estimate(target, self._noise)
        loss, kl = self.objective(estimate, target, kl_share)
        norm = descend(self.optimizer, self.networks, loss, self.config.max_grad_norm, rates)
        measured = {"loss": loss.detach(), "grad_norm": norm}
        if self.loss.is_variational:
            measured["kl"] = kl.detach()
        if estimate.sigma is not None:
            measured["min_sigma"] = estimate.sigma.detach().min()
        return measured

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        self.networks.eval()
        own, variation, losses, bounds, means = FractionUnexplained(), Variation(), [], [], []
        noise = torch.Generator(self.device).manual_seed(0)

        def estimates() -> Iterator[Clips]:
            for positions in self.assessor.positions():
                clips = self.validation.batch(positions)
                target = self._target(clips)
                estimate = self._estimate(target)
                own.add(estimate.clips, target.clips)
                variation.add(estimate.clips, target.clips)
                losses.append(len(clips) * self.objective(estimate, target)[0])
                if _has_bound(self.config):
                    bounds.append(len(clips) * self.objective.bound(self._estimate(target, noise), target))
                means.append(estimate.mean)
                yield self._restored(estimate, target)

        grid = self.representation.grid
        if "magnitude" in self.representation.parts:
            metrics = self.assessor.assess((each[:, 0] for each in estimates()), grid)
            metrics |= self.assessor.assess_samples(grid.full(self._samples()[:, 0]))
        else:
            metrics = {}
            for _ in estimates():
                pass
        probes = self.corpus.probes(self.config.sound_clips)
        metrics |= self.assessor.assess_sounds(self._render(probes).sounds, probes)
        metrics |= {
            "fvu_own": own.value,
            "variation": variation.value,
            "loss": float(sum(losses)) / len(self.validation),
        }
        if _has_bound(self.config):
            metrics["bits_per_dim"] = float(sum(bounds)) / len(self.validation) / math.log(2)
        if self.loss.is_variational:
            variances = torch.cat(means).var(dim=0, correction=0)
            metrics["active_units"] = float((variances > ACTIVE_VARIANCE).sum())
        return {f"val/{name}": value for name, value in metrics.items()}

    @torch.inference_mode()
    def reconstruct(self, clips: Clips) -> Clips:
        """Clips in nats and units of π, through the latent (at its mean) and back."""
        self.networks.eval()
        target = self._target(clips)
        return self._restored(self._estimate(target), target)

    def _restored(self, estimate: Estimate, target: Target) -> Clips:
        """Estimates in nats and in units of π again."""
        statistics = target.statistics
        if self.normalizer.num_statistics and self.config.clip_statistics == "predicted":
            statistics = self._predicted(estimate.mean)
        return self._audible(self.normalizer.invert(estimate.clips, statistics))

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
            target = self._target(clips)
            return self.networks.encode(target.clips, self._autocast())[0], target.statistics

        return KnownLatents(self.train, encode)

    def _samples(self) -> Clips:
        """As many clips as are validated, decoded from latents of the prior or, without one, of a Gaussian fitted to
        those of training clips."""
        count = min(MAX_SAMPLES, len(self.validation))
        if self.loss.is_variational:
            noise = torch.randn(count, self.config.latent_dim, generator=torch.Generator().manual_seed(0))
            latents = noise.to(self.device)
        else:
            latents = self._known.draw(count)
        return torch.cat(
            [
                self._audible(self.normalizer.invert(self.networks.decode(part, self._autocast())[0], statistics))
                for part in latents.split(FIT_CLIPS)
                for statistics in [self._predicted(part)]
            ]
        )

    @torch.inference_mode()
    def render(self, probes: NDArray[np.int64]) -> Media:
        self.networks.eval()
        return presentation.render(self.corpus, probes, self._render(probes))

    @torch.inference_mode()
    def evaluate(self, split: Split) -> pd.DataFrame:
        self.networks.eval()
        table = presentation.evaluate(self.corpus, split, self._render, self.device)
        return table.assign(side_info_floats=float(self._side_info_floats()))

    def _render(self, clips: NDArray[np.int64]) -> Rendered:
        """Some clips, given as rows of the corpus's table, as the settings say that they are to be heard."""
        target = self._target(self._split(clips).batch(torch.arange(len(clips))))
        restored = self._restored(self._estimate(target), target)
        magnitudes = self._magnitudes(clips, restored)
        own = (lambda: self.representation.own_sound(restored, magnitudes)) if self.config.phase == "own" else None
        sounds = PHASES[self.config.phase].sound(Scene(magnitudes, clips, self.memory, own))
        return Rendered(magnitudes, sounds)

    def _magnitudes(self, clips: NDArray[np.int64], estimate: Clips) -> Full:
        grid = self.representation.grid
        if self.config.magnitude == "original":
            return log_power(clip_power(self.corpus.waveforms(), clips)).to(self.device)
        if self.config.magnitude == "class_mean":
            labels = torch.from_numpy(self.corpus.labels(clips))
            return grid.full(class_means(self.corpus, grid)[labels].to(self.device))
        return grid.full(estimate[:, 0])

    def _side_info_floats(self) -> int:
        """Numbers of each clip that its sound is told and that went through no latent."""
        phase = PHASES[self.config.phase].side_info_floats
        if self.config.magnitude == "original":
            return phase + FRAMES * BINS
        if self.config.magnitude == "class_mean":
            # The class is told once.
            return max(phase, 1)
        return phase + (self.normalizer.side_info_floats if self.config.clip_statistics == "own" else 0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(mode="json"),
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "normalization": self.normalizer.state_dict(),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__dict__.pop("_known", None)
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.normalizer.load_state_dict(state["normalization"])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())
        # A recording would go on with what has just been replaced.
        self._replayed = Replayed(self._descended, self._noise)


def _networks(config: AutoencoderConfig, means: Sequence[float]) -> Bottleneck:
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


def _has_bound(config: AutoencoderConfig) -> bool:
    """Whether the loss is a likelihood of all that the latents carry."""
    return LOSSES[config.loss].is_variational and LOSSES[config.loss].has_sigma and config.channels == "magnitude"
