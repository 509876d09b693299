"""Corpora that are listed in tables: one module each, with its settings and its layout."""

from trainables.corpora.adapters import audioset, ave, manifest, pairs, vggsound

__all__ = ["audioset", "ave", "manifest", "pairs", "vggsound"]
