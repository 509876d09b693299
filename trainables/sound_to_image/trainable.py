"""Generates a picture for a sound: a GAN or a flow, whose condition comes from a classifier of sounds."""

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
from trainables.components.pictures.augmentation import Pictures
from trainables.components.representation.representation import Representation
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.splits import Split
from trainables.sound_to_image.assessment import PictureAssessor, evaluation_table
from trainables.sound_to_image.condition import open_condition
from trainables.sound_to_image.conditioned_pairs import ConditionedPairs, HeardClips
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.declaration import SoundToImageDeclaration
from trainables.sound_to_image.generator import JUDGE, MODEL
from trainables.sound_to_image.generators import make_game, make_model
from trainables.sound_to_image.references import reference_lines
from trainables.support.progress import Progress, silent
from trainables.trainable import SPLIT_METRICS, Media, Trainable

BATCH_CLIPS = 64
NUM_RENDERED = 3
RENDERED_PX = 256
DISTRIBUTION_METRICS = ("fid", "kid", "different_bins", "diversity", "inception_score")
"""Metrics of pictures together, which single recordings don't have."""


class SoundToImage(SoundToImageDeclaration, Trainable):
    """A generator of pictures, a GAN or a flow, that learns from pairs of a sound and a picture.

    Its networks are conditioned on the condition network's output for the sound; the true class is never an input.
    Pictures that are judged come from averaged weights. Judges have no part in training.
    """

    def __init__(self, config: SoundToImageConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Read the pairs, open the judge and the condition network, and draw the generator's weights from `seed`.

        Args:
            config: the settings of the trial.
            corpus: has sounds with pictures.
            device: the device of the networks.
            seed: seed of the initial weights, and of all random numbers of the training.
        """
        self.config: SoundToImageConfig = config
        self.corpus = require_corpus(corpus, SoundToImage)
        self.device = torch.device(device)
        self.train = self._pairs(self.corpus.indices("train"))
        self.validation = self._pairs(self.corpus.indices("validation"))
        self.assessor = PictureAssessor(
            self.corpus, self.validation.clips, open_picture_judge(self.corpus, device=self.device)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = make_model(config, len(self.corpus.classes))
            self.model.condition.load_state_dict(open_condition(self.corpus, config.classifier).state_dict())
            self.model.to(self.device)
            self._heard = HeardClips(
                self.model, open_mels(self.corpus), self.device, most_bytes=self.corpus.in_memory_bytes
            )
            self._heard.set_feature_statistics(self.train.clips)
            self.game = make_game(self.model, self.corpus, self._with_conditions(self.train), seed)

    def _with_conditions(self, pairs: PairSplit) -> ConditionedPairs:
        is_frozen = self.config.classifier_lr_share == 0
        return ConditionedPairs(pairs, self._heard, self.device, keeps_conditions=is_frozen)

    def _pairs(self, clips: NDArray[np.int64], *, required: bool = True) -> PairSplit:
        """Return those of some clips that have a picture, with it."""
        representation, size = Representation(Grid(COMMON_SIZE)), self.config.image_size
        return PairSplit(self.corpus, representation, clips, size, self.device, required=required)

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

    @property
    def waited_s(self) -> float:
        """The seconds in which the last epoch waited for data."""
        return self.game.waited_s

    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics."""
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        return self.game.train_epoch(self.batches_per_epoch)

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
        metrics |= self.game.validate(self._with_conditions(self.validation))
        return {f"val/{name}": value for name, value in metrics.items()}

    def _generate(self, clips: NDArray[np.int64], seed: int = 0) -> Iterator[Pictures]:
        """Yield the pictures that are generated for clips, in batches; the same ones for the same seed."""
        noise = torch.Generator().manual_seed(seed)
        conditions = self._heard.conditions(clips)
        return (self.model.generate_from(part, noise, self.config) for part in conditions.split(BATCH_CLIPS))

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

    def close(self) -> None:
        """End the thread that reads data, if an epoch was left before its end."""
        self.game.close()

    def state_dict(self) -> dict[str, Any]:
        """Return config, model, and what its game keeps."""
        return {
            "config": self.config.model_dump(mode="json"),
            "model": self.model.state_dict(),
            **self.game.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.game.load_state_dict(state)


def _row(real: Float[Tensor, "3 side side"], *generated: Float[Tensor, "3 side side"]) -> NDArray[np.uint8]:
    """Return a real picture and, to its right, generated ones, as one image."""
    *left, last = (real, *generated)
    row = drawing.resize_photo(last, RENDERED_PX)
    for picture in reversed(left):
        row = drawing.join_photo(picture, row)
    return row
