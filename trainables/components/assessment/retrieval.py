"""How well one modality finds the other in a shared latent: each query is a pair's one half, each item another half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

RANKS = (1, 5, 10)

Latents = Float[Tensor, "pairs latents"]


@dataclass(frozen=True)
class SearchResult:
    """What each query found.

    Attributes:
        rank: the place of its own pair, 1 being the first; ties count against it by half. Not a number for latents that
            aren't finite.
        first: the item that is found first.
        precision: its average precision, of items of its class, those of a tie counted together; not a number where
            there is none.
        num_items: of how many.
    """

    rank: Float[Tensor, " queries"]
    first: Int64[Tensor, " queries"]
    precision: Float[Tensor, " queries"]
    num_items: int

    def recall(self, at: int) -> Float[Tensor, " queries"]:
        """Whether the own pair is among the first so many; by chance `at / num_items`."""
        return (self.rank <= at).float()

    def metrics(self, prefix: str) -> dict[str, float]:
        """R@1, R@5, R@10, the median rank, and the mean average precision of the class."""
        recalls = {f"{prefix}_r_at_{at}": self.recall(at).mean().item() for at in RANKS}
        return {
            **recalls,
            f"{prefix}_median_rank": self.rank.quantile(0.5).item(),
            f"{prefix}_class_map": self.precision.nanmean().item(),
        }

    def columns(self, prefix: str) -> dict[str, NDArray[np.float32]]:
        """The same of each query: whether it is among the first 1, 5 and 10, its rank and its average precision."""
        return {
            **{f"{prefix}_r_at_{at}": self.recall(at).cpu().numpy() for at in RANKS},
            f"{prefix}_rank": self.rank.cpu().numpy(),
            f"{prefix}_class_map": self.precision.cpu().numpy(),
        }


def search(
    queries: Latents,
    items: Float[Tensor, "items latents"],
    own: Int64[Tensor, " pairs"],
    query_labels: Int64[Tensor, " pairs"],
    item_labels: Int64[Tensor, " items"],
) -> SearchResult:
    """Order items by the cosine of their latents.

    Args:
        own: the item that each query is a pair with.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(items, dim=1).T
    own_similarity = similarity.gather(1, own[:, None])
    better, same = (similarity > own_similarity).sum(dim=1), (similarity == own_similarity).sum(dim=1)
    is_broken = own_similarity[:, 0].isnan()
    rank = (better + (same + 1) / 2).masked_fill(is_broken, torch.nan)
    ordered, order = similarity.sort(dim=1, descending=True, stable=True)
    is_right = (item_labels[order] == query_labels[:, None]).double()
    # The last place of those that are as similar: an order within ties would be that of the corpus, class by class.
    place = torch.searchsorted(-ordered, -ordered, right=True).clamp(max=len(items))
    precision = (is_right * is_right.cumsum(dim=1).gather(1, place - 1) / place).sum(dim=1) / is_right.sum(dim=1)
    return SearchResult(rank.float(), order[:, 0], precision.masked_fill(is_broken, torch.nan).float(), len(items))
