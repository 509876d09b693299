"""Training clips whose waveforms are augmented anew whenever they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from trainables.components.audio import spectrogram
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.representation.representation import ClipSplit, Representation
from trainables.components.shapes import Clips
from trainables.components.training.batches import Batch
from trainables.corpora.features import scale_samples
from trainables.corpora.shards.rows import SplitRows

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

    Attributes:
        columns: what is read: the waveforms, or the features.
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
        self._representation = representation
        self._augmentations = [WAVEFORM_AUGMENTATIONS[name] for name in names]
        self._device = device
        self.columns: Sequence[SplitRows] = split.columns
        if self._augmentations:
            # Augmentations run on the processor.
            processor = torch.device("cpu")
            self.columns = [SplitRows(corpus.waveforms(), split.clips, processor, most_bytes=corpus.in_memory_bytes)]

    def assemble(self, batch: Batch, generator: torch.Generator) -> Clips:
        """Return the clips of a batch of the columns.

        Args:
            batch: the batch.
            generator: the source of randomness, on the processor. Without augmentations nothing is drawn from it.
        """
        if not self._augmentations:
            return self._split.assemble(batch.rows)
        sounds = scale_samples(batch.rows[0].numpy())
        for augment in self._augmentations:
            sounds = augment(sounds, generator)
        sounds = sounds.to(self._device)
        if self._representation.grid.is_dithered:
            sounds = spectrogram.dither(sounds, torch.from_numpy(self._split.clips[batch.positions.numpy()]))
        # Rounded as the features in the cache are, which all else is computed from.
        return self._representation.assemble(
            [feature.compute(sounds).half().float() for feature in self._representation.features]
        )
