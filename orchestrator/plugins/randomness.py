"""The state of the global random generators, from `trainables`; apart from `loader`, as it imports torch."""

from trainables.support.randomness import random_states, restore_random_states, seed_everything

__all__ = ["random_states", "restore_random_states", "seed_everything"]
