"""Checks of a search space beyond the type of each key."""
