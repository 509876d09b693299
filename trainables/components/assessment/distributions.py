"""Distances between the distributions of generated and real clips, from a judge's embeddings or probabilities.

Values are comparable only for the same judge: not between judges, nor with published values from other networks.
Distances take the generated clips first. The distance between two disjoint sets of real clips is the best to expect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.errors import InputError

SHRINKAGE = 1e-6
"""Added to the variances, so that the covariance of constant features is not singular."""
SMALL_FEATURES = 512
"""Up to so many features, a features² matrix is small; the embeddings of the corpus judges have 192 and fewer."""
NUM_BINS = 50
SIGNIFICANT_Z = 1.96
"""The critical value of a two-sided z-test at 0.05."""

Generated = Float[Tensor, "generated features"]
Reference = Float[Tensor, "reference features"]
Clips = Float[Tensor, "clips features"]
Covariance = Float[Tensor, "features features"]


class FrechetDistance:
    """The Fréchet distance, known as FID and FAD (Heusel et al., 2017), of clips from one reference.

    It is ‖μ_g − μ_r‖² + tr(Σ_g + Σ_r − 2 (Σ_r^½ Σ_g Σ_r^½)^½); 0 is perfect. Its bias grows with features / clips:
    compare values for equal numbers of clips, at best ten per feature or more.

    Args:
        reference: embeddings of real clips.

    Raises:
        InputError: there are fewer than two clips.
    """

    def __init__(self, reference: Reference) -> None:
        require_clips("the Fréchet distance", 2, len(reference))
        self._reference = reference.double()
        self._mean = self._reference.mean(dim=0)

    def measure(self, generated: Generated) -> float:
        """Compute the distance of generated clips; NaN where their embeddings are not finite.

        Raises:
            InputError: there are fewer than two clips.
        """
        require_clips("the Fréchet distance", 2, len(generated))
        if not generated.isfinite().all():
            return math.nan
        generated = generated.double()
        mean_term = (generated.mean(dim=0) - self._mean).square().sum()
        features = generated.shape[1]
        if features > max(SMALL_FEATURES, min(len(generated), len(self._reference))):
            return float(mean_term + self._compare_clips(generated))
        covariance = _covariance(generated)
        # The symmetric form has real eigenvalues; the product of two covariances need not be symmetric.
        shared = torch.linalg.eigvalsh(self._root @ covariance @ self._root).clamp(min=0).sqrt().sum()
        return float(mean_term + (covariance + self._covariance).trace() - 2 * shared)

    def _compare_clips(self, generated: Generated) -> Float[Tensor, ""]:
        """Return the term of the covariances from the Gram matrix of the side with fewer clips.

        With centred matrices G and R, tr((Σ_r^½ Σ_g Σ_r^½)^½) is the nuclear norm of G Rᵀ / √((n − 1)(m − 1)).
        """
        sides = [(clips - clips.mean(dim=0)) / math.sqrt(len(clips) - 1) for clips in (generated, self._reference)]
        few, many = sorted(sides, key=len)
        products = few @ many.T
        shared = torch.linalg.eigvalsh(products @ products.T).clamp(min=0).sqrt().sum()
        difference: Float[Tensor, ""] = few.square().sum() + many.square().sum() - 2 * shared
        return difference

    @cached_property
    def _covariance(self) -> Covariance:
        return _covariance(self._reference)

    @cached_property
    def _root(self) -> Covariance:
        return _root(self._covariance)


def frechet_distance(generated: Generated, reference: Reference) -> float:
    """Compute the `FrechetDistance` of generated from real clips.

    Raises:
        InputError: there are fewer than two clips on either side.
    """
    return FrechetDistance(reference).measure(generated)


def inception_score(probabilities: Float[Tensor, "clips classes"]) -> float:
    """Compute the inception score exp E KL(p(y|x) ‖ p(y)), from 1 to the number of classes (Salimans et al., 2016).

    It is highest when each clip has one class with certainty and all classes are equally frequent. It does not compare
    with real clips.

    Raises:
        InputError: there is no clip.
    """
    require_clips("the inception score", 1, len(probabilities))
    probabilities = probabilities.double()
    # The mean divergence is the entropy of the mean distribution minus the mean entropy of the distributions.
    entropy, conditional = (
        torch.special.entr(distribution).sum(dim=-1) for distribution in (probabilities.mean(dim=0), probabilities)
    )
    return float((entropy - conditional.mean()).exp())


@dataclass(frozen=True)
class Bins:
    """The numbers of generated and of reference clips in each bin of the reference (Richardson and Weiss, 2018)."""

    generated: NDArray[np.int64]
    reference: NDArray[np.int64]

    @property
    def num_different(self) -> int:
        """NDB: the number of bins whose proportions differ in a z-test at 0.05; one in twenty does by chance."""
        first, second = self._proportions
        pooled = (self.generated + self.reference) / (self.generated.sum() + self.reference.sum())
        variance = pooled * (1 - pooled) * (1 / self.generated.sum() + 1 / self.reference.sum())
        return int(((first - second) ** 2 > SIGNIFICANT_Z**2 * variance).sum())

    @property
    def fraction_different(self) -> float:
        """NDB / K for K bins: 0 is best, 1 is worst."""
        return self.num_different / len(self.reference)

    @property
    def _proportions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.generated / self.generated.sum(), self.reference / self.reference.sum()


def count_bins(generated: Generated, reference: Reference, *, num_bins: int = NUM_BINS, seed: int = 0) -> Bins:
    """Count clips in bins, which are k-means clusters of the reference.

    Args:
        generated: embeddings of generated clips.
        reference: embeddings of real clips, at best ten per bin or more.
        num_bins: the number of clusters.
        seed: initializes k-means.

    Raises:
        InputError: there is no generated clip, or there are fewer reference clips than bins.
    """
    # Imported here, because most processes never count bins.
    from scipy.cluster.vq import kmeans2, vq

    require_clips("bins", 1, len(generated))
    require_clips(f"{num_bins} bins", num_bins, len(reference))
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
    """Compute the mean cosine distance between generated clips of a class, divided by that between real ones.

    1 is as diverse as real clips; 0 means that all clips of a class are equal. Both distances are averaged over the
    classes with at least two clips on each side.

    Raises:
        InputError: there is no such class.
    """
    distances = _mean_distances(generated, generated_labels)
    real_distances = _mean_distances(reference, reference_labels)
    shared = sorted(distances.keys() & real_distances.keys())
    if not shared:
        raise InputError("diversity: no class has two generated and two real clips; give more clips")
    total = sum(distances[label] for label in shared)
    real_total = sum(real_distances[label] for label in shared)
    return total / max(real_total, 1e-12)


def require_clips(metric: str, at_least: int, *counts: int) -> None:
    """Raise an `InputError` if one of the counts is too small for a metric."""
    if min(counts) < at_least:
        raise InputError(f"{metric}: {min(counts)} clips are too few; give {at_least} or more")


def _covariance(clips: Clips) -> Covariance:
    return clips.T.cov() + SHRINKAGE * torch.eye(clips.shape[1], dtype=clips.dtype, device=clips.device)


def _root(covariance: Covariance) -> Covariance:
    values, vectors = torch.linalg.eigh(covariance)
    root: Covariance = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _mean_distances(clips: Clips, labels: NDArray[np.int64]) -> dict[int, float]:
    """Return the mean cosine distance between different clips of each class that has at least two."""
    unique_labels, counts = np.unique(labels, return_counts=True)
    return {
        int(label): _mean_distance(clips[torch.from_numpy(labels == label)]) for label in unique_labels[counts >= 2]
    }


def _mean_distance(clips: Clips) -> float:
    units = F.normalize(clips.double(), dim=1)
    # ‖Σ u‖² is the sum of the inner products of all pairs, including each clip with itself.
    products = units.sum(dim=0).square().sum() - units.square().sum()
    return float(1 - products / (len(clips) * (len(clips) - 1)))
