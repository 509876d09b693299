"""The convolutional autoencoder of the report, with its faults corrected, for magnitudes, phases, or both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from trainables.autoencoder.adversary import Adversary
from trainables.autoencoder.codec import Codec
from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.declaration import AutoencoderDeclaration, has_bound
from trainables.autoencoder.generator import JUDGE, NETWORK, NORMALIZATION, STATISTICS, ReconstructionGenerator
from trainables.autoencoder.metrics import BETWEEN_CLIPS
from trainables.autoencoder.references import reference_lines
from trainables.autoencoder.sounds import Sounds
from trainables.autoencoder.training_loss import TrainingLoss
from trainables.components.assessment import media
from trainables.components.assessment.assessor import Assessor
from trainables.components.audio.log_power_metrics import FractionUnexplained, Variation
from trainables.components.audio.registries import split_augmentations
from trainables.components.generation import Model
from trainables.components.judges.sound_judge import open_judge
from trainables.components.losses.registries import LOSSES
from trainables.components.networks.quantizer import CodebookUse
from trainables.components.representation.augmented_clips import AugmentedClips
from trainables.components.representation.representation import ClipSplit
from trainables.components.representation.scene import TrainingClips
from trainables.components.shapes import Clips, Scalar
from trainables.components.training.averaging import update_average
from trainables.components.training.batch_trainable import BatchTrainable
from trainables.components.training.batches import Batches
from trainables.components.training.cuda_graph import GraphReplayer
from trainables.components.training.loop import (
    Buffers,
    decay_lr,
    descend,
    fetch_values,
    finite_means,
    finite_steps,
    warm_up,
)
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.splits import Split
from trainables.support.progress import Progress, silent
from trainables.support.randomness import restore_generator
from trainables.trainable import Media

BETA1 = 0.9
"""AdamW's decay rate of gradients."""
ACTIVE_VARIANCE = 0.01
"""A latent whose mean varies less between clips is inactive (Burda, Grosse and Salakhutdinov, 2016)."""
AVERAGE_WARM_UP_STEPS = 10
"""In about so many first steps the average decays faster, so that the untrained weights are soon forgotten."""
MAX_SAMPLES = 512
"""Clips that are decoded from random latents after every epoch, at most."""


class Autoencoder(AutoencoderDeclaration, BatchTrainable):
    """Encodes a clip into a latent of `latent_dim` numbers and decodes it again.

    With `linear_path: pca` encoder and decoder add convolutions to a linear path that starts as principal components.
    With a variational loss the latent is a distribution: training samples it, validation takes its mean.
    With `ema` the average of the trained weights is what is validated, rendered and exported.
    The learning rate rises over `warmup_steps`. Afterwards it is constant, or falls by `lr_decay_steps`, which does not
    depend on the number of epochs: a trial that is resumed with more of them trains exactly as one that was given them
    at its start.
    """

    def __init__(self, config: AutoencoderConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Fit the codec to the training clips, and draw its weights from `seed`; arguments as for every `Trainable`."""
        self.config: AutoencoderConfig = config
        self.corpus = require_corpus(corpus, Autoencoder)
        self.device = torch.device(device)
        self.loss = LOSSES[config.loss]
        self.num_steps = 0
        self.train, self.validation = (
            ClipSplit(self.corpus, config.clip_representation, self.corpus.indices(split), self.device)
            for split in ("train", "validation")
        )
        self.assessor = Assessor(self.corpus, "validation", open_judge(self.corpus, device=self.device), self.device)
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.codec = Codec(config, self.train, self.device, self._order)
            # Drawn last, so that the codec's weights are the same with and without an adversary.
            self.adversary = Adversary(config, self.device) if config.adversarial_weight > 0 else None
        # What the optimizer trains; `codec` has their average then.
        self.trained = self.codec.copy_networks() if config.ema > 0 else self.codec
        self.training_loss = TrainingLoss(config, self.codec.normalizer)
        self.training_clips = TrainingClips(self.corpus)
        names = split_augmentations(config.augment)
        self.augmented = AugmentedClips(self.corpus, config.clip_representation, self.train, names, self.device)
        self.batches = Batches(self.augmented.columns, config.batch_size, self._order)
        betas = BETA1, config.adam_beta2
        # `_train_step` sets the learning rate in every step: it warms up, then decays.
        self.optimizer = torch.optim.AdamW(self.trained.networks.parameter_groups(), config.lr, betas, fused=True)
        self._replayed = GraphReplayer(self._noise)

    @classmethod
    def prepare(
        cls, configs: Sequence[AutoencoderConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Compute features, judge and baselines, and return the baselines."""
        return reference_lines(configs, require_corpus(corpus, cls), progress)

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        """Return the id of the corpus's sound judge."""
        return open_judge(require_corpus(corpus, cls)).id

    @property
    def sounds(self) -> Sounds:
        """Renderer for the current config, whose rendering settings `evaluate:` may have changed."""
        return Sounds(self.config, self.codec, self.training_clips, self.device)

    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics."""
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.codec.forget_latents()
        self.trained.networks.train()
        batches = self.batches.epoch(self.batches_per_epoch)
        steps = fetch_values([self._train_step(self.augmented.assemble(batch, self._order)) for batch in batches])
        metrics = {**finite_means(steps), "optim/lr": float(self.optimizer.param_groups[0]["lr"])}
        if self.loss.has_sigma:
            # The smallest of all steps: a mean would hide the one in which a likelihood diverges.
            metrics["train/min_sigma"] = min((step["min_sigma"] for step in finite_steps(steps)), default=math.nan)
        return metrics

    def _train_step(self, clips: Clips) -> dict[str, Scalar]:
        """Make one optimizer step, skipped if loss or gradient isn't finite; return measurements on the device."""
        self.num_steps += 1
        lr = decay_lr(self.config.lr, self.num_steps - self.config.warmup_steps, self.config.lr_decay_steps)
        rates = warm_up(self.optimizer, lr, self.num_steps, self.config.warmup_steps)
        # With the whole weight from the first step on, the KL divergence can close latents before they are used.
        kl_share = min(1.0, self.num_steps / max(1, self.config.kl_warmup_steps))
        if self.config.time_roll:
            # Outside of the recorded step, because it draws on the CPU.
            clips = self.codec.roll_clips(clips, self._order)
        with self.trained.exact_convolutions:
            measured = self._replayed(self._optimize, clips, kl_share, *rates)
        if self.config.ema > 0:
            decay = min(self.config.ema, self.num_steps / (self.num_steps + AVERAGE_WARM_UP_STEPS))
            update_average(self.codec.networks, self.trained.networks, decay)
        return measured

    def _optimize(self, clips: Clips, kl_share: float | Scalar, *rates: float | Scalar) -> dict[str, Scalar]:
        """Compute the loss of a batch and update the weights; a CUDA graph may record and replay this."""
        before = Buffers(self.trained.networks)
        target = self.trained.target(clips)
        estimate = self.trained.estimate(target, self._noise)
        loss, kl = self.training_loss(estimate, target, kl_share)
        measured: dict[str, Scalar] = {}
        if self.adversary is not None:
            magnitude = self.codec.representation.parts["magnitude"]
            pair = estimate.clips[:, magnitude], target.clips[:, magnitude]
            measured |= self.adversary.train(*pair)
            loss = loss + self.adversary.loss(*pair)
        norm = descend(self.optimizer, self.trained.networks, loss, self.config.max_grad_norm, rates, before)
        measured |= {"loss": loss.detach(), "grad_norm": norm}
        if self.loss.is_variational:
            measured["kl"] = kl.detach()
        if estimate.sigma is not None:
            measured["min_sigma"] = estimate.sigma.detach().min()
        return measured

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        self.codec.networks.eval()
        own, variation, losses, bounds, means = FractionUnexplained(), Variation(), [], [], []
        noise = torch.Generator(self.device).manual_seed(0)
        quantizer = self.codec.networks.quantizer
        codebook_use = None if quantizer is None else CodebookUse(quantizer)

        def estimates() -> Iterator[Clips]:
            for positions in self.assessor.positions():
                clips = self.validation.batch(positions)
                target = self.codec.target(clips)
                estimate = self.codec.estimate(target)
                own.add(estimate.clips, target.clips)
                variation.add(estimate.clips, target.clips)
                losses.append(len(clips) * self.training_loss(estimate, target)[0])
                if has_bound(self.config):
                    bounds.append(len(clips) * self.training_loss.bound(self.codec.estimate(target, noise), target))
                means.append(estimate.mean)
                if codebook_use is not None and estimate.quantized is not None:
                    codebook_use.add(estimate.quantized.codes)
                yield self.codec.restore(estimate, target, self.config.clip_statistics)

        representation = self.codec.representation
        if "magnitude" in representation.parts:
            metrics = self.assessor.assess((restored[:, 0] for restored in estimates()), representation.grid)
            samples = self.codec.samples(min(MAX_SAMPLES, len(self.validation)))
            metrics |= self.assessor.assess_samples(representation.grid.to_full(samples[:, 0]))
        else:
            metrics = {}
            # Nothing judges phases alone, but the loop fills the sums and lists above.
            for _ in estimates():
                pass
        probes = self.corpus.probes(self.config.sound_clips)
        metrics |= self.assessor.assess_sounds(self.sounds.render(probes).sounds, probes)
        metrics |= {
            "fvu_own": own.value,
            "variation": variation.value,
            "loss": float(sum(losses)) / len(self.validation),
        }
        if has_bound(self.config):
            metrics["bits_per_dim"] = float(sum(bounds)) / len(self.validation) / math.log(2)
        if codebook_use is not None:
            metrics |= codebook_use.metrics()
        if self.loss.is_variational:
            variances = torch.cat(means).var(dim=0, correction=0)
            metrics["active_units"] = float((variances > ACTIVE_VARIANCE).sum())
        measured = {f"val/{name}": value for name, value in metrics.items()}
        if not variation.do_targets_vary:
            # Equal latents of equal clips are no collapse.
            measured |= dict.fromkeys(measured.keys() & BETWEEN_CLIPS, math.nan)
        return measured

    @torch.inference_mode()
    def render(self, probes: NDArray[np.int64]) -> Media:
        """Return original and reconstructed sounds of the probe clips, and pictures of their spectrograms."""
        self.codec.networks.eval()
        return media.render(self.corpus, probes, self.sounds.render(probes))

    @torch.inference_mode()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Judge the reconstructed sounds of a split, and add `side_info_floats` to the table of recordings."""
        self.codec.networks.eval()
        table = media.evaluate(self.corpus, split, self.sounds.render, self.device)
        return table.assign(side_info_floats=float(self.sounds.side_info_floats))

    @torch.inference_mode()
    def exported(self) -> Model:
        """Return the networks, the normalization and the judge, for `ReconstructionGenerator`.

        Raises:
            InputError: a setting takes a part of the sounds from the corpus.
        """
        self.codec.networks.eval()
        judge, regression = open_judge(self.corpus), self.codec.statistics_regression
        parts = {NETWORK: self.codec.networks.state_dict(), JUDGE: judge.state_dict()}
        for part, tensors in self.codec.normalizer.state_dict().items():
            parts[f"{NORMALIZATION}{part}."] = tensors
        if regression is not None:
            parts[STATISTICS] = regression.state_dict()
        settings = {
            "config": self.config.model_dump(mode="json"),
            "classes": list(self.corpus.classes),
            **self.corpus.clip_format.settings,
            "judge": judge.id,
        }
        weights = {prefix + key: value for prefix, tensors in parts.items() for key, value in tensors.items()}
        model = Model("autoencoder", settings, weights)
        # Settings that need the corpus are found here, not when the model is used.
        first_clip = read_waveforms(self.corpus.waveforms(), np.zeros(1, np.int64))
        ReconstructionGenerator(model).generate(first_clip, count=1, seed=0)
        return model

    def state_dict(self) -> dict[str, Any]:
        """Return config, codec, trained weights, optimizer, adversary, steps and the random generators' states."""
        return {
            "config": self.config.model_dump(mode="json"),
            **self.corpus.clip_format.settings,
            **self.codec.state_dict(),
            **({"trained": self.trained.networks.state_dict()} if self.config.ema > 0 else {}),
            "optimizer": self.optimizer.state_dict(),
            **({} if self.adversary is None else {"adversary": self.adversary.state_dict()}),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "batches": self.batches.state_dict(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.codec.load_state_dict(state)
        if self.config.ema > 0:
            self.trained.networks.load_state_dict(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        # Its own was on the device that the checkpoint was trained on.
        restore_generator(self._noise, state["noise"])
        self.batches.load_state_dict(state.get("batches", {}))
        # A recorded step would still read the optimizer's old state.
        self._replayed = GraphReplayer(self._noise)
