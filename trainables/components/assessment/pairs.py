"""Pairs of a picture and a clip of sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.representation.representation import Clips, ClipSplit, Representation
from trainables.corpora.pictures import select_visible

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


class PairSplit:
    """Those clips of some that can be seen too, drawn in batches."""

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
        """Args:
        required: whether it is an error that none of them can be seen.
        """
        self._pictures = corpus.frames(picture_size)
        self._device = device
        self.clips = select_visible(corpus, self._pictures, clips, required=required)
        self.labels = torch.from_numpy(corpus.labels(self.clips))
        self.recordings = corpus.clips["recording"].to_numpy(str)[self.clips]
        self._sounds = ClipSplit(corpus, representation, self.clips, device)

    def __len__(self) -> int:
        return len(self.clips)

    def pictures(self, positions: Int64[Tensor, " pairs"]) -> Pictures:
        """The pictures at these positions, on the device."""
        return as_floats(torch.from_numpy(self._pictures[self.clips[positions.numpy()]]).to(self._device))

    def sounds(self, positions: Int64[Tensor, " pairs"]) -> Clips:
        """The clips at these positions, on the device: log-power in nats."""
        return self._sounds.batch(positions)

    def one_a_recording(self) -> Int64[Tensor, " recordings"]:
        """The position of each recording's first pair."""
        return torch.from_numpy(np.sort(np.unique(self.recordings, return_index=True)[1]))
