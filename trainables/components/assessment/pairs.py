"""Pairs of a picture and a sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.representation.representation import ClipSplit, Representation
from trainables.components.shapes import Clips
from trainables.corpora.pictures import select_visible
from trainables.corpora.shards.rows import SplitRows

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


class PairSplit:
    """The clips of one split that have a picture, read in batches.

    Args:
        corpus: provides sounds and pictures.
        representation: of the sounds.
        clips: the rows of the corpus's table that belong to the split; those without a picture are left out.
        picture_size: height and width in pixels.
        device: where batches are returned.
        required: whether a split without any picture is an error.

    Attributes:
        clips: the rows of the pairs.
        labels: their classes.
        recordings: the names of their recordings.
        recording_numbers: the same names as numbers.
        shape: channels, frames and bins of a sound in the representation.
        pictures_column: the pictures, as they are read.
        columns: the pictures and all that sounds are assembled from.

    Raises:
        InputError: no clip has a picture, and `required` is set.
    """

    def __init__(
        self,
        corpus: Corpus,
        representation: Representation,
        clips: NDArray[np.int64],
        picture_size: int,
        device: torch.device,
        *,
        required: bool = True,
    ) -> None:
        pictures = corpus.frames(picture_size)
        self._device = device
        self.clips = select_visible(corpus, pictures, clips, required=required)
        self.pictures_column = SplitRows(pictures, self.clips, device, most_bytes=corpus.in_memory_bytes)
        self.labels = torch.from_numpy(corpus.labels(self.clips))
        self.recordings = corpus.clips["recording"].to_numpy(str)[self.clips]
        self.recording_numbers = torch.from_numpy(np.unique(self.recordings, return_inverse=True)[1].astype(np.int64))
        self._sounds = ClipSplit(corpus, representation, self.clips, device)
        self.columns = [self.pictures_column, *self._sounds.columns]
        self.shape = self._sounds.shape

    def __len__(self) -> int:
        return len(self.clips)

    def pictures(self, positions: Int64[Tensor, " pairs"]) -> Pictures:
        """Return the pictures at these positions within the pairs."""
        return as_floats(self.pictures_column.take(positions))

    def sounds(self, positions: Int64[Tensor, " pairs"]) -> Clips:
        """Return the sounds at these positions within the pairs, in the representation."""
        return self._sounds.batch(positions)

    def assemble(self, rows: Sequence[Tensor]) -> tuple[Pictures, Clips]:
        """Return the pictures and the sounds of which the columns have these rows."""
        pictures, *sounds = rows
        return as_floats(pictures), self._sounds.assemble(sounds)

    def identify(self, positions: Int64[Tensor, " pairs"]) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
        """Return the class of each pair at these positions, and the number of its recording, on the device."""
        return self.labels[positions].to(self._device), self.recording_numbers[positions].to(self._device)

    def first_of_each_recording(self) -> Int64[Tensor, " recordings"]:
        """Return the position of the first pair of each recording."""
        return torch.from_numpy(np.sort(np.unique(self.recordings, return_index=True)[1]))
