"""Layers and networks that several trainables use."""
