"""The contracts of trainables and their parts, for `orchestrate check`; apart from `loader`, as they import torch."""

from trainables.testing.corpus import CORPUS
from trainables.testing.parts import Part, part_outcomes, registered_parts
from trainables.testing.promise import Outcome, outcomes
from trainables.testing.trainables import TRAINABLE, TrainableCase

__all__ = [
    "CORPUS",
    "TRAINABLE",
    "Outcome",
    "Part",
    "TrainableCase",
    "outcomes",
    "part_outcomes",
    "registered_parts",
]
