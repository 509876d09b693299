"""Contrasts between levels of a factor, with intervals and tests."""
