"""The contracts of trainables and their parts, for `orchestrate check`; apart from `loader`, as they import torch."""

from trainables.testing.corpus import CORPUS
from trainables.testing.parts import Part, part_outcomes, registered_parts
from trainables.testing.promise import Outcome, check_promises
from trainables.testing.trainables import TRAINABLE, TrainableCase

__all__ = [
    "CORPUS",
    "TRAINABLE",
    "Outcome",
    "Part",
    "TrainableCase",
    "check_promises",
    "part_outcomes",
    "registered_parts",
]
