"""The pairs of sound_to_image: pictures, and the conditions of their sounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.pairs import PairSplit
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.training.batches import Batch
from trainables.corpora.shards.rows import SplitRows
from trainables.sound_to_image.model import Conditions, PictureFromSound

CONDITION_CLIPS = 256


class HeardClips:
    """The conditions of a corpus's clips, computed from their log-mels with the condition network as it is.

    Args:
        model: has the condition network.
        mels: the log-mels of all clips of the corpus (`judges.log_mels.open_mels`).
        device: the device of the model.
        most_bytes: the size up to which the log-mels of a split fit into memory.
    """

    def __init__(
        self, model: PictureFromSound, mels: NDArray[np.float16], device: torch.device, *, most_bytes: int
    ) -> None:
        self._model = model
        self._mels = mels
        self._device = device
        self._most_bytes = most_bytes

    def column(self, clips: NDArray[np.int64]) -> SplitRows:
        """Return the log-mels of a split's clips, as they are read."""
        return SplitRows(self._mels, clips, self._device, most_bytes=self._most_bytes)

    @torch.no_grad()
    def set_feature_statistics(self, clips: NDArray[np.int64]) -> None:
        """Set the model's mean and deviation of features from some clips."""
        self._model.set_feature_statistics(torch.cat([self._model.encode_sounds(mel)[0] for mel in self._parts(clips)]))

    @torch.no_grad()
    def conditions(self, clips: NDArray[np.int64]) -> Conditions:
        """Return the conditions of clips, without gradients."""
        return torch.cat([self._model.make_conditions(mel) for mel in self._parts(clips)])

    def differentiable_conditions(self, mels: Float[Tensor, "clips frames 64"]) -> Conditions:
        """Return the conditions of one batch of log-mels, through which the condition network can be trained."""
        return self._model.make_conditions(mels.float())

    def _mel(self, clips: NDArray[np.int64]) -> Float[Tensor, "clips frames 64"]:
        return torch.from_numpy(self._mels[clips].astype(np.float32)).to(self._device)

    def _parts(self, clips: NDArray[np.int64]) -> Iterator[Float[Tensor, "clips frames 64"]]:
        return (self._mel(part) for part in np.split(clips, range(CONDITION_CLIPS, len(clips), CONDITION_CLIPS)))


class ConditionedPairs:
    """Pairs of a picture and a condition, read in batches.

    Args:
        pairs: of one split.
        heard: computes conditions.
        keeps_conditions: whether the condition network is never trained, so that its output is computed once.

    Attributes:
        device: where batches are returned.
        columns: the pictures and, if the condition network is trained, the log-mels of the sounds.
    """

    def __init__(self, pairs: PairSplit, heard: HeardClips, device: torch.device, *, keeps_conditions: bool) -> None:
        self.device = device
        self._pairs = pairs
        self._heard = heard
        self._keeps_conditions = keeps_conditions
        self._kept: Conditions | None = None
        self.columns = [pairs.pictures_column, *([] if keeps_conditions else [heard.column(pairs.clips)])]

    def forget_conditions(self) -> None:
        """Compute the conditions again, after the weights of the condition network were loaded."""
        self._kept = None

    def __len__(self) -> int:
        return len(self._pairs)

    def pictures(self, positions: Int64[Tensor, " pairs"]) -> Pictures:
        """Return the pictures at these positions, within −1..1."""
        return self._pairs.pictures(positions)

    def assemble(self, batch: Batch) -> tuple[Pictures, Conditions]:
        """Return the pictures and the conditions of a batch, with gradients if the condition network is trained."""
        pictures, *mels = batch.rows
        if mels:
            return as_floats(pictures), self._heard.differentiable_conditions(mels[0])
        return as_floats(pictures), self.all_conditions()[batch.positions.to(self.device)]

    def all_conditions(self) -> Conditions:
        """Return the conditions of all sounds, without gradients."""
        if not self._keeps_conditions:
            return self._heard.conditions(self._pairs.clips)
        if self._kept is None:
            self._kept = self._heard.conditions(self._pairs.clips)
        return self._kept

    def recording_numbers(self, positions: Int64[Tensor, " pairs"]) -> Int64[Tensor, " pairs"]:
        """Return the number of the recording of each pair at these positions, on the CPU."""
        return self._pairs.recording_numbers[positions]
