"""The ranks of retrieval metrics; apart from `retrieval`, which imports torch."""

RANKS = (1, 5, 10)
