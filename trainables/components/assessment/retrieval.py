"""Cross-modal retrieval in a shared latent space: a query is one half of a pair, and items are the other halves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.ranks import RANKS

Latents = Float[Tensor, "pairs latents"]


@dataclass(frozen=True)
class SearchResult:
    """The result of each query.

    Attributes:
        better: the number of items that rank before its pair. NaN for latents that are not finite.
        ties: the number of items that are as similar as its pair, the pair included.
        first: the item that is ranked first.
        precision: the average precision of items of the query's class; items of a tie share the last rank of the tie.
            NaN if no item has the class.
        num_items: the number of items.
    """

    better: Float[Tensor, " queries"]
    ties: Float[Tensor, " queries"]
    first: Int64[Tensor, " queries"]
    precision: Float[Tensor, " queries"]
    num_items: int

    @property
    def rank(self) -> Float[Tensor, " queries"]:
        """The rank of each query's pair, from 1; of a tie, the mean rank. NaN for latents that are not finite."""
        return self.better + (self.ties + 1) / 2

    def recall(self, at: int) -> Float[Tensor, " queries"]:
        """Return whether each query's pair is among the first `at` items; by chance, `at / num_items` are.

        Of a tie it is the expected value over all orders of the tied items: a share from 0 to 1.
        """
        return ((at - self.better) / self.ties).clamp(0, 1).nan_to_num(0.0)

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return R@1, R@5, R@10, the median rank, and the mean average precision of the class."""
        recalls = {f"{prefix}_r_at_{at}": self.recall(at).mean().item() for at in RANKS}
        return {
            **recalls,
            f"{prefix}_median_rank": self.rank.quantile(0.5).item(),
            f"{prefix}_class_map": self.precision.nanmean().item(),
        }

    def columns(self, prefix: str) -> dict[str, NDArray[np.float32]]:
        """Return the values of each query: recalls at 1, 5 and 10, the rank, and the average precision."""
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
    """Rank all items for each query by the cosine similarity of latents.

    Args:
        queries: the latents of queries.
        items: the latents of items.
        own: the index of the item that forms a pair with each query.
        query_labels: the class of each query.
        item_labels: the class of each item.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(items, dim=1).T
    own_similarity = similarity.gather(1, own[:, None])
    better, same = (similarity > own_similarity).sum(dim=1), (similarity == own_similarity).sum(dim=1)
    is_broken = own_similarity[:, 0].isnan()
    ordered, order = similarity.sort(dim=1, descending=True, stable=True)
    is_right = (item_labels[order] == query_labels[:, None]).double()
    # Items of a tie share its last rank: their order would be that of the corpus, which is sorted by class.
    last_rank = torch.searchsorted(-ordered, -ordered, right=True).clamp(max=len(items))
    num_right = is_right.cumsum(dim=1).gather(1, last_rank - 1)
    precision = (is_right * num_right / last_rank).sum(dim=1) / is_right.sum(dim=1)
    better, precision = (values.float().masked_fill(is_broken, torch.nan) for values in (better, precision))
    return SearchResult(better, same.float(), order[:, 0], precision, len(items))
