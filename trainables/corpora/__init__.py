"""Corpora: recordings on disk, cut into clips, split by recording, with cached features."""
