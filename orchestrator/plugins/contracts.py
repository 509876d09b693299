"""The contracts of trainables and their parts, for `orchestrate check`; apart from `loader`, as they import torch."""

from trainables.testing.corpus import CORPUS
from trainables.testing.parts import Part, part_checks, registered_parts
from trainables.testing.promise import Check, list_checks
from trainables.testing.trainables import TRAINABLE, TrainableCase

__all__ = [
    "CORPUS",
    "TRAINABLE",
    "Check",
    "Part",
    "TrainableCase",
    "list_checks",
    "part_checks",
    "registered_parts",
]
