"""Layers and networks that several trainables have."""
