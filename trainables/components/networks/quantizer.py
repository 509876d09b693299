"""Residual vector quantization of latents, with codebooks that follow the latents as moving averages.

A latent of `num_latents` numbers is cut into vectors of `vector_size` numbers. The first codebook replaces each vector
by its nearest code, the second one the remaining error, and so on (SoundStream; Zeghidour et al., 2021). All vectors
share the codebooks, because a small corpus has too few clips for codebooks of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from trainables.components.shapes import Latents, Scalar

DECAY = 0.99
"""The decay of the moving averages in a step (van den Oord, Vinyals and Kavukcuoglu, 2017, appendix A.1)."""
DEAD_SHARE = 0.02
"""A code is dead if it is used less than this share of a code's mean use; it is replaced by a vector of the batch."""

Vectors = Float[Tensor, "vectors size"]
Codes = Int64[Tensor, "vectors stages"]


@dataclass(frozen=True)
class Quantized:
    """Quantized latents.

    Attributes:
        latents: the sums of codes; their gradient is passed on to the encoder (straight-through estimator).
        commitment: mean squared distance of the encoder's latents from their codes, the gradient of the encoder only.
        codes: the index of the code in every codebook, of each vector of each clip.
    """

    latents: Latents
    commitment: Scalar
    codes: Codes


class ResidualQuantizer(nn.Module):
    """Codebooks for the vectors that latents are cut into.

    While it is training, a call updates the codebooks. The first such call takes its codes from the batch.

    Args:
        num_latents: the length of a latent, a multiple of `vector_size`.
        vector_size: the numbers that share a code.
        num_codebooks: the number of stages.
        codebook_size: the codes in each codebook.
    """

    codes: Tensor
    sums: Tensor
    uses: Tensor
    is_filled: Tensor

    def __init__(self, num_latents: int, *, vector_size: int, num_codebooks: int, codebook_size: int) -> None:
        super().__init__()
        self.num_vectors = num_latents // vector_size
        self.register_buffer("codes", torch.zeros(num_codebooks, codebook_size, vector_size))
        # Moving averages over steps of the sum of the vectors that chose a code, and of their number.
        self.register_buffer("sums", torch.zeros(num_codebooks, codebook_size, vector_size))
        self.register_buffer("uses", torch.zeros(num_codebooks, codebook_size))
        self.register_buffer("is_filled", torch.zeros(()))

    def forward(self, latents: Latents, noise: torch.Generator | None = None) -> Quantized:
        """Quantize latents.

        Args:
            latents: the encoder's.
            noise: draws the vectors that replace dead codes while training.
        """
        vectors = latents.reshape(-1, self.codes.shape[2])
        residual, total, chosen = vectors.detach(), torch.zeros_like(vectors), []
        for stage in range(len(self.codes)):
            if self.training and noise is not None:
                self._fill(stage, residual, noise)
            nearest = torch.cdist(residual, self.codes[stage]).argmin(dim=1)
            picked = self.codes[stage][nearest]
            if self.training and noise is not None:
                self._follow(stage, residual, nearest, noise)
            residual, total = residual - picked, total + picked
            chosen.append(nearest)
        if self.training and noise is not None:
            self.is_filled.fill_(1.0)
        commitment = (vectors - total).square().mean()
        passed = vectors + (total - vectors).detach()
        return Quantized(passed.reshape(latents.shape), commitment, torch.stack(chosen, dim=1))

    @torch.no_grad()
    def _fill(self, stage: int, residual: Vectors, noise: torch.Generator) -> None:
        """Take the codes from the first batch (Dhariwal et al., 2020); later calls change nothing."""
        drawn = self._draw(residual, noise)
        is_first = self.is_filled == 0
        even = torch.full_like(self.uses[stage], len(residual) / len(drawn))
        self.codes[stage] = drawn.where(is_first, self.codes[stage])
        self.uses[stage] = even.where(is_first, self.uses[stage])
        self.sums[stage] = (drawn * even[:, None]).where(is_first, self.sums[stage])

    @torch.no_grad()
    def _follow(
        self, stage: int, residual: Vectors, nearest: Int64[Tensor, " vectors"], noise: torch.Generator
    ) -> None:
        """Move each code to the mean of the vectors that chose it, and replace dead codes by vectors of the batch."""
        uses = torch.zeros_like(self.uses[stage]).index_add_(0, nearest, torch.ones_like(residual[:, 0]))
        sums = sum_by_code(residual, nearest, len(self.codes[stage]))
        self.uses[stage].lerp_(uses, 1 - DECAY)
        self.sums[stage].lerp_(sums, 1 - DECAY)
        mean_use = len(residual) / len(self.uses[stage])
        is_dead = self.uses[stage] < DEAD_SHARE * mean_use
        # A new code starts with the mean use: with less it could be dead again before it is used.
        self.uses[stage] = torch.where(is_dead, mean_use, self.uses[stage])
        replaced = mean_use * self._draw(residual, noise)
        self.sums[stage] = replaced.where(is_dead[:, None], self.sums[stage])
        self.codes[stage] = self.sums[stage] / self.uses[stage][:, None]

    def _draw(self, residual: Vectors, noise: torch.Generator) -> Float[Tensor, "codes size"]:
        positions = torch.randint(len(residual), (len(self.codes[0]),), generator=noise, device=residual.device)
        return residual[positions]


def sum_by_code(vectors: Vectors, codes: Int64[Tensor, " vectors"], num_codes: int) -> Float[Tensor, "codes size"]:
    """Return the sum of the vectors that chose each code, deterministically.

    On a GPU `index_add_` adds in an undefined order, so a product with one-hot codes is used. On a CPU `index_add_` is
    deterministic and faster; the two differ in the last digits.
    """
    if vectors.is_cuda:
        return F.one_hot(codes, num_codes).to(vectors).T @ vectors
    return vectors.new_zeros(num_codes, vectors.shape[1]).index_add_(0, codes, vectors)


class CodebookUse:
    """Counts how often each code is used."""

    def __init__(self, quantizer: ResidualQuantizer) -> None:
        self._counts = torch.zeros_like(quantizer.uses, dtype=torch.float64)
        self._num_vectors = quantizer.num_vectors
        self._first: Tensor | None = None
        self._varies = torch.zeros(self._num_vectors, dtype=torch.bool, device=quantizer.uses.device)

    def add(self, codes: Codes) -> None:
        """Count the codes of a batch of clips."""
        by_clip = codes.unflatten(0, (-1, self._num_vectors))
        self._first = by_clip[:1] if self._first is None else self._first
        self._varies |= (by_clip != self._first).any(dim=2).any(dim=0)
        ones = torch.ones(len(codes), dtype=torch.float64, device=codes.device)
        for counts, column in zip(self._counts, codes.T, strict=True):
            counts.index_add_(0, column, ones)

    def metrics(self) -> dict[str, float]:
        """Return the use of the codebooks so far.

        Returns:
            `codebook_perplexity`: e to the entropy of the use of codes, mean over codebooks; 1 if one code is all that
            is used. `codes_used`: the share of codes that were used at all. `latent_bits`: the entropy in bits of the
            codes of a clip. `active_vectors`: the vectors of a latent whose codes are not the same for every clip.
        """
        shares = self._counts / self._counts.sum(dim=1, keepdim=True)
        entropies = -torch.xlogy(shares, shares).sum(dim=1)
        return {
            "codebook_perplexity": float(entropies.exp().mean()),
            "codes_used": float((self._counts > 0).double().mean()),
            "latent_bits": float(entropies.sum()) * self._num_vectors / math.log(2),
            "active_vectors": float(self._varies.sum()),
        }
