"""Reconstructs sounds with an exported autoencoder, without its corpus."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from trainables.autoencoder.codec import Codec, make_bottleneck
from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.sounds import Sounds
from trainables.components.assessment.media import limit_to_full_scale
from trainables.components.audio.clip import ClipFormat
from trainables.components.generation import Generated, Generator, Kind, Model, register_generator
from trainables.components.judges.networks import NETWORKS
from trainables.components.judges.sound_judge import Judge
from trainables.components.representation.normalizer import Normalizer, RidgeRegression
from trainables.components.shapes import Waveforms
from trainables.corpora.recordings import read_clip

NETWORK, NORMALIZATION, STATISTICS, JUDGE = "networks.", "normalization.", "statistics.", "judge."
"""Prefixes of the tensors in an exported model."""


class ExportedCodec(Codec):
    """The codec of an exported model: it is loaded, not fitted, and needs no training clips."""

    def __init__(self, config: AutoencoderConfig, model: Model, device: torch.device) -> None:
        """Load the networks and the normalization.

        Args:
            config: the settings of the trial.
            model: what `exported` of the trainable returned.
            device: where the networks run.
        """
        self.representation = config.clip_representation
        self.normalizer = Normalizer(config.normalizations, self.representation.parts)
        clip_frames = ClipFormat.from_settings(model.settings).frames
        self.networks = make_bottleneck(config, clip_frames=clip_frames).to(device).eval()
        self._config = config
        self._device = device
        normalization = {part: model.part(f"{NORMALIZATION}{part}.") for part in self.representation.parts}
        self.load_state_dict({"networks": model.part(NETWORK), "normalization": normalization})
        statistics = model.part(STATISTICS)
        self._regression = RidgeRegression(**statistics) if statistics else None

    @property
    def statistics_regression(self) -> RidgeRegression | None:
        """The regression that was exported with the networks."""
        return self._regression


@register_generator("autoencoder")
class ReconstructionGenerator(Generator[Waveforms]):
    """Encodes a clip of sound, decodes the mean of its latent, and renders it as the trial does."""

    takes: ClassVar[Kind] = "sound"
    makes: ClassVar[Kind] = "sound"

    def __init__(self, model: Model) -> None:
        """Build the codec and its judge from exported settings and tensors."""
        super().__init__(model)
        config = AutoencoderConfig(**model.settings["config"])
        self.device = next(iter(model.tensors.values())).device
        self._sounds = Sounds(config, ExportedCodec(config, model, self.device), None, self.device)
        network = NETWORKS["A"](len(self.classes))
        network.load_state_dict(model.part(JUDGE))
        self._judge = Judge(model.settings["judge"], network, self.device)

    def read(self, path: Path, at_s: float = 0.0) -> Waveforms:
        """Read a clip of a recording, from `at_s` on, as a batch of one."""
        return torch.from_numpy(read_clip(path, at_s, self.clip_format))[None]

    @torch.inference_mode()
    def generate(self, source: Waveforms, *, count: int, seed: int) -> list[Generated]:
        """Return the reconstruction of a sound: one sound, whatever `count` and `seed` are."""
        sounds = self._sounds.render_waveforms(source.to(self.device)).sounds
        contents = [limit_to_full_scale(sound.cpu()) for sound in sounds]
        return self._label(contents, self._judge.classify_waveforms(sounds).cpu())
