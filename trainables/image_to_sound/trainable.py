"""Generates a sound for a picture: both are encoded into a shared latent, which is decoded into magnitudes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment import media
from trainables.components.assessment.assessor import BATCH_CLIPS, Assessor
from trainables.components.assessment.media import Rendered
from trainables.components.assessment.pairs import PairSplit
from trainables.components.flow.training import FlowRecipe, FlowTraining
from trainables.components.generation import Model
from trainables.components.judges.sound_judge import open_judge
from trainables.components.networks.backbones import Backbone
from trainables.components.pictures.augmentation import augment
from trainables.components.representation.phase_rendering import render_magnitudes
from trainables.components.shapes import Latents, Scalar, Spectrograms
from trainables.components.training.batch_trainable import BatchTrainable
from trainables.components.training.batches import Batch, Batches
from trainables.components.training.loop import Buffers, descend, fetch_values, finite_means, warm_up
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.corpora.pictures import open_motion
from trainables.corpora.splits import Split
from trainables.image_to_sound.audio_weights import FIT_CLIPS, initialize_audio, load_audio
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.declaration import ImageToSoundDeclaration
from trainables.image_to_sound.generator import export_model
from trainables.image_to_sound.model import MAX_TRAIN_LATENTS, Distribution, SoundFromPicture
from trainables.image_to_sound.references import reference_lines
from trainables.image_to_sound.retrieval_table import compare_latents, retrieval_table
from trainables.image_to_sound.training_loss import PairObjective
from trainables.support.progress import Progress, silent
from trainables.support.randomness import restore_generator
from trainables.trainable import SPLIT_METRICS, Media

BETAS = (0.9, 0.99)
DISTRIBUTION_METRICS = ("fad", "kid", "different_bins", "diversity", "inception_score")
"""Metrics of sounds together, which single recordings don't have."""


class ImageToSound(ImageToSoundDeclaration, BatchTrainable):
    """Learns from pairs of a picture and a sound, and is judged by the sounds that it generates for pictures alone.

    `PairObjective` is its loss.
    """

    def __init__(self, config: ImageToSoundConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Read the pairs, and draw the networks' weights from `seed`; arguments as for every `Trainable`."""
        self.config: ImageToSoundConfig = config
        self.corpus = require_corpus(corpus, ImageToSound)
        self.device = torch.device(device)
        self.num_steps = 0
        self.train = self._pairs(self.corpus.indices("train"))
        self.validation = self._pairs(self.corpus.indices("validation"))
        judge = open_judge(self.corpus, device=self.device)
        self.assessor = Assessor(self.corpus, "validation", judge, self.device, self.validation.clips)
        self._order = torch.Generator().manual_seed(seed)
        # Contrastive losses need two pairs.
        self.batches = Batches(self.train.columns, config.batch_size, self._order, least=2)
        self._noise = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            clip_format = self.corpus.clip_format
            self.model = SoundFromPicture(config, clip_frames=clip_format.frames).to(self.device)
            initialize_audio(self.model, self.train, clip_format, self._order)
        self.objective = PairObjective(config, self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameter_groups(), lr=config.lr, betas=BETAS, fused=True)
        flow, recipe = self.model.flow, FlowRecipe(condition_noise=config.flow_noise)
        self._flow_training = None if flow is None else FlowTraining(flow, seed, recipe)
        self._update_train_latents()

    def _pairs(self, clips: NDArray[np.int64], *, required: bool = True) -> PairSplit:
        """Return those of some clips, given as rows of the corpus's table, that have a picture."""
        config = self.config
        representation = config.clip_representation
        return PairSplit(self.corpus, representation, clips, config.image_size, self.device, required=required)

    @classmethod
    def prepare(
        cls, configs: Sequence[ImageToSoundConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Check the weights that trials load, compute features, judge and baselines, and return the baselines."""
        corpus = require_corpus(corpus, cls)
        # Weights that can't be downloaded or read are an error now, not in the first epoch of every trial.
        for name, weights in dict.fromkeys((config.backbone, config.weights) for config in configs):
            Backbone(name, weights)
        for config in {config.audio_init: config for config in configs if config.audio_init != "scratch"}.values():
            model = SoundFromPicture(config, weights="none", clip_frames=corpus.clip_format.frames)
            load_audio(model, Path(config.audio_init), corpus.clip_format)
        return reference_lines(configs, corpus, progress)

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        """Return the id of the corpus's sound judge."""
        return open_judge(require_corpus(corpus, cls)).id

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics."""
        metrics = self._train_epoch()
        picture_latents = self._update_train_latents()
        if self._flow_training is not None:
            metrics |= self._train_flow(self._flow_training, self.model.train_latents, picture_latents)
        return metrics | self._validate()

    def _train_flow(self, training: FlowTraining, sounds: Latents, pictures: Latents) -> dict[str, float]:
        """Train the flow on the latents of training pairs, with the networks as they are after the epoch.

        The latents that were given are those of all pairs, or else other pairs are drawn in each epoch.
        """
        assert self.model.flow is not None
        if len(sounds) < len(self.train):
            parts = training.draw_positions(len(self.train), MAX_TRAIN_LATENTS).split(FIT_CLIPS)
            sounds, pictures = (
                self._encode_train(encode, parts) for encode in (self._encode_sounds, self._encode_pictures)
            )
        targets, conditions = self.model.flow.prepare(sounds, pictures, self.model.unit)
        num_batches = min(self.config.flow_batches, self.batches_per_epoch or self.config.flow_batches)
        return {"train/flow_loss": training.run(targets, conditions, num_batches)["train/flow_loss"]}

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        batches = self.batches.epoch(self.batches_per_epoch)
        means = finite_means(fetch_values([self._train_step(batch) for batch in batches]))
        return {**means, "optim/lr": float(self.optimizer.param_groups[-1]["lr"])}

    def _train_step(self, batch: Batch) -> dict[str, Scalar]:
        """Make one optimizer step, skipped if loss or gradient isn't finite; return measurements on the device."""
        self.num_steps += 1
        warm_up(self.optimizer, self.config.lr, self.num_steps, self.config.warmup_steps)
        pictures, sounds = self.train.assemble(batch.rows)
        if self.config.augment:
            pictures = augment(pictures, self._order, colours=False, cutout=False)
        before = Buffers(self.model.backbone, self.model.audio)
        picture_distribution = self.model.encode_pictures(pictures, self._autocast())
        target = self.model.normalize(sounds)
        identity = self.train.identify(batch.positions)
        loss = self.objective(picture_distribution, target, *identity, self._autocast(), self._noise)
        return {
            "loss": loss.detach(),
            "grad_norm": descend(self.optimizer, self.model, loss, self.config.max_grad_norm, before=before),
        }

    @torch.no_grad()
    def _update_train_latents(self) -> Latents:
        """Encode training pairs with the current weights, for the unit, the route `retrieve` and the deviation.

        Returns:
            The latents of the pictures; `model.train_latents` are those of their sounds.
        """
        self.model.eval()
        positions = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))[:MAX_TRAIN_LATENTS]
        parts = positions.split(FIT_CLIPS)
        sound_latents = self._encode_train(self._encode_sounds, parts)
        # Before pictures are encoded: their latents are predicted in this unit.
        self.model.set_unit(sound_latents)
        picture_latents = self._encode_train(self._encode_pictures, parts)
        self.model.set_train_latents(sound_latents, picture_latents)
        return picture_latents

    @torch.no_grad()
    def _encode_train(self, encode: Callable[[PairSplit, Tensor], Distribution], parts: Sequence[Tensor]) -> Latents:
        """Return the latents of training pairs at these positions: of their sounds, or of their pictures."""
        return torch.cat([encode(self.train, part)[0] for part in parts])

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        grid = self.config.clip_representation.grid
        picture_distributions, sounds, losses = [], [], []
        order = torch.arange(len(self.validation))
        for part in order.split(BATCH_CLIPS):
            target = self.model.normalize(self.validation.sounds(part))
            picture_distribution = self._encode_pictures(self.validation, part)
            identity = self.validation.identify(part)
            losses.append(len(part) * self.objective(picture_distribution, target, *identity, self._autocast()).item())
            picture_distributions.append(picture_distribution)
            sounds.append(self.model.encode_sounds(target, self._autocast())[0])
        metrics = self.assessor.assess(map(self._generate_pass(), picture_distributions), grid)
        reconstructions = (self.model.decode_log_power(part, self._autocast()) for part in sounds)
        reconstruction_metrics = self.assessor.assess(reconstructions, grid, by_added_judges=False)
        for name in ("fvu", "judge_accuracy"):
            metrics[f"reconstruction_{name}"] = reconstruction_metrics[name]
        picture_latents = self.model.standardize(torch.cat([mean for mean, _ in picture_distributions]))
        sound_latents = self.model.standardize(torch.cat(sounds))
        metrics |= compare_latents(picture_latents, sound_latents, self.validation)
        contrast = self.objective.held_out_contrast(picture_latents, sound_latents, *self.validation.identify(order))
        metrics["loss"] = sum(losses) / len(self.validation) + contrast
        if self.model.flow is not None:
            means = torch.cat([mean for mean, _ in picture_distributions])
            held_out = self.model.flow.prepare(torch.cat(sounds), means, self.model.unit)
            metrics["flow_loss"] = self.model.flow.validation_loss(*held_out)
        return {f"val/{name}": value for name, value in metrics.items()}

    def _generate_pass(self) -> Callable[[Distribution], Spectrograms]:
        """Return a function that generates magnitudes for the batches of a pass; the same ones in every pass."""
        return self.model.generate_pass(self.config, self._autocast())

    def _encode_pictures(self, pairs: PairSplit, positions: Tensor) -> Distribution:
        return self.model.encode_pictures(pairs.pictures(positions), self._autocast())

    def _encode_sounds(self, pairs: PairSplit, positions: Tensor) -> Distribution:
        return self.model.encode_sounds(self.model.normalize(pairs.sounds(positions)), self._autocast())

    @torch.no_grad()
    def render(self, probes: NDArray[np.int64]) -> Media:
        """Return the pictures of the probe clips with their original and their generated sounds."""
        self._update_train_latents()
        pairs = self._pairs(probes, required=False)
        if not len(pairs):
            return Media()
        shown = pairs.pictures(torch.arange(len(pairs)))
        return media.render(self.corpus, pairs.clips, self._render_pass()(pairs.clips), shown.cpu())

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Judge the sounds that are generated for a split's pictures.

        Beside the columns of `media.evaluate`: the correlation of onsets with the picture's motion, and the columns of
        `retrieval_table` for a search among all held-out recordings. Distances of the distributions and the diversity
        are metrics of the split.
        """
        self._update_train_latents()
        pairs = self._pairs(self.corpus.indices(split))
        motion = open_motion(self.corpus)
        table = media.evaluate(self.corpus, split, self._render_pass(), self.device, pairs.clips, motion)
        # The test split is searched among all held-out recordings, so that its ranks are out of more.
        splits = [pairs] if split == "validation" else [pairs, self.validation]
        judge = open_judge(self.corpus, device=self.device)
        table = table.merge(
            retrieval_table(self.model, splits, self._generate_pass(), judge, self._autocast()), on="recording"
        )
        table.attrs[SPLIT_METRICS] = self._assess_distribution(split, pairs)
        return table

    def _assess_distribution(self, split: Split, pairs: PairSplit) -> dict[str, float]:
        """Compare the magnitudes that are generated for a split with those of training clips."""
        assessor = self.assessor
        if split != "validation":
            judge = open_judge(self.corpus, device=self.device)
            assessor = Assessor(self.corpus, split, judge, self.device, pairs.clips)
        parts = torch.arange(len(pairs)).split(BATCH_CLIPS)
        generated = map(self._generate_pass(), (self._encode_pictures(pairs, part) for part in parts))
        metrics = assessor.assess(generated, self.config.clip_representation.grid)
        return {name: metrics[name] for name in DISTRIBUTION_METRICS}

    def _render_pass(self) -> Callable[[NDArray[np.int64]], Rendered]:
        """Return a function that generates sounds for the pictures of clips, which all have one, in one pass."""
        generate = self._generate_pass()

        def render(clips: NDArray[np.int64]) -> Rendered:
            pairs = self._pairs(clips)
            distribution = self._encode_pictures(pairs, torch.arange(len(pairs)))
            log_power = self.config.clip_representation.grid.to_full(generate(distribution))
            return Rendered(log_power, render_magnitudes(log_power, self.config.phase))

        return render

    def exported(self) -> Model:
        """Return the model, its normalization, its latents of training sounds and its judge, for `SoundGenerator`."""
        return export_model(self.model, self.config, self.corpus)

    def state_dict(self) -> dict[str, Any]:
        """Return config, model, optimizer, normalization, number of steps and states of the random generators."""
        return {
            "config": self.config.model_dump(mode="json"),
            **self.corpus.clip_format.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "normalization": self.model.normalizer.state_dict(),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "batches": self.batches.state_dict(),
            "noise": self._noise.get_state(),
            **({} if self._flow_training is None else {"flow": self._flow_training.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.model.normalizer.load_state_dict(state["normalization"])
        self.num_steps = state["num_steps"]
        if self._flow_training is not None:
            self._flow_training.load_state_dict(state["flow"])
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        # Its own was on the device that the checkpoint was trained on.
        restore_generator(self._noise, state["noise"])
        self.batches.load_state_dict(state.get("batches", {}))
        self._update_train_latents()
