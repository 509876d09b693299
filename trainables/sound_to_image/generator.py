"""Generates pictures for sounds with an exported model of sound_to_image, without its corpus."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio.spectrogram import dither_recordings, log_power, power
from trainables.components.generation import Generated, Generator, Kind, Model, register_generator
from trainables.components.judges.picture_judge import PictureJudge, PictureNetwork
from trainables.components.pictures.augmentation import as_bytes
from trainables.corpora.recordings import read_clip
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.generators import make_model

MODEL, JUDGE = "model.", "judge."
"""Prefixes of the tensors in an exported model."""

Sound = Float[Tensor, "1 samples"]


@register_generator("sound_to_image")
class PictureGenerator(Generator[Sound]):
    """Generates pictures from the condition that a clip of sound gives, and from noise."""

    takes: ClassVar[Kind] = "sound"
    makes: ClassVar[Kind] = "image"

    def __init__(self, model: Model) -> None:
        """Build the model and its judge from exported settings and tensors."""
        super().__init__(model)
        self.config = SoundToImageConfig(**model.settings["config"])
        weights = model.part(MODEL)
        self.device = next(iter(weights.values())).device
        self.model = make_model(self.config, len(self.classes)).to(self.device).eval()
        self.model.load_state_dict(weights)
        network = PictureNetwork("A", len(self.classes))
        network.load_state_dict(model.part(JUDGE))
        self._judge = PictureJudge(model.settings["judge"], network, self.device)

    def read(self, path: Path, at_s: float = 0.0) -> Sound:
        """Read a clip of a recording, from `at_s` on, as a batch of one."""
        return torch.from_numpy(read_clip(path, at_s, self.clip_format))[None]

    @torch.inference_mode()
    def generate(self, source: Sound, *, count: int, seed: int) -> list[Generated]:
        """Return `count` pictures for a sound, each from other noise; with `truncation: 0` they are all the same."""
        log_powers = log_power(power(dither_recordings(source.to(self.device)))).expand(count, -1, -1)
        pictures = self.model.generate(log_powers, torch.Generator().manual_seed(seed), self.config)
        contents = as_bytes(pictures.cpu()).permute(0, 2, 3, 1).numpy()
        return self._label(list(contents), self._judge.classify(pictures).cpu())
