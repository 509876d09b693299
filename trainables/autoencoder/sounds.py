"""Reconstructed sounds of an autoencoder, for the settings `phase`, `magnitude` and `clip_statistics`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.autoencoder.codec import Codec
from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.assessment.media import Rendered
from trainables.components.assessment.references import class_means
from trainables.components.audio.sizes import BINS
from trainables.components.audio.spectrogram import dither_recordings, log_power, power
from trainables.components.representation.registries import PHASES
from trainables.components.representation.representation import ClipSplit
from trainables.components.representation.scene import Scene, TrainingClips
from trainables.components.shapes import Clips, FullSpectrograms, Waveforms
from trainables.corpora.features import clip_power
from trainables.errors import InputError


class Sounds:
    """Renders the reconstructions of clips as sounds.

    Args:
        config: the settings that the sounds are rendered with.
        codec: the trained networks and their normalizer.
        training_clips: the training clips, which some phases are taken from; None where there is no corpus.
        device: where the networks run.
    """

    def __init__(
        self, config: AutoencoderConfig, codec: Codec, training_clips: TrainingClips | None, device: torch.device
    ) -> None:
        self._config = config
        self._codec = codec
        self._training_clips = training_clips
        self._device = device

    def render(self, clips: NDArray[np.int64]) -> Rendered:
        """Return magnitudes and sounds for clips, given as rows of the corpus's table."""
        assert self._training_clips is not None, "only clips of a corpus have rows"
        split = ClipSplit(self._training_clips.corpus, self._codec.representation, clips, self._device)
        return self._render(split.batch(torch.arange(len(clips))), clips, None)

    def render_waveforms(self, waveforms: Waveforms) -> Rendered:
        """Return magnitudes and sounds for sounds that need not be of the corpus.

        Args:
            waveforms: one clip each, samples within ±1 at the rate of the training clips, on the device.

        Raises:
            InputError: a setting takes a part of the sounds from the corpus.
        """
        representation = self._codec.representation
        prepared = dither_recordings(waveforms) if representation.grid.is_dithered else waveforms
        # The cache of features has half precision, and the networks were trained on it.
        features = [feature.compute(prepared).half().float() for feature in representation.features]
        return self._render(representation.assemble(features), np.empty(0, np.int64), waveforms)

    def _render(self, batch: Clips, clips: NDArray[np.int64], originals: Waveforms | None) -> Rendered:
        """Render a batch: the clips of these rows of the corpus's table, or sounds that have no row."""
        representation = self._codec.representation
        target = self._codec.target(batch)
        restored = self._codec.restore(self._codec.estimate(target), target, self._config.clip_statistics)
        magnitudes = self._magnitudes(clips, restored, originals)
        own_sound = (lambda: representation.own_sound(restored, magnitudes)) if self._config.phase == "own" else None
        scene = Scene(magnitudes, clips, self._training_clips, own_sound, originals)
        try:
            return Rendered(magnitudes, PHASES[self._config.phase].sound(scene))
        except InputError as error:
            raise InputError(
                f"phase: {self._config.phase} {error}; train with another phase, such as griffin_lim"
            ) from error

    def _magnitudes(self, clips: NDArray[np.int64], restored: Clips, originals: Waveforms | None) -> FullSpectrograms:
        """Return the magnitudes that the setting `magnitude` names, as log-power in nats at full resolution."""
        grid = self._codec.representation.grid
        if self._config.magnitude == "own":
            return grid.to_full(restored[:, 0])
        if self._config.magnitude == "original" and originals is not None:
            return log_power(power(dither_recordings(originals)))
        if self._training_clips is None:
            raise InputError(
                "magnitude: class_mean needs the class of a clip, which is unknown for other sounds than the corpus's;"
                " train with magnitude: own"
            )
        corpus = self._training_clips.corpus
        if self._config.magnitude == "original":
            return log_power(clip_power(corpus.waveforms(), clips)).to(self._device)
        labels = torch.from_numpy(corpus.labels(clips))
        return grid.to_full(class_means(corpus, grid)[labels].to(self._device))

    @property
    def side_info_floats(self) -> int:
        """Numbers of each original clip that its sound is made with and that did not pass through the latent."""
        assert self._training_clips is not None, "only clips of a corpus are evaluated"
        full_frames = self._training_clips.corpus.clip_format.frames
        phase = PHASES[self._config.phase].count_side_info(full_frames)
        if self._config.magnitude == "original":
            return phase + full_frames * BINS
        if self._config.magnitude == "class_mean":
            # The class is one number; a phase that needs the class as well does not count it twice.
            return max(phase, 1)
        uses_own_statistics = self._config.clip_statistics == "own"
        return phase + (self._codec.normalizer.side_info_floats if uses_own_statistics else 0)
