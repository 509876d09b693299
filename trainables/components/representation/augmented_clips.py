"""Training clips whose waveforms are augmented anew whenever they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.representation.representation import ClipSplit, Representation
from trainables.components.shapes import Clips
from trainables.corpora.features import read_waveforms

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


class AugmentedClips:
    """The clips of a split; their features are computed from augmented waveforms, or read if nothing is augmented.

    Args:
        corpus: provides the waveforms.
        representation: of the clips.
        split: the clips as they are.
        names: the names of the augmentations, in the order in which they are applied.
        device: where batches are returned.
    """

    def __init__(
        self,
        corpus: Corpus,
        representation: Representation,
        split: ClipSplit,
        names: Sequence[str],
        device: torch.device,
    ) -> None:
        self._split = split
        self._waveforms = corpus.waveforms()
        self._representation = representation
        self._augmentations = [WAVEFORM_AUGMENTATIONS[name] for name in names]
        self._device = device

    def batch(self, positions: Int64[Tensor, " clips"], generator: torch.Generator) -> Clips:
        """Return the clips at these positions within the split.

        Args:
            positions: the positions.
            generator: the source of randomness, on the processor. Without augmentations nothing is drawn from it.
        """
        if not self._augmentations:
            return self._split.batch(positions)
        rows = self._split.clips[positions.numpy()]
        sounds = read_waveforms(self._waveforms, rows)
        for augment in self._augmentations:
            sounds = augment(sounds, generator)
        sounds = sounds.to(self._device)
        if self._representation.grid.is_dithered:
            sounds = spectrogram.dither(sounds, torch.from_numpy(rows))
        # Rounded as the features in the cache are, which all else is computed from.
        return self._representation.assemble(
            [feature.compute(sounds).half().float() for feature in self._representation.features]
        )
