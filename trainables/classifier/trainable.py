"""A classifier of sounds or of images; sound_to_image can use one of sounds as its condition network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.classifier.config import ClassifierConfig
from trainables.classifier.declaration import ClassifierDeclaration
from trainables.classifier.modalities import (
    Images,
    SoundNetwork,
    Sounds,
    make_network,
)
from trainables.components.audio.log_power_metrics import score_recordings
from trainables.components.judges.log_mels import open_mels
from trainables.components.pictures import spectrogram_pictures
from trainables.components.shapes import Scalar
from trainables.components.training.batch_trainable import BatchTrainable
from trainables.components.training.batches import Batch, Batches
from trainables.components.training.loop import Buffers, descend, fetch_values, finite_means, warm_up
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.corpora.features import read_waveforms
from trainables.corpora.splits import Split
from trainables.support.progress import Progress, silent
from trainables.trainable import Media

BATCH_CLIPS = 64

Logits = Float[Tensor, "clips classes"]


class Classifier(ClassifierDeclaration, BatchTrainable):
    """Learns the classes of a corpus's clips; it shares neither seed nor weights with a judge."""

    def __init__(self, config: ClassifierConfig, corpus: Corpus | None, *, device: str, seed: int) -> None:
        """Read the clips, and draw the network's weights from `seed`; arguments as for every `Trainable`."""
        self.config: ClassifierConfig = config
        self.corpus = require_corpus(corpus, Classifier)
        self.device = torch.device(device)
        self.num_steps = 0
        self.train = self._examples(self.corpus.indices("train"), spoil=config.spoil)
        self.validation = self._examples(self.corpus.indices("validation"))
        self._order = torch.Generator().manual_seed(seed)
        # Batch normalization needs two clips.
        self.batches = Batches([self.train.column], config.batch_size, self._order, least=2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make_network(config.modality, config.network, config.weights, len(self.corpus.classes))
        if isinstance(network, SoundNetwork) and isinstance(self.train, Sounds):
            for buffer, value in zip((network.body.mean, network.body.std), self.train.scale, strict=True):
                buffer.copy_(value)
        self.network = network.to(memory_format=torch.channels_last).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), config.lr, weight_decay=config.weight_decay, fused=True
        )

    def _examples(self, clips: NDArray[np.int64], *, spoil: bool = False, required: bool = True) -> Sounds | Images:
        """Return the inputs of clips, given as rows of the corpus's table; `spoil` is for those of training."""
        if self.config.modality == "sound":
            return Sounds(self.corpus, clips, spoil=spoil, seed=0)
        return Images(self.corpus, clips, self.config.image_size, spoil=spoil, required=required)

    @classmethod
    def prepare(
        cls, configs: Sequence[ClassifierConfig], corpus: Corpus | None, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Check the weights of ResNets, compute inputs, and return the baseline of the most frequent class."""
        corpus = require_corpus(corpus, cls)
        # Weights that can't be downloaded or read are an error now, not in the first epoch of every trial.
        for config in {(config.network, config.weights): config for config in configs}.values():
            make_network(config.modality, config.network, config.weights, len(corpus.classes))
        for size in dict.fromkeys(config.image_size for config in configs if config.modality == "image"):
            corpus.frames(size, progress)
        if any(config.modality == "sound" for config in configs):
            open_mels(corpus, progress)
        counts = np.bincount(corpus.labels(corpus.indices("train")), minlength=len(corpus.classes))
        labels = corpus.labels(corpus.indices("validation"))
        # All clips of a recording have the same class, so that the fraction of clips is about that of recordings.
        commonest = float((labels == counts.argmax()).mean())
        return [{"reference": "commonest class", "size": None, "val/accuracy": commonest}]

    def step(self) -> dict[str, float]:
        """Train one epoch, validate, and return the metrics."""
        return self._train_epoch() | self._validate()

    def _train_epoch(self) -> dict[str, float]:
        self.network.train()
        batches = self.batches.epoch(self.batches_per_epoch)
        means = finite_means(fetch_values([self._train_step(batch) for batch in batches]))
        return {**means, "optim/lr": float(self.optimizer.param_groups[0]["lr"])}

    def _train_step(self, batch: Batch) -> dict[str, Scalar]:
        """Make one optimizer step, skipped if loss or gradient isn't finite; return measurements on the device."""
        self.num_steps += 1
        warm_up(self.optimizer, self.config.lr, self.num_steps, self.config.warmup_steps)
        inputs = self.train.augment(batch, self._order).to(self.device)
        labels = torch.from_numpy(self.corpus.labels(self.train.clips[batch.positions.numpy()])).to(self.device)
        truth = F.one_hot(labels, len(self.corpus.classes)).float()
        if self.config.mixup > 0:
            # A Dirichlet distribution of two is a Beta distribution, and can draw from a generator.
            share = float(torch._sample_dirichlet(torch.full((2,), self.config.mixup), self._order)[0])
            inputs, truth = (share * batch + (1 - share) * batch.roll(1, dims=0) for batch in (inputs, truth))
        before = Buffers(self.network)
        loss = F.cross_entropy(self.network(inputs), truth, label_smoothing=self.config.label_smoothing)
        return {"loss": loss.detach(), "grad_norm": descend(self.optimizer, self.network, loss, before=before)}

    def _validate(self) -> dict[str, float]:
        table, loss = self._table(self.validation)
        return {
            "val/probability": float(table["probability"].mean()),
            "val/accuracy": float(table["accuracy"].mean()),
            "val/balanced_accuracy": float(table.groupby("class")["accuracy"].mean().mean()),
            "val/loss": loss,
        }

    @torch.no_grad()
    def _logits(self, examples: Sounds | Images) -> Logits:
        """Return the logits of all examples, on the CPU."""
        self.network.eval()
        parts = torch.arange(len(examples.clips)).split(BATCH_CLIPS)
        return torch.cat([self.network(examples.batch(part).to(self.device)).cpu() for part in parts])

    def _table(self, examples: Sounds | Images) -> tuple[pd.DataFrame, float]:
        """Return a table with a row for each recording, and the mean cross-entropy of clips in nats."""
        logits, labels = self._logits(examples), self.corpus.labels(examples.clips)
        recordings = self.corpus.clips["recording"].to_numpy(str)[examples.clips]
        verdict = score_recordings(logits.softmax(dim=1), labels, recordings)
        classes = self.corpus.clips.drop_duplicates("recording").set_index("recording")["class"]
        table = pd.DataFrame(
            {
                "recording": verdict.recordings,
                "class": classes.loc[verdict.recordings].to_numpy(),
                "probability": verdict.probability,
                "accuracy": verdict.is_right,
            }
        )
        return table, F.cross_entropy(logits, torch.from_numpy(labels)).item()

    def evaluate(self, split: Split) -> pd.DataFrame:
        """Return the probability of the true class and the accuracy, for each recording of a split."""
        return self._table(self._examples(self.corpus.indices(split)))[0]

    def render(self, probes: NDArray[np.int64]) -> Media:
        """Return the sounds and pictures of the probe clips, and the class that is predicted for each."""
        examples = self._examples(probes, required=False)
        if not len(examples.clips):
            return Media()
        probabilities = self._logits(examples).softmax(dim=1)
        names = [str(name) for name in self.corpus.clips["clip"].to_numpy()[examples.clips]]
        sounds = read_waveforms(self.corpus.waveforms(), examples.clips).numpy()
        pictures = {}
        if isinstance(examples, Images):
            photos = examples.batch(torch.arange(len(names)))
            pictures = {
                name: spectrogram_pictures.resize_photo(photo, spectrogram_pictures.HEIGHT_PX)
                for name, photo in zip(names, photos, strict=True)
            }
        truth = probabilities[torch.arange(len(names)), torch.from_numpy(self.corpus.labels(examples.clips))]
        predicted = [self.corpus.classes[int(index)] for index in probabilities.argmax(dim=1)]
        rows = []
        for name, label, chance in zip(names, predicted, truth.tolist(), strict=True):
            # `told` is the predicted class, under the name that it has in recorded tables.
            row: dict[str, str | float] = {"clip": name, "told": label, "probability": chance}
            if pictures:
                row["image"] = name
            rows.append(row)
        audio = {f"{name}_original": sound for name, sound in zip(names, sounds, strict=True)}
        return Media(audio, pictures, rows, rate_hz=self.corpus.rate_hz)

    def state_dict(self) -> dict[str, Any]:
        """Return config, classes, network, optimizer, number of steps and the state of the random generator."""
        network = self.network.body if isinstance(self.network, SoundNetwork) else self.network
        return {
            "config": self.config.model_dump(mode="json"),
            "classes": list(self.corpus.classes),
            "clip_samples": self.corpus.clip_format.samples,
            "network": network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "num_steps": self.num_steps,
            "order": self._order.get_state(),
            "batches": self.batches.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        network: nn.Module = self.network.body if isinstance(self.network, SoundNetwork) else self.network
        network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.num_steps = state["num_steps"]
        # Generators' states live on the CPU, wherever the checkpoint was loaded to.
        self._order.set_state(state["order"].cpu())
        self.batches.load_state_dict(state.get("batches", {}))
