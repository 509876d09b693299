"""Corpora that are listed in tables: one module each, with its settings and its layout."""

from trainables.corpora.adapters import audioset, ave, hf, manifest, pairs, vggsound

__all__ = ["audioset", "ave", "hf", "manifest", "pairs", "vggsound"]
