"""What corpora and components share, and no audio is in: caches, registries, progress."""
