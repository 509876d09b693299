"""Contrasts between levels of a factor, and how sure they are."""
