"""Helpers of corpora and components that have nothing to do with audio: caches, registries, progress."""
