"""Ranks, recalls and average precision against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import Tensor

from trainables.components.assessment.retrieval import SearchResult, search

NUM_CLASSES = 4


def random(count: int, latents: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(count, latents, generator=torch.Generator().manual_seed(seed))


def labelled(count: int) -> Tensor:
    """As many of each class, one class after the other, as a corpus has them."""
    return torch.arange(count) * NUM_CLASSES // count


def of_pairs(queries: Tensor, items: Tensor) -> SearchResult:
    """Each query's own item stands where it does."""
    labels = labelled(len(items))
    return search(queries, items, torch.arange(len(queries)), labels[: len(queries)], labels)


def cosines(queries: Tensor, items: Tensor) -> np.ndarray:
    one, other = (each.numpy() / np.linalg.norm(each.numpy(), axis=1, keepdims=True) for each in (queries, items))
    return one @ other.T


def test_ranks_are_those_that_counting_gives() -> None:
    items = random(40, seed=1)
    queries, own = items[5:25] + random(20, seed=2), torch.arange(5, 25)
    labels = labelled(40)
    found = search(queries, items, own, labels[own], labels)
    table = cosines(queries, items)
    expected = [1 + sum(row[item] > row[place] for item in range(40)) for row, place in zip(table, own, strict=True)]
    assert found.rank.tolist() == expected
    assert 1 < found.rank.mean() < 15, "neither all found nor by chance"
    assert found.num_items == 40
    for at in (1, 5, 10):
        assert found.recall(at).tolist() == [float(rank <= at) for rank in expected]


def test_precision_is_the_average_precision_that_sklearn_knows() -> None:
    items, labels = random(60, seed=3), labelled(60)
    queries = items[:30] + random(30, seed=4)
    found = of_pairs(queries, items)
    table = cosines(queries, items)
    expected = [average_precision_score(labels == label, row) for row, label in zip(table, labels[:30], strict=True)]
    np.testing.assert_allclose(found.precision.numpy(), expected, rtol=1e-5)


def test_precision_of_ties_is_that_of_sklearn_in_any_order_of_the_items() -> None:
    few = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), dim=1)
    items, labels = few[torch.arange(24) % 3], labelled(24)
    queries = few[:2]
    expected = [average_precision_score(labels == labels[k], cosines(queries, items)[k]) for k in range(2)]
    for order in (torch.arange(24), torch.arange(24).flip(0)):
        own = torch.tensor([int((order == k).nonzero()) for k in range(2)])
        found = search(queries, items[order], own, labels[:2], labels[order])
        np.testing.assert_allclose(found.precision.numpy(), expected, rtol=1e-5)


def test_perfect_pairs_are_found_first() -> None:
    latents = F.one_hot(labelled(20), NUM_CLASSES).float() + 0.1 * F.one_hot(torch.arange(20), 20)[:, :NUM_CLASSES]
    apart = torch.cat([latents, torch.eye(20)], dim=1)
    assert of_pairs(apart, 3 * apart).metrics("x") == {
        "x_r_at_1": 1.0,
        "x_r_at_5": 1.0,
        "x_r_at_10": 1.0,
        "x_median_rank": 1.0,
        "x_class_map": pytest.approx(1.0),
    }


def test_random_latents_find_by_chance() -> None:
    metrics = of_pairs(random(1000, seed=5), random(1000, seed=6)).metrics("x")
    assert metrics["x_r_at_10"] == pytest.approx(0.01, abs=0.01)
    assert metrics["x_median_rank"] == pytest.approx(500, abs=60)
    assert metrics["x_class_map"] == pytest.approx(1 / NUM_CLASSES, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_latents_that_are_all_the_same_find_by_chance(value: float) -> None:
    collapsed = torch.full((20, 4), value)
    found = of_pairs(collapsed, collapsed)
    assert found.rank.tolist() == [10.5] * 20
    torch.testing.assert_close(found.precision, torch.full((20,), 1 / NUM_CLASSES))
    assert [found.metrics("x")[f"x_r_at_{at}"] for at in (1, 5, 10)] == pytest.approx([1 / 20, 5 / 20, 10 / 20])


def test_a_tie_counts_by_half() -> None:
    items = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = search(items[:1], items, torch.tensor([0]), torch.tensor([0]), torch.tensor([0, 1, 1]))
    assert found.rank.tolist() == [1.5]
    assert [found.recall(at).tolist() for at in (1, 2)] == [[0.5], [1.0]]


def test_the_median_of_an_even_number_of_queries_lies_between_two() -> None:
    items = torch.eye(4)
    queries = torch.stack([items[0], items[0] + 0.5 * items[1]])
    found = search(queries, items, torch.tensor([0, 1]), torch.tensor([0, 1]), torch.arange(4))
    assert found.rank.tolist() == [1.0, 2.0]
    assert found.metrics("x")["x_median_rank"] == 1.5


def test_what_is_not_a_number_finds_nothing() -> None:
    queries = random(12).index_fill(0, torch.tensor([3]), torch.nan)
    found = of_pairs(queries, random(12))
    assert found.recall(10)[3] == 0 and not found.precision[3].isfinite()
    assert found.recall(12).sum() == 11
    broken = of_pairs(torch.full((12, 4), torch.nan), torch.full((12, 4), torch.nan))
    assert broken.metrics("x")["x_r_at_1"] == 0
