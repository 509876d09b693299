"""How far what was generated is, as a whole, from what is real: of a judge's embeddings or of its probabilities.

Values of different judges are not comparable, nor are those published with other networks. Distances take the generated
clips first; a reference of real clips against others of them gives the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.errors import InputError

SHRINKAGE = 1e-6
"""Added to the variances, so that features that never vary have a defined covariance."""
SUBSETS, SUBSET_CLIPS = 100, 1000
NUM_BINS = 50
SIGNIFICANT_Z = 1.96
"""Two-sided at 0.05."""

Generated = Float[Tensor, "generated features"]
Reference = Float[Tensor, "reference features"]
Clips = Float[Tensor, "clips features"]
Covariance = Float[Tensor, "features features"]


def frechet_distance(generated: Generated, reference: Reference) -> float:
    """‖μ_g − μ_r‖² + tr(Σ_g + Σ_r − 2 (Σ_r^½ Σ_g Σ_r^½)^½): FID and FAD, on these features (Heusel et al., 2017).

    0 is perfect. Its bias grows with features / clips: compare at equal numbers of clips, best ten a feature or more.
    """
    _require_clips("the Fréchet distance", 2, len(generated), len(reference))
    if not generated.isfinite().all():
        return math.nan
    generated, reference = generated.double(), reference.double()
    mean_term = (generated.mean(dim=0) - reference.mean(dim=0)).square().sum()
    covariance, reference_covariance = _covariance(generated), _covariance(reference)
    # The symmetric form has real eigenvalues, which the root of a product of two covariances need not.
    root = _root(reference_covariance)
    shared = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=0).sqrt().sum()
    return float(mean_term + (covariance + reference_covariance).trace() - 2 * shared)


def frechet_distance_infinity(generated: Generated, reference: Reference, *, seed: int = 0) -> float:
    """What `frechet_distance` would be of endless generated clips: its bias is ∝ 1 / N (Chong and Forsyth, 2020).

    The line through its values at N clips and, averaged over two halves, at N / 2, followed to 1 / N = 0. It may fall
    below 0, and with less than five clips a feature it is systematically too low.
    """
    _require_clips("the Fréchet distance of two halves", 4, len(generated))
    order = torch.randperm(len(generated), generator=torch.Generator().manual_seed(seed))
    halves = [frechet_distance(half, reference) for half in generated[order].tensor_split(2)]
    return 2 * frechet_distance(generated, reference) - sum(halves) / 2


def kernel_distance(generated: Generated, reference: Reference, *, seed: int = 0) -> float:
    """Unbiased MMD² with the kernel (x · y / d + 1)³: KID (Bińkowski et al., 2018).

    0 is perfect on average, however few the clips: it may fall below 0. More than 1,000 clips are compared by the mean
    over 100 subsets of 1,000.
    """
    _require_clips("the kernel distance", 2, len(generated), len(reference))
    generated, reference = generated.double(), reference.double()
    if max(len(generated), len(reference)) <= SUBSET_CLIPS:
        return float(_squared_discrepancy(generated, reference))
    generator = torch.Generator().manual_seed(seed)
    discrepancies = [
        _squared_discrepancy(_subset(generated, generator), _subset(reference, generator)) for _ in range(SUBSETS)
    ]
    return float(torch.stack(discrepancies).mean())


def inception_score(probabilities: Float[Tensor, "clips classes"]) -> float:
    """exp E KL(p(y|x) ‖ p(y)), from 1 to the number of classes (Salimans et al., 2016).

    It is highest when every clip is surely of a class and every class is as frequent. It knows nothing of real clips.
    """
    _require_clips("the inception score", 1, len(probabilities))
    probabilities = probabilities.double()
    # The divergence is what is unsure of all clips together less what is unsure of each.
    entropy, conditional = (
        torch.special.entr(distribution).sum(dim=-1) for distribution in (probabilities.mean(dim=0), probabilities)
    )
    return float((entropy - conditional.mean()).exp())


@dataclass(frozen=True)
class Bins:
    """How many generated and how many reference clips lie in each bin of the reference (Richardson and Weiss, 2018)."""

    generated: NDArray[np.int64]
    reference: NDArray[np.int64]

    @property
    def num_different(self) -> int:
        """Bins whose proportions differ in a two-proportion z-test at 0.05: one in twenty does by chance."""
        first, second = self._proportions
        pooled = (self.generated + self.reference) / (self.generated.sum() + self.reference.sum())
        variance = pooled * (1 - pooled) * (1 / self.generated.sum() + 1 / self.reference.sum())
        return int(((first - second) ** 2 > SIGNIFICANT_Z**2 * variance).sum())

    @property
    def fraction_different(self) -> float:
        """NDB / K: 0 is best, 1 worst."""
        return self.num_different / len(self.reference)

    @property
    def divergence_bits(self) -> float:
        """Jensen-Shannon divergence of the proportions: 0 is best, 1 bit worst."""
        first, second = self._proportions
        return _entropy_bits((first + second) / 2) - (_entropy_bits(first) + _entropy_bits(second)) / 2

    @property
    def _proportions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.generated / self.generated.sum(), self.reference / self.reference.sum()


def count_bins(generated: Generated, reference: Reference, *, num_bins: int = NUM_BINS, seed: int = 0) -> Bins:
    """Count clips in the bins that k-means finds in the reference; each should get ten reference clips or more."""
    # Trials that don't ask for bins don't have to wait for scipy.
    from scipy.cluster.vq import kmeans2, vq

    _require_clips("bins", 1, len(generated))
    _require_clips(f"{num_bins} bins", num_bins, len(reference))
    clips, reference_clips = (features.double().cpu().numpy() for features in (generated, reference))
    centres, of_reference = kmeans2(reference_clips, num_bins, minit="++", rng=seed)
    of_generated, _ = vq(clips, centres)
    return Bins(np.bincount(of_generated, minlength=num_bins), np.bincount(of_reference, minlength=num_bins))


def diversity(
    generated: Generated,
    reference: Reference,
    generated_labels: NDArray[np.int64],
    reference_labels: NDArray[np.int64],
) -> float:
    """Mean cosine distance between generated clips of a class as a part of that between real ones, 1 being as diverse.

    0 when all of a class are the same. Both are averaged over the classes of which there are two clips on either side.
    """
    ours, real = _mean_distances(generated, generated_labels), _mean_distances(reference, reference_labels)
    shared = sorted(ours.keys() & real.keys())
    if not shared:
        raise InputError("diversity: no class has two generated and two real clips; give more clips")
    return sum(ours[label] for label in shared) / max(sum(real[label] for label in shared), 1e-12)


def _require_clips(metric: str, at_least: int, *counts: int) -> None:
    if min(counts) < at_least:
        raise InputError(f"{metric}: {min(counts)} clips are too few; give {at_least} or more")


def _covariance(clips: Clips) -> Covariance:
    return clips.T.cov() + SHRINKAGE * torch.eye(clips.shape[1], dtype=clips.dtype, device=clips.device)


def _root(covariance: Covariance) -> Covariance:
    values, vectors = torch.linalg.eigh(covariance)
    root: Covariance = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _subset(clips: Clips, generator: torch.Generator) -> Float[Tensor, "drawn features"]:
    return clips[torch.randperm(len(clips), generator=generator)[:SUBSET_CLIPS]]


def _squared_discrepancy(generated: Generated, reference: Reference) -> Float[Tensor, ""]:
    within = _mean_between_different(generated) + _mean_between_different(reference)
    return within - 2 * _kernel(generated, reference).mean()


def _mean_between_different(clips: Clips) -> Float[Tensor, ""]:
    kernel = _kernel(clips, clips)
    return (kernel.sum() - kernel.trace()) / (len(clips) * (len(clips) - 1))


def _kernel(
    first: Float[Tensor, "first features"], second: Float[Tensor, "second features"]
) -> Float[Tensor, "first second"]:
    return (first @ second.T / first.shape[1] + 1).pow(3)


def _entropy_bits(proportions: NDArray[np.float64]) -> float:
    occupied = proportions[proportions > 0]
    return float(-(occupied * np.log2(occupied)).sum())


def _mean_distances(clips: Clips, labels: NDArray[np.int64]) -> dict[int, float]:
    """Mean cosine distance between different clips of each class that has two."""
    unique_labels, counts = np.unique(labels, return_counts=True)
    return {
        int(label): _mean_distance(clips[torch.from_numpy(labels == label)]) for label in unique_labels[counts >= 2]
    }


def _mean_distance(clips: Clips) -> float:
    units = F.normalize(clips.double(), dim=1)
    # ‖Σ u‖² is the sum of the products of all pairs, those of each clip with itself included.
    products = units.sum(dim=0).square().sum() - units.square().sum()
    return float(1 - products / (len(clips) * (len(clips) - 1)))
