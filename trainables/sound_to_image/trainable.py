"""Generates a picture for a sound: a conditional GAN whose condition comes from a classifier of sounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.media import JUDGES, limit_to_full_scale
from trainables.components.assessment.pairs import PairSplit
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE
from trainables.components.generation import Model
from trainables.components.judges.log_mels import open_mels
from trainables.components.judges.picture_judge import open_picture_judge
from trainables.components.pictures import spectrogram_pictures as drawing
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.representation.representation import Representation
from trainables.components.shapes import Scalar
from trainables.components.training.batch_trainable import BatchTrainable
from trainables.components.training.batches import Batch, Batches
from trainables.components.training.loop import fetch_values, finite_means
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.shards.rows import SplitRows
from trainables.corpora.splits import Split
from trainables.sound_to_image.assessment import PictureAssessor, evaluation_table
from trainables.sound_to_image.condition import open_condition
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.declaration import SoundToImageDeclaration
from trainables.sound_to_image.game import Game, make_discriminator
from trainables.sound_to_image.generator import JUDGE, MODEL
from trainables.sound_to_image.model import PictureFromSound
from trainables.sound_to_image.networks import Conditions
from trainables.sound_to_image.references import reference_lines
from trainables.support.progress import Progress, silent
from trainables.trainable import SPLIT_METRICS, Media

CONDITION_CLIPS = 256
BATCH_CLIPS = 64
NUM_RENDERED = 3
RENDERED_PX = 256
DISTRIBUTION_METRICS = ("fid", "kid", "different_bins", "diversity", "inception_score")
"""Metrics of pictures together, which single recordings don't have."""


class SoundToImage(SoundToImageDeclaration, BatchTrainable):
    """A conditional GAN that learns from pairs of a sound and a picture.

    Generator and discriminator are conditioned on the condition network's output for the sound; the true class is never
    an input. Pictures that are judged come from the generator with averaged weights. Judges have no part in training.
    """

    def __init__(self, config: SoundToImageConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Read the pairs, open the judge and the condition network, and draw the GAN's weights from `seed`.

        Args:
            config: the settings of the trial.
            corpus: has sounds with pictures.
            device: the device of the networks.
            seed: seed of the initial weights, of the order of clips, of augmentations and of the noise.
        """
        self.config: SoundToImageConfig = config
        self.corpus = require_corpus(corpus, SoundToImage)
        self.device = torch.device(device)
        self.train = self._pairs(self.corpus.indices("train"))
        self.validation = self._pairs(self.corpus.indices("validation"))
        self.assessor = PictureAssessor(
            self.corpus, self.validation.clips, open_picture_judge(self.corpus, device=self.device)
        )
        self._mels = open_mels(self.corpus)
        # The generator of the order of clips and of the augmentation for the discriminator.
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = PictureFromSound(config, len(self.corpus.classes))
            discriminator = make_discriminator(config, self.model.condition_dim).to(self.device)
            condition = open_condition(self.corpus, config.classifier)
        self.model.condition.load_state_dict(condition.state_dict())
        self.model.to(self.device)
        self._set_feature_statistics()
        self.game = Game(config, self.model, discriminator, self._order)
        self._train_conditions = self._cache_train_conditions()
        columns = [self.train.pictures_column]
        if self._train_conditions is None:
            most_bytes = self.corpus.in_memory_bytes
            columns.append(SplitRows(self._mels, self.train.clips, self.device, most_bytes=most_bytes))
        # Batch normalization needs two pairs.
        self.batches = Batches(columns, config.batch_size, self._order, least=2)

    def _pairs(self, clips: NDArray[np.int64], *, required: bool = True) -> PairSplit:
        """Return those of some clips that have a picture, with it."""
        representation, size = Representation(Grid(COMMON_SIZE)), self.config.image_size
        return PairSplit(self.corpus, representation, clips, size, self.device, required=required)

    def _mel(self, clips: NDArray[np.int64]) -> Float[Tensor, "clips frames 64"]:
        return torch.from_numpy(self._mels[clips].astype(np.float32)).to(self.device)

    def _mel_batches(self, clips: NDArray[np.int64]) -> Iterator[Float[Tensor, "clips frames 64"]]:
        return (self._mel(part) for part in np.split(clips, range(CONDITION_CLIPS, len(clips), CONDITION_CLIPS)))

    @torch.no_grad()
    def _set_feature_statistics(self) -> None:
        """Set the mean and the deviation of the condition network's features from the training sounds."""
        features = [self.model.encode_sounds(mel)[0] for mel in self._mel_batches(self.train.clips)]
        self.model.set_feature_statistics(torch.cat(features))

    @torch.no_grad()
    def _conditions(self, clips: NDArray[np.int64]) -> Conditions:
        """Return the conditions of clips, without gradients."""
        return torch.cat([self.model.make_conditions(mel) for mel in self._mel_batches(clips)])

    def _cache_train_conditions(self) -> Conditions | None:
        """Return the conditions of all training clips; None if the condition network is trained, and they change."""
        return self._conditions(self.train.clips) if self.config.classifier_lr_share == 0 else None

    @classmethod
    def prepare(
        cls, configs: Sequence[SoundToImageConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Compute pictures, log-mels, condition networks, judge and baselines, and return the baselines."""
        return reference_lines(configs, require_corpus(corpus, cls), progress)

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        """Return the id of the corpus's picture judge."""
        return open_picture_judge(require_corpus(corpus, cls)).id

    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics."""
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        batches = self.batches.epoch(self.batches_per_epoch)
        # Not every step trains the generator: its measurements are averaged over the steps that have them.
        means = finite_means(fetch_values([self._train_step(batch) for batch in batches]))
        return {**means, "optim/lr": self.game.lr}

    def _train_step(self, batch: Batch) -> dict[str, Scalar]:
        noise = torch.randn(len(batch.positions), self.config.noise_dim, generator=self._noise).to(self.device)
        with torch.set_grad_enabled(self.game.is_generators_turn):
            condition = self._batch_conditions(batch)
        recordings = self.train.recording_numbers[batch.positions]
        return self.game.step(as_floats(batch.rows[0]), condition, recordings, noise)

    def _batch_conditions(self, batch: Batch) -> Conditions:
        """Return the conditions of a training batch, with gradients if the condition network is trained."""
        if self._train_conditions is None:
            return self.model.make_conditions(batch.rows[1].float())
        return self._train_conditions[batch.positions.to(self.device)]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.model.eval()
        errors: list[float] = []

        def generate_and_compare() -> Iterator[Pictures]:
            positions = torch.arange(len(self.validation)).split(BATCH_CLIPS)
            for part, generated in zip(positions, self._generate(self.validation.clips), strict=True):
                own = self.validation.pictures(part)
                errors.append(F.mse_loss(generated, own).item() * len(part))
                yield generated

        metrics = self.assessor.assess(generate_and_compare())
        metrics["loss"] = sum(errors) / len(self.validation)
        return {f"val/{name}": value for name, value in metrics.items()}

    def _generate(self, clips: NDArray[np.int64], seed: int = 0) -> Iterator[Pictures]:
        """Yield the pictures that are generated for clips, in batches; the same ones for the same seed."""
        noise = torch.Generator().manual_seed(seed)
        conditions = self._conditions(clips)
        return (self.model.generate_from(part, noise, self.config.truncation) for part in conditions.split(BATCH_CLIPS))

    @torch.no_grad()
    def render(self, probes: NDArray[np.int64]) -> Media:
        """Return the sounds of the probe clips, and their own pictures beside `NUM_RENDERED` generated ones."""
        self.model.eval()
        pairs = self._pairs(probes, required=False)
        if not len(pairs):
            return Media()
        clips = pairs.clips
        names = [str(name) for name in self.corpus.clips["clip"].to_numpy()[clips]]
        generated = [torch.cat(list(self._generate(clips, seed))) for seed in range(NUM_RENDERED)]
        judge, labels = open_picture_judge(self.corpus, device=self.device), pairs.labels.to(self.device)
        chances = torch.stack([judge.classify(batch).gather(1, labels[:, None])[:, 0] for batch in generated]).mean(
            dim=0
        )
        real = pairs.pictures(torch.arange(len(pairs)))
        sounds = read_waveforms(self.corpus.waveforms(), clips)
        return Media(
            audio={f"{name}_original": limit_to_full_scale(sound) for name, sound in zip(names, sounds, strict=True)},
            images={name: _row(*pictures) for name, *pictures in zip(names, real, *generated, strict=True)},
            clips=[
                {"clip": name, "judge_probability": chance, "image": name}
                for name, chance in zip(names, chances.tolist(), strict=True)
            ],
            rate_hz=self.corpus.rate_hz,
        )

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Judge the pictures that are generated for a split, and search the real ones of all held-out recordings."""
        self.model.eval()
        clips = self._pairs(self.corpus.indices(split)).clips
        judges = {
            prefix: open_picture_judge(self.corpus, name, device=self.device)
            for prefix, name in JUDGES.items()
            if name == "A" or split == "test"
        }
        others = [] if split == "validation" else [self.validation.clips]
        table = evaluation_table(self.corpus, clips, self._generate(clips), judges, others)
        assessor = self.assessor
        if split != "validation":
            assessor = PictureAssessor(self.corpus, clips, judges["judge"])
        metrics = assessor.assess(self._generate(clips))
        table.attrs[SPLIT_METRICS] = {name: metrics[name] for name in DISTRIBUTION_METRICS}
        return table

    def exported(self) -> Model:
        """Return the networks and the picture judge as settings and tensors.

        `PictureGenerator` is built from them without the corpus.
        """
        judge = open_picture_judge(self.corpus)
        settings = {
            "config": self.config.model_dump(mode="json"),
            "classes": list(self.corpus.classes),
            **self.corpus.clip_format.settings,
            "judge": judge.id,
        }
        parts = {MODEL: self.model.state_dict(), JUDGE: judge.state_dict()}
        tensors = {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
        return Model("sound_to_image", settings, tensors)

    def state_dict(self) -> dict[str, Any]:
        """Return config, model, discriminator, optimizers, number of steps and states of the random generators."""
        return {
            "config": self.config.model_dump(mode="json"),
            "model": self.model.state_dict(),
            **self.game.state_dict(),
            "order": self._order.get_state(),
            "batches": self.batches.state_dict(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.game.load_state_dict(state)
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())
        self.batches.load_state_dict(state.get("batches", {}))
        self._train_conditions = self._cache_train_conditions()


def _row(real: Float[Tensor, "3 side side"], *generated: Float[Tensor, "3 side side"]) -> NDArray[np.uint8]:
    """Return a real picture and, to its right, generated ones, as one image."""
    *left, last = (real, *generated)
    row = drawing.resize_photo(last, RENDERED_PX)
    for picture in reversed(left):
        row = drawing.join_photo(picture, row)
    return row
