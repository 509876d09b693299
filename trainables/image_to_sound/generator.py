"""Exports a model of image_to_sound, and generates sounds for pictures with it, without its corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from trainables.components.assessment.media import limit_to_full_scale
from trainables.components.generation import Generated, Generator, Kind, Model, register_generator
from trainables.components.judges.networks import NETWORKS
from trainables.components.judges.sound_judge import Judge, open_judge
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.representation.phase_rendering import render_magnitudes
from trainables.corpora.picture_files import read_picture
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import DRAWN_ROUTES, SoundFromPicture

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

TRAIN_LATENTS, PAIR_DEVIATION = "known", "spread"
"""Names of the two tensors in an exported model."""
MODEL, NORMALIZATION, JUDGE = "model.", "normalization.", "judge."
"""Prefixes of the other tensors."""


def export_model(trained: SoundFromPicture, config: ImageToSoundConfig, corpus: Corpus) -> Model:
    """Return a trained model, its normalization, its latents of training sounds and its judge, for `SoundGenerator`.

    Args:
        trained: the model.
        config: its settings, of which `evaluate:` may have changed those of its rendering.
        corpus: has the classes and the judge.
    """
    judge = open_judge(corpus)
    parts = {
        MODEL: trained.state_dict(),
        NORMALIZATION: trained.normalizer.state_dict()["magnitude"],
        JUDGE: judge.state_dict(),
        "": {TRAIN_LATENTS: trained.train_latents, PAIR_DEVIATION: trained.pair_deviation},
    }
    settings = {
        "config": config.model_dump(mode="json"),
        "classes": list(corpus.classes),
        **corpus.clip_format.settings,
        "judge": judge.id,
    }
    tensors = {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
    return Model("image_to_sound", settings, tensors)


@register_generator("image_to_sound")
class SoundGenerator(Generator[Pictures]):
    """Encodes a picture, chooses latents by the model's route, and decodes them into sounds."""

    takes: ClassVar[Kind] = "image"
    makes: ClassVar[Kind] = "sound"

    def __init__(self, model: Model) -> None:
        """Build the model and its judge.

        Args:
            model: what `exported` of the trainable returned.
        """
        super().__init__(model)
        self.config = ImageToSoundConfig(**model.settings["config"])
        tensors = model.tensors
        self.device = tensors[TRAIN_LATENTS].device
        # The state has all weights; the file of pretrained ones, which the settings name, may no longer exist.
        clip_frames = self.clip_format.frames
        self.model = SoundFromPicture(self.config, weights="none", clip_frames=clip_frames).to(self.device).eval()
        self.model.load_state_dict(model.part(MODEL))
        self.model.normalizer.load_state_dict({"magnitude": model.part(NORMALIZATION)})
        self.model.train_latents = tensors[TRAIN_LATENTS]
        self.model.pair_deviation = tensors[PAIR_DEVIATION]
        network = NETWORKS["A"](len(self.classes))
        network.load_state_dict(model.part(JUDGE))
        self._judge = Judge(model.settings["judge"], network, self.device)

    def read(self, path: Path, at_s: float = 0.0) -> Pictures:
        """Read a picture file as a batch of one; `at_s` is ignored."""
        return as_floats(torch.from_numpy(read_picture(path, self.config.image_size))[None])

    @torch.inference_mode()
    def generate(self, source: Pictures, *, count: int, seed: int) -> list[Generated]:
        """Return `count` sounds for a picture: the first as trials are judged, the others with random choices.

        The route `decode` is deterministic, so that its other sounds are sampled around the picture's latent.
        """
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")
        mean, log_variance = self.model.encode_pictures(source.to(self.device), autocast)
        route = self.config.route
        generator = torch.Generator().manual_seed(seed)
        first = self.model.apply_route((mean, log_variance), route, generator if route in DRAWN_ROUTES else None)
        other_variances = None if log_variance is None else log_variance.expand(count - 1, -1)
        repeated = mean.expand(count - 1, -1), other_variances
        others = self.model.apply_route(repeated, "sample" if route == "decode" else route, generator)
        log_power = self.model.decode_log_power(torch.cat([first, others]), autocast)
        full = self.config.clip_representation.grid.to_full(log_power)
        sounds = render_magnitudes(full, self.config.phase)
        contents = [limit_to_full_scale(sound.cpu()) for sound in sounds]
        return self._label(contents, self._judge.classify_waveforms(sounds).cpu())
