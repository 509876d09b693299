"""The global random generators, as the contract of trainables has them; a door of its own, since it imports torch."""

from trainables.support.randomness import random_states, restore_random_states, seed_everything

__all__ = ["random_states", "restore_random_states", "seed_everything"]
