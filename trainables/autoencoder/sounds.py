"""Reconstructed sounds of an autoencoder, for the settings `phase`, `magnitude` and `clip_statistics`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.autoencoder.codec import Codec
from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.assessment.media import Rendered
from trainables.components.assessment.references import class_means
from trainables.components.audio.sizes import BINS, FRAMES
from trainables.components.audio.spectrogram import log_power
from trainables.components.representation.phase_rendering import Scene, TrainingClips
from trainables.components.representation.registries import PHASES
from trainables.components.representation.representation import ClipSplit
from trainables.components.shapes import Clips, FullSpectrograms
from trainables.corpora.features import clip_power


class Sounds:
    """Renders the reconstructions of clips as sounds.

    Args:
        config: the settings that the sounds are rendered with.
        codec: the trained networks and their normalizer.
        training_clips: the training clips, which some phases are taken from.
        device: where the networks run.
    """

    def __init__(
        self, config: AutoencoderConfig, codec: Codec, training_clips: TrainingClips, device: torch.device
    ) -> None:
        self._config = config
        self._codec = codec
        self._training_clips = training_clips
        self._device = device

    def render(self, clips: NDArray[np.int64]) -> Rendered:
        """Return magnitudes and sounds for clips, given as rows of the corpus's table."""
        representation = self._codec.representation
        split = ClipSplit(self._training_clips.corpus, representation, clips, self._device)
        target = self._codec.target(split.batch(torch.arange(len(clips))))
        restored = self._codec.restore(self._codec.estimate(target), target, self._config.clip_statistics)
        magnitudes = self._magnitudes(clips, restored)
        own_sound = (lambda: representation.own_sound(restored, magnitudes)) if self._config.phase == "own" else None
        sounds = PHASES[self._config.phase].sound(Scene(magnitudes, clips, self._training_clips, own_sound))
        return Rendered(magnitudes, sounds)

    def _magnitudes(self, clips: NDArray[np.int64], restored: Clips) -> FullSpectrograms:
        """Return the magnitudes that the setting `magnitude` names, as log-power in nats at full resolution."""
        corpus, grid = self._training_clips.corpus, self._codec.representation.grid
        if self._config.magnitude == "original":
            return log_power(clip_power(corpus.waveforms(), clips)).to(self._device)
        if self._config.magnitude == "class_mean":
            labels = torch.from_numpy(corpus.labels(clips))
            return grid.to_full(class_means(corpus, grid)[labels].to(self._device))
        return grid.to_full(restored[:, 0])

    @property
    def side_info_floats(self) -> int:
        """Numbers of each original clip that its sound is made with and that did not pass through the latent."""
        phase = PHASES[self._config.phase].side_info_floats
        if self._config.magnitude == "original":
            return phase + FRAMES * BINS
        if self._config.magnitude == "class_mean":
            # The class is one number; a phase that needs the class as well does not count it twice.
            return max(phase, 1)
        uses_own_statistics = self._config.clip_statistics == "own"
        return phase + (self._codec.normalizer.side_info_floats if uses_own_statistics else 0)
