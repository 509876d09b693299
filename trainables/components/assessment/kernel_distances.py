"""The unbiased squared maximum mean discrepancy (MMD²) of two sets of embeddings, also of parts of one of them.

Kernels are computed in chunks, and only their sums are kept: a matrix of all pairs would fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trainables.components.assessment.distributions import require_clips

CHUNK_CLIPS = 512
SUBSET_CLIPS = 1000
"""KID compares at most so many clips of each side."""

Generated = Float[Tensor, "generated features"]
Reference = Float[Tensor, "reference features"]
Kernel = Callable[[Tensor, Tensor], Tensor]
"""A function of the clips (rows) and of others (columns) that returns the kernel of all pairs."""


def cubic_kernel(
    first: Float[Tensor, "first features"], second: Float[Tensor, "second features"]
) -> Float[Tensor, "first second"]:
    """Return (x · y / d + 1)³, the kernel of KID (Bińkowski et al., 2018)."""
    return (first @ second.T / first.shape[1] + 1).pow(3)


def gaussian_kernel(bandwidth: float) -> Kernel:
    """Return exp(−‖x − y‖² / 2 bandwidth²) as a function of x and y."""

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        distances = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
        return (-distances.square() / (2 * bandwidth**2)).exp()

    return kernel


class KernelDistance:
    """The MMD² between generated and reference clips, for any choice of the folds that generated clips are in.

    Its expected value for equal distributions is 0 for any number of clips, so that it may be negative.

    Args:
        generated: embeddings of generated clips.
        reference: embeddings of real clips.
        kernel: of two sets of clips.
        folds: the number of each generated clip's fold, from 0; None if all are in one.
    """

    def __init__(
        self,
        generated: Generated,
        reference: Reference,
        kernel: Kernel,
        folds: Int64[Tensor, " generated"] | None = None,
    ) -> None:
        generated, reference = generated.double(), reference.double()
        folds = torch.zeros(len(generated), dtype=torch.int64) if folds is None else folds
        is_in_fold = F.one_hot(folds).to(generated)
        self._counts = is_in_fold.sum(dim=0)
        self._within = _sum_within(generated, is_in_fold, kernel)
        self._across = sum(
            members.T @ kernel(part, reference).mean(dim=1)
            for part, members in zip(generated.split(CHUNK_CLIPS), is_in_fold.split(CHUNK_CLIPS), strict=True)
        )
        total = _sum_within(reference, reference.new_ones(len(reference), 1), kernel)
        self._within_reference = total.sum() / (len(reference) * (len(reference) - 1))

    def of_folds(self, folds: Iterable[int]) -> float:
        """Return the MMD² of those generated clips that are in some folds; there have to be two or more."""
        chosen = torch.tensor([*folds], device=self._counts.device)
        count = self._counts[chosen].sum()
        within = self._within[chosen][:, chosen].sum() / (count * (count - 1))
        return float(within + self._within_reference - 2 * self._across[chosen].sum() / count)

    def of_all(self) -> float:
        """Return the MMD² of all generated clips."""
        return self.of_folds(range(len(self._counts)))


def _sum_within(
    clips: Float[Tensor, "clips features"], is_in_fold: Float[Tensor, "clips folds"], kernel: Kernel
) -> Float[Tensor, "folds folds"]:
    """Return the sums of the kernel over the pairs of different clips, by their folds."""
    sums = clips.new_zeros(is_in_fold.shape[1], is_in_fold.shape[1])
    for start in range(0, len(clips), CHUNK_CLIPS):
        rows = slice(start, start + CHUNK_CLIPS)
        values = kernel(clips[rows], clips)
        values[torch.arange(len(values)), torch.arange(start, start + len(values))] = 0
        sums += is_in_fold[rows].T @ values @ is_in_fold
    return sums


def kernel_distance(generated: Generated, reference: Reference) -> float:
    """Compute the kernel distance KID: the MMD² with the kernel (x · y / d + 1)³ (Bińkowski et al., 2018).

    Raises:
        InputError: there are fewer than two clips on either side.
    """
    require_clips("the kernel distance", 2, len(generated), len(reference))
    return KernelDistance(generated, reference, cubic_kernel).of_all()


def choose_subset(count: int) -> Int64[Tensor, " chosen"]:
    """Draw the clips that KID compares of so many: always the same ones, at most 1,000."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:SUBSET_CLIPS]
