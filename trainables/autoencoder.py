"""The autoencoder of the report, made sound: convolutions down to a latent and back, on magnitudes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from trainables.components import presentation
from trainables.components.assessment import Assessor
from trainables.components.bottleneck import Bottleneck
from trainables.components.judge import open_judge
from trainables.components.linear_path import sample_size
from trainables.components.losses import LOSSES, kl_divergence, sampled
from trainables.components.metrics import COMMON_SIZE, FractionUnexplained, Variation
from trainables.components.normalizations import NORMALIZATIONS
from trainables.components.progress import Progress, silent
from trainables.components.references import References
from trainables.components.sigmas import SIGMAS
from trainables.components.spectrogram import SIZES, Size
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import FeatureSplit
from trainables.corpora.splits import Split
from trainables.errors import InputError
from trainables.trainable import Media, Metric, Trainable, TrialConfig

BETAS = (0.9, 0.99)
MAX_GRAD_NORM = 1.0
ACTIVE_VARIANCE = 0.01
"""A latent whose mean varies less between clips carries nothing (Burda, Grosse and Salakhutdinov, 2016)."""
FIT_CLIPS = 256
TENSOR_BYTES = 400
"""What a tensor takes in a file beside its numbers."""

Spectrograms = Float[Tensor, "clips frames bins"]
Latents = Float[Tensor, "clips latents"]
Scalar = Float[Tensor, ""]


class Autoencoder(Trainable):
    """Encodes a spectrogram into `latent_dim` numbers and decodes it again.

    With `linear_path: pca` the convolutions add to what principal components do, in both directions.
    With a variational loss the latent is a distribution, sampled in training and taken at its mean when it is judged.
    The learning rate rises over `warmup_steps` and then stays, so that more epochs later are the same as more epochs
    at once.
    """

    class Config(TrialConfig):
        loss: Annotated[str, LOSSES] = Field("l2", description="what training minimizes: a registered loss")
        spectrogram: Size = Field("48x128", description="frames x frequency bins of a clip of 2 s")
        magnitude_normalization: Annotated[str, NORMALIZATIONS] = Field(
            "per_frequency", description="what is done to log-power before the network"
        )
        latent_dim: int = Field(128, ge=1, description="numbers that a clip is squeezed into")
        linear_path: Literal["none", "pca"] = Field(
            "none", description="a linear way beside the convolutions, which starts as principal components"
        )
        time_roll: bool = Field(False, description="whether training clips are rolled in time, each time otherwise")
        width: int = Field(32, ge=4, description="channels at the lowest resolution; the report had 256")
        leaky_slope: float = Field(0.2, ge=0, lt=1, description="slope of the leaky ReLU below zero")
        batch_size: int = Field(8, ge=1, description="clips of a training step")
        lr: float = Field(1e-3, gt=0, description="learning rate of AdamW after its warm-up")
        warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises to lr")
        kl_weight: float = Field(1.0, ge=0, description="weight of the KL divergence; 1 is the evidence lower bound")
        kl_warmup_steps: int = Field(100, ge=0, description="steps over which the weight rises to kl_weight")
        free_bits: float = Field(0.0, ge=0, description="nats that each latent may carry without a KL divergence")
        sigma: Annotated[str, SIGMAS] = Field("optimal", description="standard deviation of the loss vae's likelihood")
        sigma_floor: float = Field(0.05, ge=0, description="sigma does not fall below it, in units of normalized data")

    METRICS = {
        "val/judge_probability": Metric("max", "all", "probability that the judge gives to the true class"),
        "val/judge_accuracy": Metric("max", "all", "how often the judge hears the true class"),
        "val/fvu": Metric("min", "all", "fraction of variance unexplained, 48x128, log-power in nats"),
        "val/lsd_db": Metric("min", "all", "log-spectral distance in dB, 48x128"),
        "val/fvu_own": Metric(
            "min", "same_representation", "fraction of variance unexplained, in the trial's own units"
        ),
        "val/loss": Metric("min", "same_loss", "the loss on the validation split"),
        "val/variation": Metric(
            "max", "same_representation", "variance between reconstructed clips, as a part of that between the clips"
        ),
        "val/active_units": Metric("max", "same_loss", "latents whose mean varies between clips (variance above 0.01)"),
        "train/loss": Metric("min", "same_loss", "the loss, mean over the epoch"),
        "train/kl": Metric("min", "same_loss", "KL divergence in nats a pixel, mean over the epoch"),
        "train/min_sigma": Metric("max", "same_loss", "the smallest standard deviation of any pixel in the epoch"),
        "train/grad_norm": Metric("min", "same_loss", "norm of the gradient before clipping, mean over the epoch"),
        "train/nonfinite_steps": Metric("min", "all", "steps of the epoch left out because of a non-finite gradient"),
        "optim/lr": Metric("min", "all", "learning rate of the last step"),
    }
    DEBUG = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "batch_size": 4}

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.corpus = _required(corpus)
        self.device = torch.device(device)
        self.loss = LOSSES[config.loss]
        self.num_steps = 0
        features = self.corpus.features(config.spectrogram)
        self.train = FeatureSplit(features, self.corpus.indices("train"), self.device)
        self.validation = FeatureSplit(features, self.corpus.indices("validation"), self.device)
        self.assessor = Assessor(self.corpus, "validation", open_judge(self.corpus, device=self.device), self.device)
        self.normalization = NORMALIZATIONS[config.magnitude_normalization]()
        self.normalization.fit(self._training_batches())
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = self._networks()
        self.optimizer = torch.optim.AdamW(self.networks.parameter_groups(), lr=config.lr, betas=BETAS, fused=True)

    def _training_batches(self) -> Iterator[Spectrograms]:
        return (self.train.batch(positions) for positions in torch.arange(len(self.train)).split(FIT_CLIPS))

    def _networks(self) -> Bottleneck:
        sums = [self.normalization.apply(batch).mean(dim=(1, 2)).sum().item() for batch in self._training_batches()]
        networks = _networks(self.config, mean=sum(sums) / len(self.train)).to(self.device)
        if networks.linear_path is not None:
            networks.linear_path.fit(self._sample())
        return networks

    def _sample(self) -> Spectrograms:
        """Training clips as the network sees them, rolled ones among them until there are enough."""
        frames, bins = SIZES[self.config.spectrogram]
        order = torch.randperm(len(self.train), generator=self._order)[: sample_size(frames * bins)]
        clips = torch.cat([self.normalization.apply(self.train.batch(part)) for part in order.split(FIT_CLIPS)])
        copies = sample_size(frames * bins) // len(clips) if self.config.time_roll else 1
        return torch.cat([clips, *(self._rolled(clips) for _ in range(copies - 1))])

    def _rolled(self, clips: Spectrograms) -> Spectrograms:
        """Each clip rolled in time by a random number of frames."""
        frames = clips.shape[1]
        starts = torch.randint(frames, (len(clips), 1), generator=self._order)
        order = ((torch.arange(frames) + starts) % frames).to(clips.device)
        return clips[torch.arange(len(clips), device=clips.device)[:, None], order]

    @classmethod
    def prepare(
        cls, configs: Sequence[Config], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        corpus = _required(corpus)
        sizes = dict.fromkeys(config.spectrogram for config in configs)
        for size in {**sizes, COMMON_SIZE: None}:
            corpus.features(size, progress)
        references = References(corpus, progress)
        latents = dict.fromkeys((config.spectrogram, config.latent_dim) for config in configs)
        return [
            references.real_clips(),
            *(line for size in sizes for line in references.of_size(size)),
            *(references.pca(size, latent_dim) for size, latent_dim in latents),
        ]

    @classmethod
    def checkpoint_bytes(cls, config: Config) -> int:
        with torch.device("meta"):
            weights = list(_networks(config).parameters())
        # AdamW keeps two more numbers for each weight.
        return 3 * sum(each.numel() * each.element_size() + TENSOR_BYTES for each in weights)

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        return open_judge(_required(corpus)).id

    def reconstruct(self, log_power: Spectrograms) -> Spectrograms:
        """Log-power in nats, through the latent (at its mean) and back."""
        mean, _ = self._encode(self.normalization.apply(log_power))
        estimate, _ = self.networks.decode(mean, self._autocast())
        return self.normalization.invert(estimate)

    def _encode(self, normalized: Spectrograms) -> tuple[Latents, Latents | None]:
        return self.networks.encode(normalized, self._autocast())

    def _decode(self, latents: Latents, target: Spectrograms) -> tuple[Spectrograms, Float[Tensor, "*size"] | None]:
        """Estimates of the targets and, where the loss has one, their standard deviation."""
        estimate, spread = self.networks.decode(latents, self._autocast())
        sigma = self.networks.sigma
        return estimate, None if sigma is None else sigma(estimate, target, spread)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self) -> dict[str, float]:
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.networks.train()
        order = torch.randperm(len(self.train), generator=self._order).split(self.config.batch_size)
        steps = np.array([self._train_step(self.train.batch(part)) for part in order[: self.batches_per_epoch]])
        is_finite = np.isfinite(steps).all(axis=1)
        finite = steps[is_finite] if is_finite.any() else np.full((1, steps.shape[1]), np.nan)
        loss, kl, grad_norm, _ = finite.mean(axis=0)
        metrics = {
            "train/loss": float(loss),
            "train/grad_norm": float(grad_norm),
            "train/nonfinite_steps": float((~is_finite).sum()),
            "optim/lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        if self.loss.is_variational:
            metrics["train/kl"] = float(kl)
        if self.loss.has_sigma:
            metrics["train/min_sigma"] = float(finite[:, 3].min())
        return metrics

    def _train_step(self, clips: Spectrograms) -> list[float]:
        """One step of the optimizer, left out if anything isn't finite; loss, KL divergence, norm of the gradient,
        smallest σ."""
        self.num_steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = (
                group["lr_share"] * self.config.lr * min(1.0, self.num_steps / max(1, self.config.warmup_steps))
            )
        target = self.normalization.apply(self._rolled(clips) if self.config.time_roll else clips)
        mean, log_variance = self._encode(target)
        latents = mean if log_variance is None else sampled(mean, log_variance, self._noise)
        # The latent learns to carry something before it is asked to carry little.
        kl_share = min(1.0, self.num_steps / max(1, self.config.kl_warmup_steps))
        estimate, sigma = self._decode(latents, target)
        loss, kl = self._objective(estimate, sigma, target, mean, log_variance, kl_share)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.networks.parameters(), MAX_GRAD_NORM)
        smallest = loss.new_zeros(()) if sigma is None else sigma.detach().min()
        values: list[float] = torch.stack([loss.detach(), kl.detach(), norm.detach(), smallest]).tolist()
        if np.isfinite(values).all():
            self.optimizer.step()
        return values

    def _objective(
        self,
        estimate: Spectrograms,
        sigma: Float[Tensor, "*size"] | None,
        target: Spectrograms,
        mean: Latents,
        log_variance: Latents | None,
        kl_share: float = 1.0,
    ) -> tuple[Scalar, Scalar]:
        """What training minimizes, and the KL divergence in it (0 without a distribution)."""
        loss = self.loss(estimate, target) if sigma is None else self.loss(estimate, target, sigma)
        if log_variance is None:
            return loss, loss.new_zeros(())
        kl = kl_divergence(mean, log_variance, target[0].numel(), self.config.free_bits)
        return loss + kl_share * self.config.kl_weight * kl, kl

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        self.networks.eval()
        own, variation, losses, means = FractionUnexplained(), Variation(), [], []

        def estimates() -> Iterator[Spectrograms]:
            for positions in self.assessor.positions():
                target = self.normalization.apply(self.validation.batch(positions))
                mean, log_variance = self._encode(target)
                estimate, sigma = self._decode(mean, target)
                own.add(estimate, target)
                variation.add(estimate, target)
                losses.append(len(target) * self._objective(estimate, sigma, target, mean, log_variance)[0].item())
                means.append(mean)
                yield self.normalization.invert(estimate)

        metrics = self.assessor.assess(estimates())
        metrics |= {"fvu_own": own.value, "variation": variation.value, "loss": sum(losses) / len(self.validation)}
        if self.loss.is_variational:
            variances = torch.cat(means).var(dim=0, correction=0)
            metrics["active_units"] = float((variances > ACTIVE_VARIANCE).sum())
        return {f"val/{name}": value for name, value in metrics.items()}

    @torch.inference_mode()
    def render(self, probes: NDArray[np.int64]) -> Media:
        self.networks.eval()
        return presentation.render(self.corpus, probes, self._estimate(probes))

    @torch.inference_mode()
    def evaluate(self, split: Split) -> pd.DataFrame:
        self.networks.eval()
        return presentation.evaluate(self.corpus, split, self._estimate)

    def _estimate(self, clips: NDArray[np.int64]) -> Spectrograms:
        features = FeatureSplit(self.corpus.features(self.config.spectrogram), clips, self.device)
        return self.reconstruct(features.batch(torch.arange(len(clips))))

    def state_dict(self) -> dict[str, Any]:
        return {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "normalization": self.normalization.state_dict(),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.normalization.load_state_dict(state["normalization"])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())


def _networks(config: Autoencoder.Config, *, mean: float = 0.0) -> Bottleneck:
    loss = LOSSES[config.loss]
    return Bottleneck(
        SIZES[config.spectrogram],
        config.latent_dim,
        width=config.width,
        slope=config.leaky_slope,
        is_variational=loss.is_variational,
        sigma=SIGMAS[config.sigma](config.sigma_floor) if loss.has_sigma else None,
        has_linear_path=config.linear_path == "pca",
        mean=mean,
    )


def _required(corpus: Corpus | None) -> Corpus:
    if corpus is None:
        raise InputError("trainable autoencoder needs a corpus; add `corpus: {name: demo}` to the search space")
    return corpus
