"""A sound for a picture: a network that sees and one that hears share a latent, which is decoded into magnitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment import media
from trainables.components.assessment.assessor import BATCH_CLIPS, Assessor
from trainables.components.assessment.media import Rendered
from trainables.components.assessment.pairs import PairSplit
from trainables.components.generation import Model
from trainables.components.judges.sound_judge import open_judge
from trainables.components.networks.backbones import Backbone
from trainables.components.networks.pca_path import sample_size
from trainables.components.pictures.augmentation import augmented
from trainables.components.representation.phase_rendering import render_magnitudes
from trainables.components.training.loop import batches, descend, fetched, finite_means, saved_bytes, warm_up
from trainables.corpora.corpus import Corpus, required
from trainables.corpora.pictures import open_motion
from trainables.corpora.splits import Split
from trainables.image_to_sound.config import METRICS, ImageToSoundConfig
from trainables.image_to_sound.generator import JUDGE, KNOWN, MODEL, NORMALIZATION, SPREAD
from trainables.image_to_sound.model import (
    MAX_KNOWN,
    Distribution,
    SoundFromPicture,
)
from trainables.image_to_sound.references import reference_lines
from trainables.image_to_sound.retrieval_table import found_in, retrieval_table
from trainables.image_to_sound.training_loss import PairObjective
from trainables.support.progress import Progress, silent
from trainables.trainable import Media, Trainable

BETAS = (0.9, 0.99)
FIT_CLIPS = 256

Scalar = Float[Tensor, ""]


class ImageToSound(Trainable):
    """Learns from pairs of a picture and a sound, and is judged by the sounds that it makes of pictures alone.

    Its loss is the sum, each with its weight, of the distance between a pair's latents, the errors of the sounds
    decoded from either, a contrastive loss, and with a conditional prior the KL divergence between their distributions.
    """

    Config = ImageToSoundConfig
    RENDERING = frozenset({"route", "phase"})
    METRICS = METRICS
    GENERATES = ("image", "sound")
    DEBUG = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "batch_size": 8, "image_size": 32}

    def __init__(self, config: ImageToSoundConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config: ImageToSoundConfig = config
        self.corpus = required(corpus, ImageToSound)
        self.device = torch.device(device)
        self.num_steps = 0
        self.train = self._pairs(self.corpus.indices("train"))
        self.validation = self._pairs(self.corpus.indices("validation"))
        judge = open_judge(self.corpus, device=self.device)
        self.assessor = Assessor(self.corpus, "validation", judge, self.device, self.validation.clips)
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = self._model()
        self.objective = PairObjective(config, self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameter_groups(), lr=config.lr, betas=BETAS, fused=True)
        self._know()

    def _pairs(self, clips: NDArray[np.int64], *, required: bool = True) -> PairSplit:
        config = self.config
        representation = config.clip_representation
        return PairSplit(self.corpus, representation, clips, config.image_size, self.device, required=required)

    def _model(self) -> SoundFromPicture:
        model = SoundFromPicture(self.config).to(self.device)
        if self.config.audio_init != "scratch":
            model.load_audio(Path(self.config.audio_init))
            return model
        model.normalizer.fit(
            lambda: (self.train.sounds(part) for part in torch.arange(len(self.train)).split(FIT_CLIPS))
        )
        if model.audio.linear_path is not None:
            wanted = sample_size(int(np.prod(self.config.clip_representation.shape)))
            order = torch.randperm(len(self.train), generator=self._order)[:wanted]
            sample = (model.normalized(self.train.sounds(part)) for part in order.split(FIT_CLIPS))
            model.audio.linear_path.fit(torch.cat([*sample]))
        return model

    @classmethod
    def prepare(
        cls, configs: Sequence[ImageToSoundConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        corpus = required(corpus, cls)
        # Weights that can't be had are found out now, not in the first epoch of every trial.
        for name, weights in dict.fromkeys((config.backbone, config.weights) for config in configs):
            Backbone(name, weights)
        for config in {config.audio_init: config for config in configs if config.audio_init != "scratch"}.values():
            SoundFromPicture(config, weights="none").load_audio(Path(config.audio_init))
        return reference_lines(configs, corpus, progress)

    @classmethod
    def checkpoint_bytes(cls, config: ImageToSoundConfig) -> int:
        with torch.device("meta"):
            return saved_bytes([SoundFromPicture(config, weights="none")])

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        return open_judge(required(corpus, cls)).id

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self) -> dict[str, float]:
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        drawn = batches(len(self.train), self.config.batch_size, self._order, self.batches_per_epoch)
        means = finite_means(fetched([self._train_step(part) for part in drawn]))
        return {**means, "optim/lr": float(self.optimizer.param_groups[-1]["lr"])}

    def _train_step(self, positions: Tensor) -> dict[str, Scalar]:
        """One step of the optimizer, left out if anything isn't finite; what was measured stays on the device."""
        self.num_steps += 1
        warm_up(self.optimizer, self.config.lr, self.num_steps, self.config.warmup_steps)
        pictures = self.train.pictures(positions)
        if self.config.augment:
            pictures = augmented(pictures, self._order, colours=False, cutout=False)
        picture_distribution = self.model.seen(pictures, self._autocast())
        target = self.model.normalized(self.train.sounds(positions))
        labels = self.train.labels[positions].to(self.device)
        loss = self.objective(picture_distribution, target, labels, self._autocast(), self._noise)
        return {
            "loss": loss.detach(),
            "grad_norm": descend(self.optimizer, self.model, loss, self.config.max_grad_norm),
        }

    @torch.no_grad()
    def _know(self) -> None:
        """Let the model take the latents of training pairs as they are now."""
        self.model.eval()
        positions = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))[:MAX_KNOWN]
        parts = positions.split(FIT_CLIPS)
        sound_latents = torch.cat([self._heard(self.train, part)[0] for part in parts])
        self.model.measure(sound_latents)
        picture_latents = torch.cat([self.model.seen(self.train.pictures(part), self._autocast())[0] for part in parts])
        self.model.remember(sound_latents, picture_latents)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self._know()
        grid = self.config.clip_representation.grid
        pictures, sounds, losses = [], [], []
        order = torch.arange(len(self.validation))
        for part in order.split(BATCH_CLIPS):
            target = self.model.normalized(self.validation.sounds(part))
            picture_distribution = self.model.seen(self.validation.pictures(part), self._autocast())
            labels = self.validation.labels[part].to(self.device)
            losses.append(len(part) * self.objective(picture_distribution, target, labels, self._autocast()).item())
            pictures.append(picture_distribution)
            sounds.append(self.model.heard(target, self._autocast())[0])
        metrics = self.assessor.assess((self._made(picture_distribution) for picture_distribution in pictures), grid)
        rebuilt = self.assessor.assess((self.model.log_power(part, self._autocast()) for part in sounds), grid)
        metrics |= {f"reconstruction_{name}": rebuilt[name] for name in ("fvu", "judge_accuracy")}
        latents = torch.cat([mean for mean, _ in pictures]), torch.cat(sounds)
        pair = self.model.standardized(latents[0]), self.model.standardized(latents[1])
        one = self.validation.first_of_each_recording()
        for prefix, hits in found_in(pair[0][one], pair[1][one], self.validation.labels[one].to(self.device)).items():
            metrics |= hits.metrics(prefix)
        metrics["latent_mse"] = (pair[0] - pair[1]).square().mean().item()
        metrics["modality_gap"] = (pair[0].mean(dim=0) - pair[1].mean(dim=0)).norm().item()
        metrics["loss"] = sum(losses) / len(self.validation)
        return {f"val/{name}": value for name, value in metrics.items()}

    def _made(self, distribution: Distribution) -> Float[Tensor, "clips frames bins"]:
        """Magnitudes by the route that the settings name, always the same ones."""
        return self.model.log_power(self.model.routed(distribution, self.config.route), self._autocast())

    def _heard(self, pairs: PairSplit, positions: Tensor) -> Distribution:
        return self.model.heard(self.model.normalized(pairs.sounds(positions)), self._autocast())

    @torch.no_grad()
    def render(self, probes: NDArray[np.int64]) -> Media:
        self._know()
        pairs = self._pairs(probes, required=False)
        if not len(pairs):
            return Media()
        shown = pairs.pictures(torch.arange(len(pairs)))
        return media.render(self.corpus, pairs.clips, self._render(pairs.clips), shown.cpu())

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Beside the judge and the distances to the pairs' own sounds: whether what was made begins and ends with what
        moves, and what a recording's first pair finds among all held-out recordings."""
        self._know()
        pairs = self._pairs(self.corpus.indices(split))
        motion = open_motion(self.corpus)
        table = media.evaluate(self.corpus, split, self._render, self.device, pairs.clips, motion)
        # All that are held out are looked among, of which the validation split has been seen before.
        splits = [pairs] if split == "validation" else [pairs, self.validation]
        judge = open_judge(self.corpus, device=self.device)
        return table.merge(retrieval_table(self.model, splits, self._made, judge, self._autocast()), on="recording")

    def _render(self, clips: NDArray[np.int64]) -> Rendered:
        """The sounds of some clips' pictures."""
        pairs = self._pairs(clips)
        distribution = self.model.seen(pairs.pictures(torch.arange(len(pairs))), self._autocast())
        log_power = self.config.clip_representation.grid.to_full(self._made(distribution))
        return Rendered(log_power, render_magnitudes(log_power, self.config.phase))

    def exported(self) -> Model:
        judge = open_judge(self.corpus)
        parts = {
            MODEL: self.model.state_dict(),
            NORMALIZATION: self.model.normalizer.state_dict()["magnitude"],
            JUDGE: judge.state_dict(),
            "": {KNOWN: self.model.known, SPREAD: self.model.spread},
        }
        settings = {
            "config": self.config.model_dump(mode="json"),
            "classes": list(self.corpus.classes),
            "judge": judge.id,
        }
        tensors = {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
        return Model("image_to_sound", settings, tensors)

    def state_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "normalization": self.model.normalizer.state_dict(),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.model.normalizer.load_state_dict(state["normalization"])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())
        self._know()
