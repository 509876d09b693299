"""A picture for a sound: a conditional GAN that is told what a classifier of sounds hears."""

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
from trainables.components.audio.clip import RATE_HZ
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE
from trainables.components.generation import Model
from trainables.components.judges.picture_judge import open_picture_judge
from trainables.components.pictures import spectrogram_pictures as drawing
from trainables.components.pictures.augmentation import Pictures
from trainables.components.representation.representation import Representation
from trainables.components.training.loop import Scalar, batches, fetched, finite_means, saved_bytes
from trainables.corpora.corpus import Corpus, required
from trainables.corpora.features import read_waveforms
from trainables.corpora.splits import Split
from trainables.sound_to_image.assessment import PictureAssessor, table_of
from trainables.sound_to_image.condition import open_condition
from trainables.sound_to_image.config import METRICS, SoundToImageConfig
from trainables.sound_to_image.game import Game, discriminator_of
from trainables.sound_to_image.generator import JUDGE, MODEL
from trainables.sound_to_image.log_mels import open_mels
from trainables.sound_to_image.model import PictureFromSound
from trainables.sound_to_image.networks import Told
from trainables.sound_to_image.references import reference_lines
from trainables.support.progress import Progress, silent
from trainables.trainable import Media, Trainable

HEARD_CLIPS = 256
BATCH_CLIPS = 64
SHOWN = 3
"""Pictures made of different noise beside each probe's own."""
SHOWN_PX = 256
TYPICAL_CLASSES = 10


class SoundToImage(Trainable):
    """A generator and a discriminator that play against each other over pairs of a sound and a picture.

    Both are told what the network that hears makes of the sound; nobody is told its class. What is judged is made by
    the generator with its weights averaged over steps. The judges have no part in training.
    """

    Config = SoundToImageConfig
    RENDERING = frozenset({"truncation"})
    METRICS = METRICS
    GENERATES = ("sound", "image")
    DEBUG = {"width": 8, "noise_dim": 8, "batch_size": 8, "image_size": 32, "r1_every": 2}

    def __init__(self, config: SoundToImageConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config: SoundToImageConfig = config
        self.corpus = required(corpus, SoundToImage)
        self.device = torch.device(device)
        self.train = self._pairs(self.corpus.indices("train"))
        self.validation = self._pairs(self.corpus.indices("validation"))
        self.assessor = PictureAssessor(
            self.corpus, self.validation.clips, open_picture_judge(self.corpus, device=self.device)
        )
        self._mels = open_mels(self.corpus)
        self._order = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = PictureFromSound(config, len(self.corpus.classes))
            discriminator = discriminator_of(config, self.model.told_dim).to(self.device)
            condition = open_condition(self.corpus, config.classifier)
        self.model.condition.load_state_dict(condition.state_dict())
        self.model.to(self.device)
        self._measure()
        self.game = Game(config, self.model, discriminator, self._order)
        self._known = self._told_once()

    def _pairs(self, clips: NDArray[np.int64], *, required: bool = True) -> PairSplit:
        representation, size = Representation(Grid(COMMON_SIZE)), self.config.image_size
        return PairSplit(self.corpus, representation, clips, size, self.device, required=required)

    def _mel(self, clips: NDArray[np.int64]) -> Float[Tensor, "clips 96 64"]:
        return torch.from_numpy(self._mels[clips].astype(np.float32)).to(self.device)

    def _parts(self, clips: NDArray[np.int64]) -> Iterator[Float[Tensor, "clips 96 64"]]:
        return (self._mel(part) for part in np.split(clips, range(HEARD_CLIPS, len(clips), HEARD_CLIPS)))

    @torch.no_grad()
    def _measure(self) -> None:
        self.model.measure(torch.cat([self.model.listened(part)[0] for part in self._parts(self.train.clips)]))

    @torch.no_grad()
    def _told(self, clips: NDArray[np.int64]) -> Told:
        """What the generator is told of clips."""
        return torch.cat([self.model.told(part) for part in self._parts(clips)])

    def _told_once(self) -> Told | None:
        """The same of all training clips, where that doesn't change."""
        return self._told(self.train.clips) if self.config.classifier_lr_share == 0 else None

    @classmethod
    def prepare(
        cls, configs: Sequence[SoundToImageConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        return reference_lines(configs, required(corpus, cls), progress)

    @classmethod
    def checkpoint_bytes(cls, config: SoundToImageConfig) -> int:
        with torch.device("meta"):
            model = PictureFromSound(config, TYPICAL_CLASSES)
            discriminator = discriminator_of(config, model.told_dim)
        return saved_bytes([model, discriminator])

    @classmethod
    def judge_id(cls, corpus: Corpus | None) -> str | None:
        return open_picture_judge(required(corpus, cls)).id

    def step(self) -> dict[str, float]:
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        drawn = batches(len(self.train), self.config.batch_size, self._order, self.batches_per_epoch)
        # With several steps of the discriminator for each of the generator, a short epoch may have none of those.
        means = finite_means(fetched([self._train_step(part) for part in drawn]))
        return {**means, "optim/lr": self.game.lr}

    def _train_step(self, positions: Tensor) -> dict[str, Scalar]:
        noise = torch.randn(len(positions), self.config.noise_dim, generator=self._noise).to(self.device)
        with torch.set_grad_enabled(self.game.is_generators_turn):
            condition = self._told_of(positions)
        return self.game.step(self.train.pictures(positions), condition, noise)

    def _told_of(self, positions: Tensor) -> Told:
        if self._known is None:
            return self.model.told(self._mel(self.train.clips[positions.numpy()]))
        return self._known[positions.to(self.device)]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.model.eval()
        errors: list[float] = []

        def watched() -> Iterator[Pictures]:
            positions = torch.arange(len(self.validation)).split(BATCH_CLIPS)
            for part, generated in zip(positions, self._made(self.validation.clips), strict=True):
                own = self.validation.pictures(part)
                errors.append(F.mse_loss(generated, own).item() * len(part))
                yield generated

        metrics = self.assessor.assess(watched())
        metrics["loss"] = sum(errors) / len(self.validation)
        return {f"val/{name}": value for name, value in metrics.items()}

    def _made(self, clips: NDArray[np.int64], seed: int = 0) -> Iterator[Pictures]:
        """The pictures that are made for clips, in batches; always the same ones for a seed."""
        noise = torch.Generator().manual_seed(seed)
        condition = self._told(clips)
        return (self.model.made(part, noise, self.config.truncation) for part in condition.split(BATCH_CLIPS))

    @torch.no_grad()
    def render(self, probes: NDArray[np.int64]) -> Media:
        self.model.eval()
        pairs = self._pairs(probes, required=False)
        if not len(pairs):
            return Media()
        clips = pairs.clips
        names = [str(name) for name in self.corpus.clips["clip"].to_numpy()[clips]]
        generated = [torch.cat(list(self._made(clips, seed))) for seed in range(SHOWN)]
        judge, labels = open_picture_judge(self.corpus, device=self.device), pairs.labels.to(self.device)
        chances = torch.stack([judge.see(batch).gather(1, labels[:, None])[:, 0] for batch in generated]).mean(dim=0)
        real = pairs.pictures(torch.arange(len(pairs)))
        sounds = read_waveforms(self.corpus.waveforms(), clips)
        return Media(
            audio={f"{name}_original": limit_to_full_scale(sound) for name, sound in zip(names, sounds, strict=True)},
            images={name: _row(*pictures) for name, *pictures in zip(names, real, *generated, strict=True)},
            clips=[
                {"clip": name, "judge_probability": chance, "image": name}
                for name, chance in zip(names, chances.tolist(), strict=True)
            ],
            rate_hz=RATE_HZ,
        )

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Judge the pictures of a split's clips, and what they find among the real ones of all held-out recordings."""
        self.model.eval()
        clips = self._pairs(self.corpus.indices(split)).clips
        judges = {
            prefix: open_picture_judge(self.corpus, name, device=self.device)
            for prefix, name in JUDGES.items()
            if name == "A" or split == "test"
        }
        others = [] if split == "validation" else [self.validation.clips]
        return table_of(self.corpus, clips, self._made(clips), judges, others)

    def exported(self) -> Model:
        judge = open_picture_judge(self.corpus)
        settings = {
            "config": self.config.model_dump(mode="json"),
            "classes": list(self.corpus.classes),
            "judge": judge.id,
        }
        parts = {MODEL: self.model.state_dict(), JUDGE: judge.state_dict()}
        tensors = {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
        return Model("sound_to_image", settings, tensors)

    def state_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(mode="json"),
            "model": self.model.state_dict(),
            **self.game.state_dict(),
            "order": self._order.get_state(),
            "noise": self._noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.game.load_state_dict(state)
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self._noise.set_state(state["noise"].cpu())
        self._known = self._told_once()


def _row(real: Float[Tensor, "3 side side"], *generated: Float[Tensor, "3 side side"]) -> NDArray[np.uint8]:
    """A real picture and, to its right, made ones."""
    *shown, last = (real, *generated)
    row = drawing.enlarged(last, SHOWN_PX)
    for picture in reversed(shown):
        row = drawing.beside(picture, row)
    return row
