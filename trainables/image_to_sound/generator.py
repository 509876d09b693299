"""Sounds for pictures, by a trained model of image_to_sound."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from trainables.components.assessment.media import limit_to_full_scale
from trainables.components.generation import Generated, Generator, Kind, Model, register_generator
from trainables.components.judges.networks import NETWORKS
from trainables.components.judges.sound_judge import Judge
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.representation.phase_rendering import render_magnitudes
from trainables.corpora.picture_files import read_picture
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import SoundFromPicture

KNOWN, SPREAD = "known", "spread"
MODEL, NORMALIZATION, JUDGE = "model.", "normalization.", "judge."


@register_generator("image_to_sound")
class SoundGenerator(Generator[Pictures]):
    """Takes a picture, and decodes the latents that its own leads to."""

    takes: ClassVar[Kind] = "image"
    makes: ClassVar[Kind] = "sound"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.config = ImageToSoundConfig(**model.settings["config"])
        tensors = model.tensors
        self.device = tensors[KNOWN].device
        # Its weights are in the state; a file of pretrained ones may be anywhere.
        self.model = SoundFromPicture(self.config, weights="none").to(self.device).eval()
        self.model.load_state_dict(model.part(MODEL))
        self.model.normalizer.load_state_dict({"magnitude": model.part(NORMALIZATION)})
        self.model.known, self.model.spread = tensors[KNOWN], tensors[SPREAD]
        network = NETWORKS["A"](len(self.classes))
        network.load_state_dict(model.part(JUDGE))
        self._judge = Judge(model.settings["judge"], network, self.device)

    def read(self, path: Path, at_s: float = 0.0) -> Pictures:
        return as_floats(torch.from_numpy(read_picture(path, self.config.image_size))[None])

    @torch.inference_mode()
    def generate(self, source: Pictures, *, count: int, seed: int) -> list[Generated]:
        """The first by the route as it was judged, the others by what else it could lead to.

        A route without a choice (decode) makes them all the same but for the first phase; there, the others are drawn
        around it.
        """
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")
        mean, log_variance = self.model.seen(source.to(self.device), autocast)
        route = self.config.route
        generator = torch.Generator().manual_seed(seed)
        first = self.model.routed((mean, log_variance), route, generator if route == "sample" else None)
        several = mean.expand(count - 1, -1), None if log_variance is None else log_variance.expand(count - 1, -1)
        others = self.model.routed(several, "sample" if route == "decode" else route, generator)
        log_power = self.model.log_power(torch.cat([first, others]), autocast)
        full = self.config.clip_representation.grid.to_full(log_power)
        sounds = render_magnitudes(full, self.config.phase)
        return self._told(
            [limit_to_full_scale(sound.cpu()) for sound in sounds], self._judge.hear_waveforms(sounds).cpu()
        )
